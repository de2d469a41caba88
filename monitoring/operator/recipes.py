"""How a job of each sort reports, with its own address filled in: what a person copies."""

from __future__ import annotations

from dataclasses import dataclass

from checks.schedule import Schedule

CURL = "curl --fail --silent --show-error --retry 5 --retry-connrefused --max-time 10 --output /dev/null"
_CRON_FIELDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to report, ready to be copied."""

    key: str
    name: str
    note: str
    text: str


def recipes(url: str, schedule: Schedule) -> list[Recipe]:
    """The ways to report to a ping URL. A cron expression of the monitor stands where the job's own will."""
    when = _cron_line(schedule)
    return [
        Recipe(key=key, name=name, note=note, text=text.replace("<url>", url).replace("<when>", when))
        for key, name, note, text in _RECIPES
    ]


def _cron_line(schedule: Schedule) -> str:
    """The first of its cron expressions that a crontab can say; it has no seconds."""
    plain = (each for each in schedule.cron if each.startswith("@") or len(each.split()) == _CRON_FIELDS)
    return next(plain, "0 3 * * *")


_RECIPES = (
    (
        "cron",
        "cron",
        "In a crontab: the job, then its exit code. All but 0 are failures.",
        f"<when> your-job; {CURL} <url>/$?",
    ),
    (
        "beat",
        "beat",
        "Our own clients/beat, a shell script: reports start, exit code and output, and keeps on disk what can't be sent.",
        "<when> beat <url> -- your-job",
    ),
    (
        "systemd",
        "systemd",
        "In the service that a timer starts.",
        f"""[Service]
Type=oneshot
ExecStartPre=-{CURL.replace("curl", "/usr/bin/curl", 1)} <url>/start
ExecStart=/usr/local/bin/your-job
ExecStopPost=-/bin/sh -c 'test "$$SERVICE_RESULT" = success && end=0 || end=fail; exec {CURL} <url>/$$end'""",
    ),
    (
        "bash",
        "bash",
        "At the top of a script: whatever ends it, its exit code is reported.",
        f"""report() {{ {CURL} "<url>/$1" || true; }}
trap 'report $?' EXIT
report start""",
    ),
    (
        "python",
        "Python",
        "With nothing but the standard library.",
        """import time
import urllib.request


def report(what):
    for pause in (1, 2, 4, 8, 0):
        try:
            urllib.request.urlopen(f"<url>/{what}", timeout=10).close()
            return
        except OSError:
            time.sleep(pause)


report("start")
try:
    your_job()
except BaseException:
    report("fail")
    raise
report(0)""",
    ),
    (
        "powershell",
        "PowerShell",
        "PowerShell 7: whether the program failed.",
        """$report = @{ MaximumRetryCount = 5; RetryIntervalSec = 2; TimeoutSec = 10 }
Invoke-RestMethod -Uri "<url>/start" @report | Out-Null
& your-job.exe
$end = if ($?) { 0 } else { "fail" }
Invoke-RestMethod -Uri "<url>/$end" @report | Out-Null""",
    ),
    (
        "github",
        "GitHub Actions",
        "The last step of the job. In a public repository keep the address in a secret.",
        f"""      - name: Report
        if: always()
        run: {CURL} "<url>/$(test "${{{{ job.status }}}}" = success && echo 0 || echo fail)\"""",
    ),
    (
        "kubernetes",
        "Kubernetes",
        "In the CronJob's container, whose image has a shell and curl.",
        f"""          command: ["/bin/sh", "-c"]
          args:
            - |
              {CURL} <url>/start
              your-job
              code=$?
              {CURL} <url>/$code
              exit $code""",
    ),
)
