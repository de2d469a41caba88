"""A newer version is brought in while the older one works: nothing is lost, and the older one ends by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from checks.process import WRONG_CONFIGURATION
from checks.store.schema import transition
from checks.store.upgrade import known_revisions
from tests import postgres
from tests.checks.workers import ROOT, Worker, monitor_of, publish, results, targets, working
from tests.servers import Target, answers
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

MONITORS, INTERVAL = 40, timedelta(seconds=3)
LEASE = ("--lease", "4s")
REVISION = f"{int(known_revisions()[-1]) + 1:04}"
LATER = f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{REVISION}", "{known_revisions()[-1]}", None, None


def upgrade():
    op.add_column("target", sa.Column("later", sa.Integer(), nullable=True))
"""
UPGRADE = "import sys; from checks.store.upgrade import upgrade; upgrade(sys.argv[1])"


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """This test changes tables: its database is dropped afterwards."""
    url = postgres.fresh_store()
    yield url
    postgres.drop(url)


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """A newer version of the worker, with a revision that this one does not know."""
    root = tmp_path / "later"
    shutil.copytree(ROOT / "checks", root / "checks", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "checks/store/revisions/versions" / f"{REVISION}_later.py").write_text(LATER)
    return root


def slots(store: sa.Engine) -> dict[int, list[datetime]]:
    """When each target was due, as far as that was probed."""
    found = defaultdict(list)
    for row in results(store):
        found[row.target_id].append(row.due_at)
    return {number: sorted(due) for number, due in found.items()}


def instant(worker: Worker, said: str) -> datetime:
    """When a worker said so in its log."""
    (line,) = (line for line in worker.log().splitlines() if said in line)
    return datetime.fromisoformat(line.split()[0])


def test_workers_of_two_versions_lose_no_slot_and_the_older_one_ends_and_says_why(
    store: sa.Engine, store_url: str, tmp_path: Path, later: Path
) -> None:
    with Target(answers()) as target, working(store_url, tmp_path, *LEASE) as old:
        every = {"timeout": "1s", "interval": "3s", "retry_interval": "3s"}
        publish(
            store, *(monitor_of(url=f"http://127.0.0.1:{target.port}/{number}", **every) for number in range(MONITORS))
        )
        wait_until(lambda: len(slots(store)) == MONITORS, what="the older version has probed each")

        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run([sys.executable, "-c", UPGRADE, store_url], cwd=later, env=environment, check=True, timeout=60)
        with working(store_url, tmp_path, *LEASE, number=2, root=later) as new:
            assert old.process.wait(20) == WRONG_CONFIGURATION
            at_the_end = len(results(store))
            wait_until(lambda: len(results(store)) >= at_the_end + 2 * MONITORS, what="the newer version goes on alone")
            assert new.stop()[0] == 0

        again = Worker(store_url, tmp_path, *LEASE, number=3)
        assert again.process.wait(20) == WRONG_CONFIGURATION

    for log in (old.log(), again.log()):
        assert f"revision {REVISION}, which this version does not know: a newer Stillup made them" in log
        assert "Traceback" not in log
    # Where nobody worked, since the older one ended before the newer one had begun, nothing could be probed.
    hole = instant(old, "stopping: "), instant(new, "working at") + INTERVAL
    for due in slots(store).values():
        expected = {due[0] + number * INTERVAL for number in range(round((due[-1] - due[0]) / INTERVAL) + 1)}
        assert len(due) == len(set(due)), "no slot was probed twice"
        assert {slot for slot in expected - set(due) if not hole[0] <= slot <= hole[1]} == set(), "none was lost"
    assert {row.outcome for row in results(store)} == {"up"}
    with store.begin() as conn:
        changes = conn.execute(sa.select(transition.c.from_status, transition.c.to_status)).all()
    assert changes == [("pending", "up")] * MONITORS
    assert len(targets(store)) == MONITORS
