"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks.probes import KINDS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("checks", "monitoring")
LONGEST = 400  # lines of a file


def tracked(*patterns: str) -> list[Path]:
    """The project's files; those of a working copy that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted({ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()})


def sources() -> list[Path]:
    return [path for path in tracked("*.py") if path.relative_to(ROOT).parts[0] in PACKAGES]


def lines_with(pattern: str, paths: list[Path]) -> Iterator[str]:
    wanted = re.compile(pattern)
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if wanted.search(line):
                yield f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def test_no_file_is_longer_than_a_person_reads_at_once() -> None:
    long = {}
    for path in tracked("*.py"):
        if "migrations" in path.parts or "revisions" in path.parts:
            continue
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST:
            long[str(path.relative_to(ROOT))] = lines
    assert long == {}


def test_nobody_asks_which_kind_a_monitor_is() -> None:
    paths = [path for path in sources() if "probes" not in path.parts]
    kinds = "|".join(KINDS)
    assert list(lines_with(rf"\bkind\s*(==|!=|in)\s*[(\[{{]?\s*[\"']({kinds})[\"']", paths)) == []


def test_only_the_clock_reads_time() -> None:
    allowed = {"checks/clock.py", "checks/store/engine.py"}
    paths = [path for path in sources() if str(path.relative_to(ROOT)) not in allowed]
    found = list(
        lines_with(
            r"\b(time\.(time|monotonic|perf_counter)(_ns)?\(|datetime\.(now|utcnow|today)\(|timezone\.now\()", paths
        )
    )
    assert found == []


def test_no_statement_asks_the_database_for_the_time() -> None:
    allowed = {"checks/store/engine.py"}  # measures the offset to the store's clock
    paths = [path for path in sources() if str(path.relative_to(ROOT)) not in allowed]
    found = list(
        lines_with(
            r"func\.now\(|\b(clock_timestamp|statement_timestamp)\(|CURRENT_TIMESTAMP|(?i:[\"' ]now\(\))|Now\(\)", paths
        )
    )
    assert found == []


def test_only_publish_writes_a_revision() -> None:
    paths = [path for path in sources() if path.name != "publish.py" and path.parts[-2] != "migrations"]
    paths = [path for path in paths if path.relative_to(ROOT).parts[0] == "monitoring"]
    assert list(lines_with(r"\.revision\s*(\+?=)(?!=)|revision=F\(|update\([^)]*revision=", paths)) == []


def test_only_the_writer_writes_transitions() -> None:
    paths = [path for path in sources() if path.name not in ("writer.py", "schema.py")]
    found = list(lines_with(r"insert\(\s*(schema\.)?transition\b|(schema\.)?\btransition\.insert\(", paths))
    assert found == []


def test_no_project_file_names_a_registry_or_a_place_of_one_machine() -> None:
    # Spelled so that this file does not name them either.
    hosts = ["py" + "pi.org", "python" + "hosted.org", "index" + "-url", "find" + "-links"]
    places = ["/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/"]
    own = [path for path in tracked() if path.suffix not in (".png", ".ico", ".woff2")]
    found = []
    for path in own:
        if path.name == "Makefile" or path == Path(__file__):
            words = [w for w in hosts + places if not w.startswith(("index", "find"))]
        else:
            words = hosts + places
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in words if word in text]
    assert found == []


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_left_to_be_done_in_the_code(package: str) -> None:
    paths = [path for path in sources() if path.relative_to(ROOT).parts[0] == package]
    marks = "TO" + "DO|FIX" + "ME|XX" + "X|HA" + "CK"
    assert list(lines_with(rf"\b({marks})\b", paths)) == []


def test_every_public_function_has_a_sentence() -> None:
    missing = []
    for path in sources():
        if "migrations" in path.parts or "revisions" in path.parts or "commands" in path.parts:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_"
            if public and not (ast.get_docstring(node) or "").strip():
                missing.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert missing == []


def test_checks_loads_neither_django_nor_apprise() -> None:
    script = "import sys, checks.worker, checks.heartbeats.receiver, checks.__main__; print(sorted(m for m in sys.modules if m in ('django', 'apprise', 'monitoring')))"
    import sys

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
