import sqlite3
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import exc

import checks
from checks.store.engine import StoreProblem, instance_uuid, measure_offset, open_engine, our_trouble, reading
from checks.store.schema import trouble
from tests.factories import NOON


def put_trouble(conn, what):
    conn.execute(trouble.insert().values(what=what, message="m", since=NOON, seen_at=NOON))


def test_a_sqlite_connection_keeps_its_promises(sqlite_store):
    with sqlite_store.connect() as conn:
        found = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "journal_size_limit")
        }

    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "foreign_keys": 1,
        "busy_timeout": 20_000,
        "journal_size_limit": 64 * 1024 * 1024,
    }


def test_a_postgresql_connection_has_time_outs_and_a_schema_of_its_own(postgresql_store):
    names = ("search_path", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    with postgresql_store.connect() as conn:
        found = [conn.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]

    assert found == ["measurements", "15s", "5s", "30s"]


def test_what_the_operator_wrote_into_the_url_wins(postgresql_url):
    engine = open_engine(f"{postgresql_url}?application_name=mine&options=-c%20lock_timeout%3D7000")
    with engine.connect() as conn:
        found = [conn.exec_driver_sql(f"SHOW {name}").scalar_one() for name in ("application_name", "lock_timeout")]
        found.append(conn.exec_driver_sql("SHOW statement_timeout").scalar_one())
    engine.dispose()

    assert found == ["mine", "7s", "15s"]


def test_whoever_waited_for_a_lock_sees_what_its_holder_committed_whatever_the_server_s_default(postgresql_url):
    engine = open_engine(f"{postgresql_url}?options=-c%20default_transaction_isolation%3Dserializable")
    with engine.begin() as conn:
        writing = conn.exec_driver_sql("SHOW transaction_isolation").scalar_one()
    with reading(engine) as conn:
        seeing = conn.exec_driver_sql("SHOW transaction_isolation").scalar_one()
    with engine.begin() as conn:
        again = conn.exec_driver_sql("SHOW transaction_isolation").scalar_one()
    engine.dispose()

    assert (writing, seeing, again) == ("read committed", "repeatable read", "read committed")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_is_understood(postgresql_url, scheme):
    engine = open_engine(postgresql_url.replace("postgresql", scheme, 1))
    with engine.connect() as conn:
        assert conn.execute(sa.select(1)).scalar_one() == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://user:hunter2@host/name", "the store's URL begins with 'mysql'; allowed: postgresql and sqlite"),
        ("hunter2", "the store's URL can't be read; expected postgresql://... or sqlite:///path"),
        ("postgresql://user:hunter2@host:port/name", "the store's URL can't be read; expected postgresql://..."),
        ("sqlite://", "the store needs a file: sqlite:///path"),
        ("sqlite:///:memory:", "the store needs a file: sqlite:///path"),
    ],
)
def test_a_wrong_url_is_refused_without_repeating_it(url, message):
    with pytest.raises(StoreProblem) as caught:
        open_engine(url)

    assert str(caught.value).startswith(message)
    assert "hunter2" not in str(caught.value)


def test_a_sqlite_file_gets_its_directory(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/deep/down/store.sqlite3")
    with engine.connect() as conn:
        conn.execute(sa.select(1))
    engine.dispose()

    assert (tmp_path / "deep/down/store.sqlite3").exists()


def test_a_reader_sees_one_snapshot_and_holds_no_writer_up(store):
    count = sa.select(sa.func.count()).select_from(trouble)
    with store.begin() as conn:
        put_trouble(conn, "first")

    with reading(store) as reader:
        before = reader.execute(count).scalar_one()
        with store.begin() as writer:
            put_trouble(writer, "second")
        during = reader.execute(count).scalar_one()
    with reading(store) as reader:
        after = reader.execute(count).scalar_one()

    assert (before, during, after) == (1, 1, 2)


def test_a_transaction_that_will_write_takes_its_lock_at_once(sqlite_url):
    engine = open_engine(sqlite_url)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), timeout=0)
    with engine.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()
    engine.dispose()


def test_who_waits_for_a_lock_begins_when_it_is_free_and_is_as_patient_as_before(sqlite_url):
    engine = open_engine(sqlite_url)
    holder = sqlite3.connect(engine.url.database, isolation_level=None, check_same_thread=False)
    for held in (0.005, 0.2):  # shorter, and longer, than a lock is looked for every millisecond
        holder.execute("BEGIN IMMEDIATE")
        release = threading.Timer(held, holder.execute, ["ROLLBACK"])
        release.start()
        with engine.begin() as conn:
            assert conn.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 20_000
        release.join()
    holder.close()
    engine.dispose()


def test_an_exception_undoes_the_whole_transaction(store):
    def write_and_fail():
        with store.begin() as conn:
            put_trouble(conn, "first")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()

    with reading(store) as conn:
        assert conn.execute(sa.select(trouble)).all() == []


def test_an_error_tells_nothing_of_what_was_written(store):
    with store.begin() as conn:
        put_trouble(conn, "a")

    with pytest.raises(exc.IntegrityError) as raised, store.begin() as conn:
        conn.execute(trouble.insert().values(what="a", message="s3cret", since=NOON, seen_at=NOON))

    assert "s3cret" not in str(raised.value)


def test_the_clock_of_a_store_on_this_machine_is_not_ahead(store):
    assert abs(measure_offset(store)) < 0.5


def test_every_store_has_an_identity_that_stays(store, store_url):
    with reading(store) as conn:
        uuid = instance_uuid(conn)
    again = open_engine(store_url)
    with reading(again) as conn:
        assert instance_uuid(conn) == uuid
    again.dispose()


def test_only_one_statement_reads_the_time_in_sql():
    """Instants are bound parameters from `checks.clock`, so that tests can move time and machines may differ."""
    package = Path(checks.__file__).parent
    found = subprocess.run(
        ["grep", "-rniE", "--include=*.py", r"\bnow\(\)|clock_timestamp|current_timestamp|datetime\('now", package],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    lines = [line for line in found.splitlines() if "utcnow()" not in line and "datetime.now()" not in line]

    assert len(lines) == 1, "\n".join(lines)
    assert 'sa.text("SELECT clock_timestamp()")' in lines[0]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (exc.OperationalError("s", {}, sqlite3.OperationalError("database or disk is full")), "the disk is full"),
        (
            exc.OperationalError("s", {}, sqlite3.OperationalError("database is locked")),
            "the store's file is locked by another process",
        ),
        (
            exc.OperationalError("s", {}, psycopg.OperationalError("connection failed: Connection refused")),
            "the store's server refuses connections",
        ),
        (exc.OperationalError("s", {}, psycopg.OperationalError("odd\nmore")), "the store failed: odd"),
        (exc.OperationalError("s", {}, psycopg.OperationalError()), "the store failed: OperationalError"),
        (exc.TimeoutError("QueuePool limit"), "all connections to the store are busy"),
        (OSError(28, "No space left on device"), "the disk is full"),
        (OSError(5, "Input/output error"), "the store can't be reached: Input/output error"),
        (ValueError("a bug"), ""),
    ],
)
def test_trouble_of_the_database_is_said_in_words(problem, words):
    assert our_trouble(problem) == words


def test_a_server_that_is_not_there_is_trouble_of_ours(unused_port):
    engine = open_engine(f"postgresql://user:hunter2@127.0.0.1:{unused_port}/name")
    with pytest.raises(exc.OperationalError) as caught, engine.connect():
        pass
    engine.dispose()

    assert our_trouble(caught.value) == "the store's server refuses connections"


def test_a_file_that_another_process_holds_is_trouble_of_ours(sqlite_url, monkeypatch):
    monkeypatch.setattr("checks.store.engine.BUSY_TIMEOUT", 0.05)
    one, other = open_engine(sqlite_url), open_engine(sqlite_url)
    with one.begin(), pytest.raises(exc.OperationalError) as caught, other.begin():
        pass
    one.dispose()
    other.dispose()

    assert our_trouble(caught.value) == "the store's file is locked by another process"
