"""Specifications as a worker keeps them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from checks.environment import EnvironmentProblem
from checks.prepared import Specs
from checks.probes import KINDS
from checks.result import Reason
from checks.secretbox import SecretBox, open_secretbox
from checks.spec import dump
from checks.spec_secrets import seal
from tests.factories import make_claimed, make_spec


def test_a_specification_is_read_once_a_revision(tmp_path: Path) -> None:
    specs, claimed = Specs(lambda: open_secretbox(tmp_path)), make_claimed(revision=3)
    assert specs.unknown([claimed]) == [claimed.target_id]
    specs.learn({claimed.target_id: (3, dump(make_spec()))})
    assert specs.unknown([claimed]) == []
    assert specs.unknown([make_claimed(target_id=claimed.target_id, revision=4)]) == [claimed.target_id]


def test_a_key_that_is_missing_for_a_while_is_looked_for_again(tmp_path: Path) -> None:
    box = open_secretbox(tmp_path)
    there: list[SecretBox] = []

    def found() -> SecretBox:
        if not there:
            raise EnvironmentProblem("there is no data key")
        return there[0]

    spec = make_spec(username="ann", password="correct horse")
    sealed = seal(type(spec), dump(spec), box.encrypt)
    specs, claimed = Specs(found), make_claimed(revision=1)

    specs.learn({claimed.target_id: (1, sealed)})
    assert specs.get(claimed).problem == "there is no data key"
    assert specs.unknown([claimed]) == [claimed.target_id]

    there.append(box)
    specs.learn({claimed.target_id: (1, sealed)})
    assert specs.get(claimed).spec == spec
    assert specs.unknown([claimed]) == []


def test_a_specification_that_can_not_be_read_is_not_read_again_and_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    specs, claimed = Specs(lambda: open_secretbox(tmp_path)), make_claimed(revision=1)
    specs.learn({claimed.target_id: (1, {"kind": "http"})})
    assert specs.get(claimed).spec is None
    assert specs.unknown([claimed]) == []
    assert "can't be read" in caplog.text


def test_what_a_kind_needs_is_imported_before_it_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_library.py").write_text("")
    (tmp_path / "broken_library.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(KINDS, "tcp", replace(KINDS["tcp"], modules=("broken_library", "heavy_library")))
    specs, claimed = Specs(lambda: open_secretbox(tmp_path)), make_claimed(revision=1)
    specs.learn({claimed.target_id: (1, dump(make_spec(kind="tcp")))})
    assert specs.get(claimed).spec is not None
    assert "heavy_library" in sys.modules


def test_a_kind_whose_library_is_missing_gives_no_verdict_and_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs, claimed = Specs(lambda: open_secretbox(tmp_path)), make_claimed(revision=1)
    spec = make_spec(kind="tcp")
    with monkeypatch.context() as patch:
        patch.setitem(KINDS, "tcp", replace(KINDS["tcp"], extra="tcp", modules=("no_such_module",)))
        specs.learn({claimed.target_id: (1, dump(spec))})
        found = specs.get(claimed)
        assert (found.spec, found.reason) == (None, Reason.NO_DRIVER)
        assert found.problem.startswith("tcp can't be probed here: no_such_module is not installed; install it with")
        assert specs.unknown([claimed]) == [claimed.target_id]
    specs.learn({claimed.target_id: (1, dump(spec))})
    assert specs.get(claimed).spec == spec
