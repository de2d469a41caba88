"""The commands as scripts call them: their exit statuses, and what goes where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with both databases."""
    assert manage(tmp_path, "prepare").returncode == 0
    return tmp_path


def manage(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STILLUP_")}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment | {"STILLUP_DATA_DIR": str(data)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_scripts_can_tell_what_became_of_a_file(data: Path) -> None:
    right, wrong = data / "right.yaml", data / "wrong.yaml"
    right.write_text("monitors:\n  - {name: Shop, kind: tcp, address: '127.0.0.1:1'}\n")
    wrong.write_text("monitors:\n  - {name: Shop, kind: tpc, address: '127.0.0.1:1'}\n")
    refused = manage(data, "apply", str(wrong))
    assert refused.returncode == 78
    assert refused.stdout == ""
    assert refused.stderr.endswith(f"{wrong}:2:24: monitors[0].kind: unknown kind 'tpc'; did you mean tcp?\n")
    assert "Traceback" not in refused.stderr
    assert manage(data, "plan", str(right), "--exit-code").returncode == 2
    applied = manage(data, "apply", str(right))
    assert (applied.returncode, applied.stderr) == (0, "")
    assert applied.stdout == f"  + create monitor shop\nApplied {right}: 1 created.\n"
    assert manage(data, "plan", str(right), "--exit-code").returncode == 0
    exported = manage(data, "export")
    assert exported.returncode == 0
    assert "  - name: Shop\n    kind: tcp\n    address: 127.0.0.1:1\n" in exported.stdout
