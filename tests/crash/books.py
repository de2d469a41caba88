"""What must be true after a storm: the store against the script of the targets and against what their server saw."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from tests.crash.scripted import FLUSHED, Request, read_log
from tests.crash.storm import INTERVAL, LEASE, Storm

REPEAT = "may be a repeat"
EARLY = 0.3  # seconds by which two processes of one machine may read the time differently
MEANWHILE = (
    LEASE + 2.0
)  # seconds after a trouble in which a claim of before may be lost, and what was found not recorded
UNDER_WAY = 5.0  # seconds from a request until its result must be in the store
RESUMED = 30.0  # seconds after a disruption in which every target is probed again


class Books:
    """The figures of a storm, and what does not balance."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.faults: list[str] = []
        self.figures: dict[str, Any] = {}
        names = {
            int(row["name"].split()[1]): row["monitor"] for row in storm.rows("SELECT monitor, name FROM monitor_state")
        }
        self._transitions(names)
        self._probes(names)
        self._messages()
        self._logs()

    def _wrong(self, what: str) -> None:
        self.faults.append(what)

    # Transitions

    def _transitions(self, names: dict[int, Any]) -> None:
        found = defaultdict(list)
        for row in self.storm.rows("SELECT * FROM transition ORDER BY seq"):
            found[row["monitor"]].append(row)
        self.figures["changes by the script"] = sum(len(self.storm.script.flips(number)) for number in names)
        lost = invented = 0
        delays: list[float] = []
        for number, monitor in names.items():
            self._history(number, found[monitor])
            flips, moves = self.storm.script.flips(number), _without_blindness(found[monitor])
            lost += max(0, len(flips) - len(moves))
            invented += max(0, len(moves) - len(flips))
            if len(moves) != len(flips):
                self._wrong(f"target {number}: {len(flips)} changes by the script, {len(moves)} in the store")
            for flip, (to, since, at) in zip(flips, moves, strict=False):
                delays.append(at - flip)
                if since < flip - EARLY:
                    self._wrong(f"target {number}: {to} {flip - since:.1f} s before it was")
        delays.sort()
        self.figures["transitions lost"], self.figures["invented"] = lost, invented
        self.figures["false downs"] = sum(
            self._false_downs(number, found[monitor]) for number, monitor in names.items()
        )
        self.figures["times that a monitor was unknown"] = sum(
            row["to_status"] == "unknown" for rows in found.values() for row in rows
        )
        if delays:
            shares = [f"{delays[int(len(delays) * share)]:.1f}" for share in (0.5, 0.95)]
            self.figures["seconds from change to transition"] = (
                f"p50 {shares[0]}, p95 {shares[1]}, most {delays[-1]:.1f}"
            )

    def _history(self, number: int, rows: list[dict[str, Any]]) -> None:
        if [row["seq"] for row in rows] != list(range(1, len(rows) + 1)):
            self._wrong(f"target {number}: a number of a transition is missing")
        if any(one["to_status"] != two["from_status"] or one["since"] > two["since"] for one, two in pairwise(rows)):
            self._wrong(f"target {number}: its transitions are no history")

    def _false_downs(self, number: int, rows: list[dict[str, Any]]) -> int:
        downs = self.storm.script.downs(number)
        since = [row["since"] / 1e6 for row in rows if row["to_status"] == "down"]
        false = [at for at in since if not any(begin - EARLY <= at < end for begin, end in downs)]
        for at in false:
            self._wrong(f"target {number}: down at {at:.1f} while it was up")
        return len(false)

    # Probes

    def _probes(self, names: dict[int, Any]) -> None:
        read_at = time.time()
        results: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for row in self.storm.rows(
            "SELECT monitor, due_at, started_at, outcome FROM result JOIN target ON target.id = target_id ORDER BY started_at"
        ):
            results[row["monitor"]].append(row)
        time.sleep(5 * FLUSHED)  # the request of the last result is in the log by now, not when the result was read
        requests: dict[int, list[Request]] = defaultdict(list)
        for request in read_log(self.storm.log):
            requests[request.number].append(request)
        surplus: dict[int, dict[int, list[float]]] = {}
        unseen = 0
        for number, monitor in names.items():
            if len({row["due_at"] for row in results[monitor]}) != len(results[monitor]):
                self._wrong(f"target {number}: two results of one due time")
            surplus[number], missing = _unmatched(requests[number], results[monitor])
            last = len(results[monitor])  # what came after the last result may be under way still
            if last in surplus[number] and surplus[number][last][0] > read_at - UNDER_WAY:
                del surplus[number][last]
            unseen += missing
        starts = {number: [row["started_at"] / 1e6 for row in results[monitor]] for number, monitor in names.items()}
        repeats = [times for by_place in surplus.values() for times in by_place.values()]
        slowest = self._slowest(starts)
        self.figures["results"] = sum(map(len, results.values()))
        self.figures["probes whose result was not recorded"] = sum(map(len, repeats))
        self.figures["most of them at one due time"] = max(map(len, repeats), default=0)
        self.figures["results of no request"] = unseen
        self.figures["seconds until a target was probed again"] = f"{slowest:.1f} at most"
        if too_often := self._too_often(surplus, starts):
            self._wrong(f"{too_often} due times were probed more often than something happened meanwhile")
        if unseen:
            self._wrong(f"{unseen} results of targets that nobody asked")
        if slowest > RESUMED + INTERVAL:
            self._wrong(f"a target was probed only {slowest:.1f} s after the trouble was over")

    def _too_often(self, surplus: dict[int, dict[int, list[float]]], starts: dict[int, list[float]]) -> int:
        """Due times that were probed once more than something happened to us since the first of these probes."""
        count = 0
        for number, by_place in surplus.items():
            for place, times in by_place.items():
                until = starts[number][place] if place < len(starts[number]) else float("inf")
                done = sum(each.begin <= until and each.end >= times[0] - MEANWHILE for each in self.storm.disruptions)
                count += len(times) > done
        return count

    def _slowest(self, starts: dict[int, list[float]]) -> float:
        """How long after the end of a disruption a target was first probed again, at most."""
        waits = [0.0]
        for each in starts.values():
            for disruption in self.storm.disruptions:
                place = bisect_left(each, disruption.end)
                if place < len(each):
                    waits.append(each[place] - disruption.end)
        return max(waits)

    # Messages

    def _messages(self) -> None:
        storm = self.storm
        begun = {row["monitor_name"]: row["n"] for row in storm.rows(
            "SELECT monitor_name, count(*) AS n FROM monitoring_incident WHERE cause = 'down' GROUP BY monitor_name"
        )}  # fmt: skip
        for number in range(storm.monitors):
            downs = len(storm.script.downs(number))
            if begun.get(f"Target {number}", 0) != downs:
                self._wrong(f"target {number}: {downs} outages, {begun.get(f'Target {number}', 0)} incidents")
        if storm.count("monitoring_incident WHERE cause = 'down' AND resolved_at IS NULL"):
            self._wrong("an incident is open still")
        rows = storm.rows("SELECT status, count(*) AS n FROM monitoring_notification GROUP BY status")
        states = Counter({row["status"]: row["n"] for row in rows})
        arrived = [message.text for message in storm.inbox.of("json")]
        firsts = sum(REPEAT not in text for text in arrived)
        self.figures["incidents"] = sum(begun.values())
        self.figures["messages"] = f"{dict(states)}, {len(arrived)} arrived, {len(arrived) - firsts} marked as repeats"
        if len(arrived) < states["sent"] or firsts > states["sent"]:
            self._wrong(
                f"{states['sent']} messages sent, {len(arrived)} arrived, {firsts} of them not marked as repeats"
            )
        if set(states) - {"sent", "held"}:
            self._wrong(f"messages are left over: {dict(states)}")

    # Logs

    def _logs(self) -> None:
        """No flood: what goes on for long is said once."""
        minutes = max(1.0, (self.storm.ended - self.storm.begin) / 60)
        lines = {log.stem: len(log.read_text().splitlines()) for log in self.storm.directory.glob("*-*.log")}
        name = max(lines, key=lambda each: lines[each])
        self.figures["lines of log a process and minute"] = f"{lines[name] / minutes:.0f} at most ({name})"


def _without_blindness(rows: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """The changes between up and down, as (to, since, at): a time in which we were blind is none."""
    moves, status = [], "up"
    for row in rows:
        if row["to_status"] in ("up", "down") and row["to_status"] != status:
            status = row["to_status"]
            moves.append((status, row["since"] / 1e6, row["at"] / 1e6))
    return moves


def _unmatched(asked: list[Request], told: list[dict[str, Any]]) -> tuple[dict[int, list[float]], int]:
    """When requests came without a result, by the place of the result that came next; and the results without a request.

    A request is a result's when it is the first at or after the start of the probe that is no other's.
    """
    times = [request.at for request in asked]
    starts = [row["started_at"] / 1e6 for row in told]
    taken: set[int] = set()
    unseen = 0
    for start, row in zip(starts, told, strict=True):
        place = bisect_left(times, start - 0.02)
        while place in taken:
            place += 1
        if place < len(times) and times[place] - start < 3:
            taken.add(place)
        elif row["outcome"] == "up":  # what is down may not have got so far
            unseen += 1
    surplus: dict[int, list[float]] = defaultdict(list)
    for index, at in enumerate(times):
        if index not in taken:
            surplus[bisect_right(starts, at)].append(at)
    return surplus, unseen
