"""The guide to heartbeats says what is so; its recipes are those that are run elsewhere, word for word."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from checks.heartbeats.request import MOST_NUMBERS
from checks.probes import parse_spec
from checks.probes.heartbeat import HeartbeatSpec
from checks.schedule import Schedule
from monitoring.operator.recipes import Recipe, recipes
from tests.clients.beating import BEAT
from tests.debian import found

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "guides" / "heartbeats.md").read_text(encoding="utf-8")
RECIPES = recipes("https://status.example.org/ping/<code>", Schedule(cron=("0 3 * * *",)))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.key)
def test_the_guide_has_the_recipes_of_the_monitors_page(recipe: Recipe) -> None:
    language = {"systemd": "ini", "github": "yaml", "kubernetes": "yaml", "cron": "text", "beat": "text"}
    block = f"```{language.get(recipe.key, recipe.key)}\n{recipe.text}\n```"
    assert f"### {recipe.name}\n\n{recipe.note}\n\n{block}\n" in GUIDE


def test_the_recipe_for_systemd_is_a_unit(tmp_path: Path) -> None:
    text = next(recipe.text for recipe in RECIPES if recipe.key == "systemd")
    unit = tmp_path / "job.service"
    unit.write_text(text.replace("<code>", "code").replace("/usr/local/bin/your-job", "/bin/true"))
    verify = found("systemd-analyze")
    if verify is not None:
        done = subprocess.run([verify, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    section, *settings = unit.read_text().splitlines()
    assert section == "[Service]"
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+=.+", line) for line in settings)


def test_every_example_of_a_monitor_is_one() -> None:
    blocks = re.findall(r"```yaml\n(monitors:\n.*?)```", GUIDE, re.DOTALL)
    assert blocks
    for block in blocks:
        for options in yaml.safe_load(block)["monitors"]:
            assert isinstance(parse_spec(options), HeartbeatSpec)


def test_every_option_of_a_heartbeat_is_named() -> None:
    own = set(HeartbeatSpec.model_fields) - set(HeartbeatSpec.__mro__[1].model_fields) - {"kind"}  # type: ignore[attr-defined]
    assert {name for name in own if f"`{name}" not in GUIDE} == set()
    assert f"up to {MOST_NUMBERS}." in GUIDE


def test_beat_is_used_as_the_guide_says() -> None:
    script = BEAT.read_text(encoding="utf-8")
    usage = re.search(r"```text\n(beat .*)\n```", GUIDE)
    assert usage is not None
    assert f"#   {usage[1]}\n" in script
    named = set(re.findall(r"\bBEAT_[A-Z]+", script))
    assert named == set(re.findall(r"\bBEAT_[A-Z]+", GUIDE)) == {"BEAT_SPOOL", "BEAT_OUTPUT"}


def test_every_client_that_the_guide_names_is_run() -> None:
    (sentence,) = re.findall(r"those of PyPI that the tests run are (.*?)\.", GUIDE, re.DOTALL)
    tests = (ROOT / "tests" / "journeys" / "test_clients.py").read_text(encoding="utf-8")
    clients = re.findall(r"`([a-z-]+)`", sentence)
    assert len(clients) >= 2
    assert [client for client in clients if f'"{client}": (' not in tests] == []
