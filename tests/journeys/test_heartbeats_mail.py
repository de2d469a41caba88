"""Jobs that report by mail, to the real process that `up` starts."""

from __future__ import annotations

import signal
import smtplib
import time
from email.message import EmailMessage

import pytest

from tests.journeys.ports import accepts, free_port
from tests.journeys.stack import Stack, environment, manage
from tests.journeys.town import Town
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


def send(port: int, to: str, subject: str) -> str:
    """What became of a mail: stored, or why not."""
    message = EmailMessage()
    message["Subject"] = subject
    message.set_content("the job's output")
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.sendmail("cron@db1.example.org", [to], message.as_bytes())
    except (OSError, smtplib.SMTPException) as exc:
        return repr(exc)
    return "stored"


def pinged(stack: Stack) -> int:
    rows = stack.query(
        "SELECT sum(count) AS heard FROM ping JOIN monitor_state USING (monitor) WHERE slug = 'mailed'", store=True
    )
    return int(rows[0]["heard"])


@pytest.mark.long_on("postgresql")
def test_a_mail_moves_its_monitor_and_what_was_answered_survives_a_killed_server(town: Town) -> None:
    stack, port = town.stack, town.mail_port
    wait_until(lambda: accepts(port), within=30, what="mails are taken")
    code = stack.monitors()["mailed"]["ping_url"].rpartition("/")[2]
    assert send(port, f"{code}@stillup.example.org", "Backup done") == "stored"
    stack.wait_status("mailed", "up", within=5)

    stored, killed = 1, False
    end = time.monotonic() + 30
    while stored < 40 and time.monotonic() < end:
        stored += send(port, f"{code}+log@stillup.example.org", "Backup") == "stored"
        if stored >= 10 and not killed:
            stack.kill("mail_pings")
            killed = True
        time.sleep(0.02)
    assert stored == 40, "it was started again"
    assert pinged(stack) >= stored

    assert send(port, f"{code}@stillup.example.org", "Backup FAILED") == "stored"
    stack.wait_status("mailed", "down", within=5)
    assert "550" in send(port, "00000000-0000-4000-8000-000000000000@x.org", "nobody's")
    assert code not in stack.log, "no address stands in the log"

    mail_pings = stack.find("mail_pings")
    assert mail_pings is not None
    begun = time.monotonic()
    mail_pings.send_signal(signal.SIGTERM)
    mail_pings.wait(10)
    assert time.monotonic() - begun < 5
    assert "mail_pings  stopped" in stack.log


def test_a_wrong_address_of_mails_stops_the_start_with_a_sentence(tmp_path) -> None:
    env = {**environment(tmp_path / "data"), "STILLUP_MAIL_PINGS": "mail"}
    done = manage("up", "--port", str(free_port()), env=env)
    assert done.returncode == 78
    assert done.stderr.strip() == "stillup: STILLUP_MAIL_PINGS is 'mail'; expected host:port, as in 127.0.0.1:2525"
