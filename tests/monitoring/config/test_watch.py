"""The file is applied again when it changed, and only when it was left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from django.db import DatabaseError, OperationalError

from checks import clock
from checks.process import WRONG_CONFIGURATION
from monitoring.config.apply import Refused, apply_file
from monitoring.config.watch import ConfigWatch
from monitoring.models import Monitor

A = "monitors:\n  - {name: A, kind: tcp, address: 'a:1'}\n"
B = A + "  - {name: B, kind: tcp, address: 'b:1'}\n"

pytestmark = pytest.mark.django_db


class Time:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> Time:
    moving = Time()
    monkeypatch.setattr(clock, "monotonic", lambda: moving.seconds)
    return moving


class Applied:
    """An attempt that has ended, as the command's process would have."""

    def __init__(self, path: Path) -> None:
        self.said = ""
        try:
            apply_file(path, cautious=True)
            self.status = 0
        except Refused as exc:
            self.said, self.status = str(exc), WRONG_CONFIGURATION
        except DatabaseError as exc:
            self.said, self.status = str(exc), 75

    def poll(self) -> int:
        return self.status

    def kill(self) -> None:
        raise AssertionError("it has ended")

    def wait(self) -> int:
        return self.status


class Attempts:
    """Applies the file, and remembers how that ended."""

    def __init__(self) -> None:
        self.ended: list[Applied] = []

    def __call__(self, path: Path) -> Applied:
        self.ended.append(Applied(path))
        return self.ended[-1]


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()


@pytest.fixture
def watched(tmp_path: Path, moving: Time, published_to_sqlite: sa.Engine, attempts: Attempts) -> ConfigWatch:
    """A file that was applied and is watched."""
    path = tmp_path / "config.yaml"
    path.write_text(A)
    apply_file(path)
    return ConfigWatch(path, attempts)


def write(path: Path, text: str) -> None:
    """As editors do: another file takes the place."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def slugs() -> list[str]:
    return sorted(Monitor.objects.filter(retired_at=None).values_list("slug", flat=True))


def test_a_change_is_applied_once_it_was_left_alone_for_a_second(watched: ConfigWatch, path: Path, moving: Time):
    assert not watched.poll()
    write(path, B)
    assert not watched.poll()
    moving.pass_by(0.9)
    assert not watched.poll()
    moving.pass_by(0.1)
    assert watched.poll()
    assert slugs() == ["a", "b"]
    moving.pass_by(10)
    assert not watched.poll()


def test_a_file_that_is_still_being_written_is_waited_for(watched: ConfigWatch, path: Path, moving: Time) -> None:
    for size in range(5):
        write(path, B[: 40 + size])
        assert not watched.poll()
        moving.pass_by(0.9)
    write(path, B)
    assert not watched.poll()
    moving.pass_by(1)
    assert watched.poll()


def test_a_wrong_file_is_refused_once_and_the_running_configuration_stays(
    watched: ConfigWatch, path: Path, moving: Time, attempts: Attempts
) -> None:
    write(path, B.replace("kind: tcp, address: 'b", "kind: tpc, address: 'b"))
    watched.poll()
    moving.pass_by(1)
    assert not watched.poll()
    assert not watched.poll()
    assert slugs() == ["a"]
    [refused] = attempts.ended
    assert f"{path}:3:21: monitors[1].kind: unknown kind 'tpc'; did you mean tcp?" in refused.said
    write(path, B)
    watched.poll()
    moving.pass_by(1)
    assert watched.poll()
    assert slugs() == ["a", "b"]


def test_a_file_that_went_away_changes_nothing(watched: ConfigWatch, path: Path, moving: Time) -> None:
    path.unlink()
    for _ in range(5):
        assert not watched.poll()
        moving.pass_by(1)
    assert slugs() == ["a"]
    write(path, B)
    watched.poll()
    moving.pass_by(1)
    assert watched.poll()


def test_a_file_that_was_cut_off_does_not_retire_most_of_the_monitors(
    watched: ConfigWatch, path: Path, moving: Time
) -> None:
    many = "monitors:\n" + "".join(f"  - {{name: M{n}, kind: tcp, address: 'a:1'}}\n" for n in range(4))
    for text in (many, "monitors:\n"):
        write(path, text)
        watched.poll()
        moving.pass_by(1)
        watched.poll()
    assert slugs() == ["m0", "m1", "m2", "m3"]


def test_a_database_that_is_away_is_tried_again(
    watched: ConfigWatch, path: Path, moving: Time, monkeypatch: Any
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("database is locked")

    write(path, B)
    watched.poll()
    moving.pass_by(1)
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "apply_file", fail)
        assert not watched.poll()
    moving.pass_by(1)
    assert watched.poll()
    assert slugs() == ["a", "b"]


def test_nothing_else_begins_while_an_attempt_goes_on(path: Path, moving: Time) -> None:
    class Slow:
        status: int | None = None

        def poll(self) -> int | None:
            return self.status

        def kill(self) -> None:
            self.status = -9

        def wait(self) -> int:
            assert self.status is not None
            return self.status

    begun: list[Slow] = []

    def begin(_: Path) -> Slow:
        begun.append(Slow())
        return begun[-1]

    path.write_text(A)
    watch = ConfigWatch(path, begin)
    write(path, B)
    for _ in range(5):
        assert not watch.poll()
        moving.pass_by(1)
    assert len(begun) == 1
    write(path, A)  # while it goes on
    begun[0].status = 0
    assert watch.poll()
    assert not watch.poll()
    moving.pass_by(1)
    assert not watch.poll()
    assert len(begun) == 2
    watch.stop()
    assert begun[1].status == -9, "what is being applied ends with the watch"
