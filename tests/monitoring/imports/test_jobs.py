"""What a job is called, and what is said of it."""

from __future__ import annotations

import pytest

from checks.probes.heartbeat import HeartbeatSpec
from checks.schedule import Schedule
from monitoring.imports.jobs import Job, grace_of, named, reports_already, title


def job(command: str, **more: object) -> Job:
    return Job(**{"line": 7, "command": command, "schedule": {"cron": "0 3 * * *"}, **more})


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/local/bin/backup.sh --all", "backup"),
        ("cd /srv && sudo -u app /srv/bin/backup.sh", "backup"),
        ("nice -n 10 ionice -c 3 flock -n /var/lock/x /opt/sync", "sync"),
        ("timeout 60 python3 -m reports.daily", "reports.daily"),
        ("FOO=1 BAR='a b' /usr/bin/php -q /srv/cron.php > /dev/null", "cron"),
        ('bash -c "cd /x; rsync -a /a /b"', "rsync"),
        ("test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }", "cron.daily"),
        ("cd / && run-parts --report /etc/cron.hourly", "cron.hourly"),
        ("[ -x /usr/bin/x ] && /usr/bin/certbot -q renew", "certbot"),
        ("true; (umask 077; pg_dump shop | gzip > /b)", "pg_dump"),
        ('echo "it is not closed', "echo"),
        ("", ""),
        ("cd /", ""),
    ],
)
def test_a_job_is_called_by_what_it_runs(command: str, name: str) -> None:
    assert title(command) == name


def test_every_job_has_a_slug_of_its_own() -> None:
    jobs = [job("/a/backup.sh"), job("/b/backup.sh 2"), job("cd /"), job("x", slug="unit"), job("日本")]
    slugs = [each.slug for each in named(jobs, taken=["backup", "unit", "unit-2"])]
    assert slugs == ["backup-2", "backup-3", "job-7", "unit-3", "job-7-2"]
    assert [each.slug for each in named(jobs[:1], prefix="Web 1")] == ["web-1-backup"]


def test_a_name_of_any_length_makes_a_slug() -> None:
    slugs = [each.slug for each in named([job("/bin/" + "x" * 300)] * 12)]
    assert len(set(slugs)) == 12
    assert all(len(slug) <= 100 for slug in slugs)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("mysqldump -uroot -pS3cret shop | gzip", "mysqldump -uroot -p•••••• shop | gzip"),
        ("backup --password S3cret --to /b", "backup --password •••••• --to /b"),
        ("backup --api-key=S3cret", "backup --api-key=••••••"),
        ("PGPASSWORD='S3cret' pg_dump", "PGPASSWORD=•••••• pg_dump"),
        ('API_KEY="S3cret two" x --password="S3cret" -v', "API_KEY=•••••• x --password=•••••• -v"),
        ("mysqldump -p'S3cret' db", "mysqldump -p•••••• db"),
        ('curl -H "Authorization: Bearer S3cret" https://x/', 'curl -H "Authorization: ••••••" https://x/'),
        ("curl -H 'X-Api-Key: S3cret' https://x/", "curl -H 'X-Api-Key: ••••••' https://x/"),
        ("curl --oauth2-bearer S3cret https://x/", "curl --oauth2-bearer •••••• https://x/"),
        ("sshpass -p S3cret ssh h; redis-cli -a S3cret save", "sshpass -p •••••• ssh h; redis-cli -a •••••• save"),
        ("gpg --passphrase S3cret -c f", "gpg --passphrase •••••• -c f"),
        ("openssl enc -passin pass:S3cret", "openssl enc -passin pass:••••••"),
        ("mysqldump -p db --note 'monkey: none'", "mysqldump -p db --note 'monkey: none'"),
        ("curl -u me:S3cret https://x/", "curl -u me:•••••• https://x/"),
        ("curl https://me:S3cret@x/?token=S3cret", "curl https://••••••@x/?token=••••••"),
        ("rsync -p /a /b", "rsync -p /a /b"),
    ],
)
def test_what_is_said_of_a_job_has_no_password(command: str, shown: str) -> None:
    assert job(command).description == shown


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        (Schedule(cron=("* * * * *",)), 60),
        (Schedule(cron=("*/5 * * * *",)), 75),
        (Schedule(cron=("*/20 9-17 * * 1-5",)), 300),  # whatever the time is until the next morning
        (Schedule(cron=("0 3 * * *",)), 3600),
        (Schedule(every=1800.0), 450),
        (Schedule(cron=("0 0 29 2 *",)), 3600),
    ],
)
def test_the_grace_follows_from_the_shortest_time_between_two_runs(schedule: Schedule, seconds: float) -> None:
    assert grace_of(schedule).total_seconds() == seconds


def test_a_proposal_is_a_heartbeat() -> None:
    (each,) = named([job("/srv/backup.sh", schedule={"cron": "0 3 * * *", "timezone": "Europe/Riga"})])
    spec = each.spec()
    assert isinstance(spec, HeartbeatSpec)
    assert (spec.slug, spec.grace, spec.schedule.timezone) == ("backup", 3600.0, "Europe/Riga")
    assert spec.description == "/srv/backup.sh"


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ({"cron": "0 3 * * *"}, ""),
        ({"cron": "0 3 31 2 *"}, "never occurs"),
        ({"cron": "0 3 * * *", "timezone": "Mars/Olympus"}, "unknown time zone"),
        ({"every": "500ms"}, "schedule.every: Input should be greater than or equal to 1"),
    ],
)
def test_what_can_not_be_watched_is_told(schedule: dict[str, str], problem: str) -> None:
    found = job("x", schedule=schedule).problem()
    assert problem in found
    assert bool(problem) == bool(found)


@pytest.mark.parametrize(
    ("command", "reports"),
    [
        ("backup; curl https://s/ping/8c0f6cb2-6f1e-4b0a-9d50-2f3c1f0f8a11/$?", True),
        ("beat https://s/ping/aB3_-xYz0123456789abcd/backup -- backup", True),
        ("/usr/local/bin/beat PING-URL-OF-backup -- backup", True),
        ("celery -A shop beat --loglevel info", False),
        ("curl https://example.org/ping/", False),
        ("/srv/ping/all.sh", False),
    ],
)
def test_a_job_that_reports_is_known(command: str, reports: bool) -> None:
    assert reports_already(command) is reports
