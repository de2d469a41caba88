"""Specifications as probes need them, parsed once a revision."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from checks.environment import EnvironmentProblem
from checks.probe import Kind
from checks.probes import KINDS, parse_spec, spec_class
from checks.result import Reason
from checks.secretbox import SecretBox
from checks.spec import ProbedSpec
from checks.spec_secrets import unseal
from checks.status import Policy
from checks.store.claims import Claimed

logger = logging.getLogger(__name__)

_GROWN, _MANY = 1.1, 200  # so many more of them have to come until it is told again
_LARGEST = 100_000  # specifications kept; beyond it all are read again, as at the start


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One revision of a target's specification. `spec` is None where it can't be read; then `problem` says why."""

    revision: int
    kind: Kind
    spec: ProbedSpec | None
    policy: Policy
    problem: str = ""
    reason: Reason = Reason.BUG  # of the problem
    passing: bool = False  # the environment is at fault, not the specification: it is read again at the next claim


class Specs:
    """The specifications of the targets that this worker has probed, by target and revision."""

    def __init__(self, secretbox: Callable[[], SecretBox]) -> None:
        self.steady_rate = 0.0  # probes a second that they ask for
        self._secretbox = secretbox
        self._known: dict[int, Prepared] = {}
        self._frozen = 0  # how many there were when the collector was last told to leave all alone

    def unknown(self, claimed: Iterable[Claimed]) -> list[int]:
        """The targets whose specification, at the claimed revision, must be read from the store."""
        return [
            each.target_id
            for each in claimed
            if (known := self._known.get(each.target_id)) is None or known.revision != each.revision or known.passing
        ]

    def learn(self, found: Mapping[int, tuple[int, Mapping[str, Any]]]) -> None:
        """Take over specifications from the store. One that can't be read concerns its own target only."""
        if len(self._known) + len(found) > _LARGEST:
            self._known.clear()
        for target_id, (revision, data) in found.items():
            self._known[target_id] = self._prepare(target_id, revision, data)
        if found:
            self.steady_rate = sum(1 / known.policy.interval for known in self._known.values())
        if len(self._known) > _GROWN * self._frozen + _MANY:
            # They stay. The collector would stop every probe for a tenth of a second to walk through 20,000 of them.
            gc.freeze()
            self._frozen = len(self._known)

    def get(self, claimed: Claimed) -> Prepared:
        """The specification of a claimed target, after `learn`."""
        known = self._known.get(claimed.target_id)
        if known is None:
            return _unreadable(claimed.revision, "its specification is gone from the store")
        return known

    def _prepare(self, target_id: int, revision: int, data: Mapping[str, Any]) -> Prepared:
        try:
            kind = KINDS[str(data.get("kind"))]
            spec = parse_spec(
                unseal(spec_class(str(data["kind"])), data, lambda sealed: self._secretbox().decrypt(sealed))
            )
            if not isinstance(spec, ProbedSpec):
                return _unreadable(revision, f"{spec.kind} is no kind that is probed")
        except KeyError:
            return _unreadable(revision, f"this worker does not know the kind {data.get('kind')!r}")
        except EnvironmentProblem as exc:
            return _unreadable(revision, str(exc), passing=True)
        except Exception as exc:
            # Whatever is wrong in one row must not stop the others.
            logger.exception(
                "the specification of target %d can't be read", target_id, extra={"action": "spec_unreadable"}
            )
            return _unreadable(revision, f"its specification can't be read: {type(exc).__name__}")
        if lacking := kind.missing(spec):
            lacking = f"{spec.kind} can't be probed here: {lacking}"
            return Prepared(
                revision=revision,
                kind=kind,
                spec=None,
                policy=spec.policy(),
                problem=lacking,
                reason=Reason.NO_DRIVER,
                passing=True,
            )
        if kind.needs_modules(spec):
            for name in kind.modules:
                # Here and not when it probes: an import stops the loop, and with it the clocks of all probes.
                with suppress(ImportError):  # which the probe will tell
                    import_module(name)
        return Prepared(revision=revision, kind=kind, spec=spec, policy=spec.policy())


def _unreadable(revision: int, problem: str, *, passing: bool = False) -> Prepared:
    kind, policy = KINDS["http"], Policy()
    return Prepared(revision=revision, kind=kind, spec=None, policy=policy, problem=problem, passing=passing)
