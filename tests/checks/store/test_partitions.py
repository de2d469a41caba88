"""PostgreSQL's days: made ahead, dropped behind, and everything reads and writes through them."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from checks.clock import to_micros
from checks.housekeeping import keep_partitions
from checks.store import partitions, reader, revisions
from checks.store.engine import SCHEMA, open_engine, reading
from checks.store.partitions import BEFORE, OTHER, listed, make_ahead
from checks.store.periods import HOUR
from checks.store.retention import prune, too_old
from checks.store.schema import dirty_period, result
from checks.store.upgrade import config_for, upgrade
from tests import postgres
from tests.checks.store.acts import publish_one, rows
from tests.factories import NOON, at

A_DAY = timedelta(days=1)
MIDNIGHT = NOON.replace(hour=0, minute=0)


@pytest.fixture
def postgresql_url():
    """These tests change tables: each gets a database that is dropped afterwards."""
    url = postgres.fresh_store()
    yield url
    postgres.drop(url)


@pytest.fixture
def store(postgresql_store):
    """A store whose only partition is the default one."""
    with postgresql_store.begin() as conn:
        for name in names(postgresql_store, all_of_them=True):
            if name != OTHER:
                conn.exec_driver_sql(f"DROP TABLE {name}")
    return postgresql_store


def names(engine, *, all_of_them=False):
    with reading(engine) as conn:
        return [one.name for one in listed(conn) if all_of_them or one.name != OTHER]


def put(engine, *instants, target_id=1):
    values = [{"target_id": target_id, "due_at": at_, "started_at": at_, "outcome": "up"} for at_ in instants]
    with engine.begin() as conn:
        conn.execute(result.insert(), values)


def count(engine, table):
    with engine.connect() as conn:
        return conn.exec_driver_sql(f"SELECT count(*) FROM ONLY {table}").scalar_one()


def day_of(instant):
    return f"result_{instant:%Y%m%d}"


def test_a_store_begins_with_the_days_to_come(postgresql_store):
    assert len(names(postgresql_store)) == 1 + partitions.AHEAD


def test_today_and_the_next_days_are_made_once(store):
    for _ in range(2):
        keep_partitions(store, NOON)

    assert names(store) == [day_of(NOON + number * A_DAY) for number in range(4)]
    keep_partitions(store, NOON + A_DAY)
    assert names(store)[-1] == day_of(NOON + 4 * A_DAY)


def test_a_result_lies_in_its_day_and_what_has_none_in_the_default_one(store):
    keep_partitions(store, NOON)
    put(store, NOON, NOON + A_DAY, NOON - 30 * A_DAY, NOON + 400 * A_DAY)

    assert count(store, day_of(NOON)) == count(store, day_of(NOON + A_DAY)) == 1
    assert count(store, OTHER) == 2
    assert len(rows(store, result)) == 4


def test_the_days_have_the_index_of_the_whole(store):
    keep_partitions(store, NOON)

    for name, own in ((day_of(NOON), []), (OTHER, [["started_at"]])):
        found = [index["column_names"] for index in sa.inspect(store).get_indexes(name, schema=SCHEMA)]
        assert sorted(found) == [*own, ["target_id", "started_at"]]


def test_numbers_go_on_over_all_days(store):
    keep_partitions(store, NOON)
    put(store, NOON, NOON + A_DAY, NOON + 9 * A_DAY)

    assert len({row.id for row in rows(store, result)}) == 3


def test_a_day_that_is_too_old_is_dropped_and_nothing_is_deleted(store):
    keep_partitions(store, NOON)
    put(store, NOON, NOON + A_DAY)
    later = MIDNIGHT + 8 * A_DAY

    keep_partitions(store, later - timedelta(seconds=1))
    assert day_of(NOON) in names(store)
    assert too_old(store, later)["results"] == 1
    assert too_old(store, later - timedelta(seconds=1))["results"] == 0, "a day goes as a whole"
    keep_partitions(store, later)

    assert day_of(NOON) not in names(store)
    assert [row.started_at for row in rows(store, result)] == [NOON + A_DAY]


def test_a_day_with_hours_that_are_not_rolled_up_is_kept(store):
    keep_partitions(store, NOON)
    put(store, NOON)
    mark = {"target_id": 1, "resolution": HOUR, "start": NOON, "ready_at": NOON}
    with store.begin() as conn:
        conn.execute(dirty_period.insert().values(mark))

    keep_partitions(store, NOON + 30 * A_DAY)

    assert day_of(NOON) in names(store)


def test_what_lies_in_the_default_one_is_deleted_when_it_is_old(store):
    put(store, *[NOON - 8 * A_DAY] * 600, NOON - A_DAY)

    while prune(store, NOON):
        pass

    assert [row.started_at for row in rows(store, result)] == [NOON - A_DAY]


def test_a_day_that_began_in_the_default_one_ends_there(store):
    put(store, NOON)

    keep_partitions(store, NOON)

    assert day_of(NOON) not in names(store)
    assert len(names(store)) == partitions.AHEAD


def test_whoever_reads_everything_makes_nobody_wait(store, caplog):
    """All that would wait for the lock of a partition that is made or dropped waits behind it."""
    keep_partitions(store, NOON)
    caplog.set_level("INFO")
    before = names(store)
    with store.begin() as conn:
        conn.execute(sa.select(result)).all()
        keep_partitions(store, NOON + 20 * A_DAY)
        assert names(store) == before
    assert "lock timeout" in caplog.text

    keep_partitions(store, NOON + 20 * A_DAY)
    assert names(store) == [day_of(NOON + number * A_DAY) for number in range(20, 24)]


def test_of_several_processes_one_does_it(store):
    with store.begin() as conn:
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(partitions._LOCK)))
        keep_partitions(store, NOON)
        assert names(store) == []


def test_the_latest_results_are_found_over_all_days(store):
    keep_partitions(store, NOON)
    monitor = publish_one(store)
    put(store, NOON - A_DAY, NOON, NOON + A_DAY, NOON + 2 * A_DAY)

    with reading(store) as conn:
        found = reader.recent_results(conn, monitor.uuid, 3)
    assert [view.started_at for view in found] == [NOON + 2 * A_DAY, NOON + A_DAY, NOON]


def at_revision(url, number, tmp_path):
    """A store as the version with that revision made it."""
    copy = tmp_path / "revisions"
    shutil.copytree(Path(revisions.__file__).parent, copy)
    engine = open_engine(url)
    with engine.begin() as conn:
        conn.execute(sa.schema.CreateSchema(SCHEMA))
        config = config_for(conn)
        config.set_main_option("script_location", str(copy))
        command.upgrade(config, number)
    return engine


def test_a_store_from_before_keeps_its_results_in_one_partition(empty_postgresql_url, tmp_path):
    engine = at_revision(empty_postgresql_url, "0003", tmp_path)
    put(engine, NOON - 3 * A_DAY, NOON)
    before = rows(engine, result)

    upgrade(empty_postgresql_url)

    put(engine, NOON + timedelta(seconds=1), NOON + A_DAY)
    assert rows(engine, result)[:2] == before
    assert len({row.id for row in rows(engine, result)}) == 4
    assert count(engine, BEFORE) == 3, "the day of the last result is not divided"
    with reading(engine) as conn:
        (one,) = [one for one in listed(conn) if one.name == BEFORE]
    assert (one.start, one.end) == (None, to_micros(MIDNIGHT + A_DAY))

    prune(engine, NOON + 5 * A_DAY)
    assert count(engine, BEFORE) == 2
    keep_partitions(engine, NOON + 8 * A_DAY)
    assert BEFORE not in names(engine)
    put(engine, at(1))
    assert len(rows(engine, result)) == 2
    engine.dispose()


def test_a_store_from_before_without_results_has_days_alone(empty_postgresql_url, tmp_path):
    engine = at_revision(empty_postgresql_url, "0003", tmp_path)

    upgrade(empty_postgresql_url)

    assert BEFORE not in names(engine)
    with engine.begin() as conn:
        assert make_ahead(conn, NOON)
    engine.dispose()


def test_a_borrowed_store_in_which_a_test_kept_house_is_lent_to_no_other():
    url = postgres.borrow_store()
    engine = open_engine(url)
    keep_partitions(engine, NOON)
    engine.dispose()
    postgres.give_back(url)

    another = postgres.borrow_store()
    engine = open_engine(another)
    try:
        assert f"result_{NOON:%Y%m%d}" not in names(engine)
    finally:
        engine.dispose()
        postgres.give_back(another)
