"""The example works as it stands, the reference is what the code says, and no broken file does harm."""

from __future__ import annotations

import os
import random
import re
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from checks.document import DocumentProblems
from checks.options import options
from checks.probes import KINDS
from monitoring.config.apply import apply_file, plan_file
from monitoring.config.document import SECTIONS, read_configuration
from monitoring.models import Monitor, StatusPage

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "config.example.yaml"
MUTATIONS = 400


def without_remarks() -> str:
    """The example with every commented entry taken in."""
    text = EXAMPLE.read_text(encoding="utf-8")
    text = re.sub(r"^( +)# (?=(- \w+|  \w+|    - ).*:|    - )", r"\1", text, flags=re.MULTILINE)
    return text.replace("# - name", "- name")


def test_the_example_works_without_any_variable(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STILLUP_") and name != "STILLUP_DATA_DIR":
            monkeypatch.delenv(name)
    plan = apply_file(EXAMPLE)
    assert plan.hints == ()
    assert set(Monitor.objects.values_list("kind", flat=True)) == {"http", "tcp", "heartbeat"}
    assert StatusPage.objects.get().default


def test_the_example_shows_every_section_and_every_way_to_a_status() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert all(f"\n{section}:" in text for section in SECTIONS)
    shown = {kind.spec.source for name, kind in KINDS.items() if f"kind: {name}\n" in text}
    assert shown == {kind.spec.source for kind in KINDS.values()}


def test_what_the_example_only_mentions_is_right_too(db: None) -> None:
    env = {
        "STILLUP_PORT": "8070",
        "SHOP_API_KEY": "x",
        "SLACK_URL": "json://127.0.0.1/",
        "MAIL_URL": "json://127.0.0.1/",
    }
    configuration = read_configuration(without_remarks(), env=env)
    names = [spec.name for spec in configuration.monitors]
    assert names == [
        "Stillup web",
        "Stillup port",
        "Nightly backup",
        "Shop",
        "Mail",
        "Report",
        "Whole shop",
        "Telephone",
    ]
    assert [channel.name for channel in configuration.channels] == ["team-slack", "ops-mail"]
    assert [rule.name for rule in configuration.rules] == ["Something is down"]


def test_the_reference_is_what_the_code_says() -> None:
    call_command("configuration_reference", "--check")


def test_the_reference_has_every_option_of_every_kind() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for kind in KINDS.values():
        for name, option in options(kind.spec).items():
            assert f"| `{name}` |" in text
            assert name == "kind" or option.help.replace("|", "\\|") in text


def test_an_old_reference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from monitoring.management.commands import configuration_reference

    monkeypatch.setattr(configuration_reference, "reference", lambda: "something else")
    with pytest.raises(CommandError, match="out of date"):
        call_command("configuration_reference", "--check")


SNIPPETS = [
    "\t",
    ": ",
    "- ",
    "*a",
    "&a ",
    "!x ",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "\x00",
    "${X}",
    "é",
    "|",
    "\n",
    "#",
    "0777",
]
SNIPPETS += [
    "kind: htp",
    "interval: 0s",
    "name:",
    "null",
    "9" * 50,
    "%",
    "@",
    "`",
    "? ",
    "<<: ",
    "---\n",
    "\ud7ff",
    "\x85",
]


def mutated(text: str, chance: random.Random) -> str:
    """The text with one to three wounds."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text))
        lines = text.splitlines(keepends=True)
        line = chance.randrange(len(lines))
        match chance.randrange(7):
            case 0:
                text = text[:at] + text[at + chance.randint(1, 9) :]
            case 1:
                text = text[:at] + chance.choice(SNIPPETS) + text[at:]
            case 2:
                text = text[:at] + chr(chance.randrange(1, 0xD7FF)) + text[at + 1 :]
            case 3:
                text = "".join([*lines[:line], *lines[line + 1 :]])
            case 4:
                text = "".join([*lines[:line], lines[line], *lines[line:]])
            case 5:
                text = "".join([*lines[:line], " " * chance.randint(1, 3) + lines[line].lstrip(), *lines[line + 1 :]])
            case _:
                text = text[: max(1, at)]
    return text


def problems_of(text: str, env: dict[str, str]) -> list[str]:
    try:
        read_configuration(text, env=env)
    except DocumentProblems as exc:
        return [str(problem) for problem in exc.problems]
    return []


@pytest.mark.parametrize("seed", range(8))
def test_a_wounded_file_is_read_or_refused_with_places_and_soon(seed: int) -> None:
    chance = random.Random(seed)
    env = {
        "STILLUP_PORT": "8070",
        "SHOP_API_KEY": "x",
        "SLACK_URL": "json://127.0.0.1/",
        "MAIL_URL": "json://127.0.0.1/",
    }
    refused = 0
    for _ in range(MUTATIONS // 8):
        text = mutated(without_remarks(), chance)
        began = time.perf_counter()
        problems = problems_of(text, env)
        assert time.perf_counter() - began < 2
        assert all(re.match(r"[1-9]\d*:[1-9]\d*: .", problem) for problem in problems), problems
        refused += bool(problems)
    assert refused > MUTATIONS // 8 // 2


def test_a_wounded_file_never_changes_what_runs(db: None, tmp_path: Path) -> None:
    apply_file(EXAMPLE)
    path, chance = tmp_path / "config.yaml", random.Random(1)
    for _ in range(30):
        path.write_bytes(mutated(EXAMPLE.read_text(), chance).encode() + b"\nunknown: 1\n")
        with pytest.raises(CommandError) as caught:
            call_command("apply", str(path))
        assert caught.value.returncode == 78
    assert plan_file(EXAMPLE).actions == ()
