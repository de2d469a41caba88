"""What the documents say is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.test_house_rules import ROOT, sources, tracked

DOCUMENTS = tracked("*.md")
INTERNAL = {"STILLUP_PARENT_PID", "STILLUP_PARENT_PIPE"}  # what a process tells its own children


def variables() -> set[str]:
    """Every environment variable that the code reads."""
    named = {
        name
        for path in sources()
        for name in re.findall(r"[\"'](STILLUP_[A-Z_]+)[\"']", path.read_text(encoding="utf-8"))
    }
    return {name.removesuffix("_FILE") for name in named} - INTERNAL


def test_every_environment_variable_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert {name for name in variables() if name not in text} == set()


def test_every_documented_variable_exists() -> None:
    named = {
        name.removesuffix("_FILE").removesuffix("_")
        for path in DOCUMENTS
        for name in re.findall(r"STILLUP_[A-Z_]+", path.read_text(encoding="utf-8"))
    }
    assert named - variables() == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    local = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_every_make_target_is_in_help_or_named_as_internal() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in (
        "help",
        "install",
        "run",
        "test",
        "test-long",
        "check",
        "lint",
        "types",
        "imports",
        "docs",
        "lock",
        "clean",
    ):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "make run" in shown.stdout


def test_every_command_of_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"manage\.py ([a-z_]+)", text))
    assert named
    shown = subprocess.run(
        [sys.executable, "manage.py", "help", "--commands"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert named <= set(shown.stdout.split())
    targets = set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE))
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in targets)


def test_decisions_are_numbered_without_a_gap_in_their_dozen() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name) for name in names), names
    numbers = [name[:4] for name in names]
    assert len(numbers) == len(set(numbers))
    for name in names:
        text = (ROOT / "docs" / "decisions" / name).read_text(encoding="utf-8")
        assert text.startswith(f"# {name[:4]}: "), name
        assert all(f"\n## {part}\n" in text for part in ("Context", "Decision", "Consequences")), name
