from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from checks.environment import EnvironmentProblem
from checks.secretbox import SecretBox, made_once, open_secretbox
from tests.checks.workers import ROOT


def key() -> str:
    return Fernet.generate_key().decode()


def test_what_was_sealed_opens_and_does_not_lie_readable() -> None:
    box = SecretBox(key())
    sealed = box.encrypt("correct horse")
    assert "horse" not in sealed
    assert box.decrypt(sealed) == "correct horse"
    assert box.encrypt("correct horse") != sealed


def test_an_older_key_still_opens_while_the_first_one_seals() -> None:
    old, new = key(), key()
    sealed = SecretBox(old).encrypt("horse")
    both = SecretBox(f"{new}, {old}")
    assert both.decrypt(sealed) == "horse"
    assert SecretBox(new).decrypt(both.encrypt("battery")) == "battery"


def test_another_key_is_said_so_without_the_secret() -> None:
    sealed = SecretBox(key()).encrypt("horse")
    with pytest.raises(EnvironmentProblem, match="sealed with another key than STILLUP_DATA_KEY") as problem:
        SecretBox(key()).decrypt(sealed)
    assert sealed not in str(problem.value)


@pytest.mark.parametrize("wrong", ["", "short", "x" * 44, "schlüssel"])
def test_a_key_that_is_none_is_refused_and_not_repeated(wrong: str) -> None:
    with pytest.raises(EnvironmentProblem, match="STILLUP_DATA_KEY is no key") as problem:
        SecretBox(wrong)
    assert not wrong or wrong not in str(problem.value)


def test_the_key_of_an_installation_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    sealed = open_secretbox(tmp_path / "data").encrypt("horse")
    assert open_secretbox(tmp_path / "data").decrypt(sealed) == "horse"
    path = tmp_path / "data" / "data.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["data.key"]


def test_the_environment_has_the_last_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = key()
    monkeypatch.setenv("STILLUP_DATA_KEY", given)
    assert SecretBox(given).decrypt(open_secretbox(tmp_path).encrypt("horse")) == "horse"
    assert list(tmp_path.iterdir()) == []


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    code = (
        "import secrets, sys; from pathlib import Path; from checks.secretbox import made_once;"
        " print(made_once(Path(sys.argv[1]) / 'key', lambda: secrets.token_hex().encode()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {process.communicate(timeout=20)[0].strip() for process in running}
    assert answers == {made_once(tmp_path / "key", lambda: b"another")}
