"""`command`: runs a program of the operator's and judges its exit status and what it wrote. No shell is involved.

Off unless the environment names the directory whose programs may run: whoever may edit monitors must not thereby run
what they like on the workers. A program gets nothing of ours: an empty directory of its own, a short environment, no
input, bounded memory. At the deadline it and all that it started in its process group are killed; so is it, with us.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from math import ceil
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from checks import clock
from checks.environment import read_env
from checks.evidence import excerpt
from checks.expect import Subject
from checks.probe import TIMINGS, Kind, ProbeContext, ProbeFailure, Stopwatch
from checks.protocols import launcher
from checks.result import Failure, Observation, Reason
from checks.spec import Line, ProbedSpec, SecretMark

DIRECTORY = "STILLUP_COMMANDS"  # the environment variable
MAX_OUTPUT = 1024 * 1024  # bytes of output, and as many of errors
MAX_FILE = 64 * 1024 * 1024  # bytes of a file that it writes
MAX_DESCRIPTORS = 1024
DRAIN = 0.2  # seconds for what is still in the pipes once the program has ended
REAP = 1.0  # seconds for a killed process to be gone
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# What a loader, a shell or an interpreter takes code from.
_CODE = re.compile(
    r"(LD_|DYLD_|GCONV_|GIT_|PYTHON).*|PATH|(BASH_)?ENV|IFS|PS4|SHELLOPTS|BASHOPTS|PROMPT_COMMAND"
    r"|PERL(LIB|5.*)|RUBY(OPT|LIB)|NODE_(OPTIONS|PATH)|_?JAVA_.*OPTIONS|JDK_.*OPTIONS|CLASSPATH|LUA_.*"
    r"|EDITOR|VISUAL|PAGER|BROWSER",
)


def _is_program(name: str) -> str:
    if not _PROGRAM.fullmatch(name):
        raise ValueError(f"is the name of a program in the directory that {DIRECTORY} names, without a path")
    return name


def _is_variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an environment variable; allowed: letters, digits and _")
    if _CODE.fullmatch(name):
        raise ValueError(f"{name} makes programs run other code, and is not for a monitor to set")
    return name


VariableName = Annotated[str, Field(max_length=100), AfterValidator(_is_variable)]


class CommandSpec(ProbedSpec):
    """Options of a monitor that runs a program of this installation's own."""

    default_expect: ClassVar[tuple[str, ...]] = ("exit_status == 0",)
    target_option: ClassVar[str] = "program"
    example: ClassVar[str] = """
        program: check_backups
        arguments: [--max-age, 26h]
        environment: {BACKUP_TOKEN: "${BACKUP_TOKEN}"}
        expect: [exit_status in 0-1]
        degraded: [exit_status == 0]
        """
    subjects: ClassVar[Mapping[str, Subject]] = {
        "exit_status": Subject(
            "exit_status", "number", "Its exit status; 128 and the signal's number where a signal ended it."
        ),
        "output": Subject("output", "bytes", "What it wrote to its standard output."),
        "errors": Subject("errors", "bytes", "What it wrote to its standard error."),
        "json": Subject("json", "json", "A value in its output, chosen by a JSONPath.", argument="jsonpath"),
        "latency": TIMINGS["latency"],
    }

    kind: Literal["command"] = "command"
    """Runs a program on the worker, where STILLUP_COMMANDS allows it."""
    program: Annotated[Line, Field(min_length=1, max_length=100), AfterValidator(_is_program)]
    """The name of a file in the directory that STILLUP_COMMANDS names."""
    arguments: tuple[Annotated[Line, Field(max_length=4096)], ...] = Field(default=(), max_length=50)
    """What it is given, one argument an entry; no shell reads them. Every user of the machine can see them."""
    environment: Annotated[
        dict[VariableName, Annotated[Line, Field(max_length=4096)]], Field(max_length=50), SecretMark()
    ] = {}
    """Environment variables, by name, beside PATH, LANG, HOME and TMPDIR. Kept like passwords."""
    memory_mib: Annotated[int, Field(strict=True, ge=16, le=65536)] = 512
    """How much memory each of its processes may use, in MiB: 16 to 65,536."""


def lacks() -> str:
    """Why no program may run here; empty where some may."""
    directory = read_env(DIRECTORY)
    if not directory:
        return f"programs are not run here: {DIRECTORY} would name the directory of those that may"
    if not Path(directory).is_absolute():
        return f"{DIRECTORY} is {directory!r}, and not the path of a directory from / on"
    return "" if hasattr(os, "pidfd_open") else "programs are run on Linux only"


def _refused(message: str) -> ProbeFailure:
    return ProbeFailure(Failure(reason=Reason.NO_DRIVER, message=message))


def _path_of(program: str) -> str:
    """The file that is run. Raises ProbeFailure where none may be: our fault, and nothing about a target."""
    if problem := lacks():
        raise _refused(problem)
    directory = Path(read_env(DIRECTORY))
    try:
        mode = directory.stat().st_mode
    except OSError as exc:
        raise _refused(f"the directory that {DIRECTORY} names can't be read: {exc.strerror}") from exc
    if not stat.S_ISDIR(mode) or mode & stat.S_IWOTH:
        why = "everybody may write into" if stat.S_ISDIR(mode) else "is none"
        raise _refused(f"{DIRECTORY} names a directory that {why}")
    path = directory / program
    if not path.is_file() or not os.access(path, os.X_OK):
        raise _refused(f"{program} is no program in the directory that {DIRECTORY} names")
    return str(path)


class Stream(asyncio.Protocol):
    """Collects what comes out of a pipe, up to a cap."""

    def __init__(self, watch: Stopwatch, overflow: asyncio.Future[None]) -> None:
        self.heard = bytearray()
        self.last_ns = 0  # when its last byte came
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watch, self._overflow = watch, overflow

    def data_received(self, data: bytes) -> None:
        """A piece of it."""
        at_ns = clock.monotonic_ns()
        if self._overflow.done():
            return
        if self._watch.phase == "other":
            self._watch.mark("other", "first_byte", at_ns)
        if self._watch.phase == "first_byte":
            self._watch.mark("first_byte", "transfer", at_ns)
        self.last_ns = at_ns
        room = MAX_OUTPUT - len(self.heard)
        self.heard += data[:room]
        if len(data) > room:
            self._overflow.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody holds its other end any more."""
        del exc
        if not self.closed.done():
            self.closed.set_result(None)


class Launch(asyncio.Protocol):
    """What the launcher says: nothing where the program runs, else why it does not."""

    def __init__(self, watch: Stopwatch) -> None:
        self.problem = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watch = watch

    def data_received(self, data: bytes) -> None:
        """A piece of an errno."""
        self.problem += data[:10]

    def connection_lost(self, exc: Exception | None) -> None:
        """The program runs, or will not."""
        del exc
        if self._watch.phase == "other":
            self._watch.mark("other", "first_byte")
        if not self.closed.done():
            self.closed.set_result(None)


async def probe(spec: CommandSpec, context: ProbeContext) -> Observation:
    """Run the program to its end."""
    seen, watch = context.seen, context.stopwatch
    watch.phase = "other"
    path = _path_of(spec.program)
    loop = asyncio.get_running_loop()
    overflow: asyncio.Future[None] = loop.create_future()
    launch, output, errors = Launch(watch), Stream(watch, overflow), Stream(watch, overflow)
    status: int | None = None

    def explanation() -> dict[str, Any]:
        evidence: dict[str, Any] = {"command": " ".join((spec.program, *spec.arguments))[:1000]}
        if status is not None:
            evidence["exit_status"] = spoken_status(status)
        for name, stream in (("output", output), ("errors", errors)):
            if stream.heard:
                evidence[name] = excerpt(bytes(stream.heard))
        return evidence

    seen.explain = explanation
    seen.progress = lambda: f"({len(output.heard)} bytes so far)"
    with _own_directory(loop) as directory:
        process, pipe = _started(spec, path, directory)
        pipes = [(launch, pipe), (output, process.stdout), (errors, process.stderr)]
        async with _watched(process) as exited, _reading(pipes):
            await _any(launch.closed, exited)
            if launch.problem:
                why = os.strerror(int(launch.problem))
                raise _refused(f"{spec.program} can't be run: {why}; has it a #! line, and is its interpreter there?")
            await _any(exited, overflow)
            _kill(process)  # also what it left behind
            if overflow.done():
                message = f"it wrote more than {MAX_OUTPUT // 1024} KiB"
                raise ProbeFailure(Failure(reason=Reason.TOO_LARGE, message=message, phase="transfer"))
            await asyncio.wait([output.closed, errors.closed], timeout=DRAIN)
            ended_ns = max(exited.result(), output.last_ns, errors.last_ns)
        status = process.wait()  # it was reaped
    watch.mark("transfer" if output.last_ns or errors.last_ns else "other", "other", ended_ns)
    seen.facts["exit_status"] = status if status >= 0 else 128 - status
    seen.facts["output"] = seen.facts["body"] = bytes(output.heard)
    seen.facts["errors"] = bytes(errors.heard)
    seen.complete = True
    return seen


async def _any(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def spoken_status(status: int) -> str:
    """An exit status in words: 3, or the signal."""
    if status >= 0:
        return str(status)
    try:
        return f"{128 - status}: ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"{128 - status}: ended by signal {-status}"


_IN_SILENCE: Mapping[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL) | {"check": False}


@contextmanager
def _own_directory(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """An empty directory, gone afterwards with all that is in it."""
    try:
        directory = tempfile.mkdtemp(prefix="stillup-")
    except OSError as exc:
        raise _refused(f"it can't be given a directory of its own: {exc.strerror}") from exc
    try:
        yield directory
    finally:
        try:
            os.rmdir(directory)  # noqa: PTH106 - the ordinary case, and the cheapest
        except OSError:
            # It may be full of files; no probe waits for them to be gone. Python would hold a descriptor for each level
            # of a deep tree, and leave the rest at a thousand.
            loop.run_in_executor(None, partial(subprocess.run, ["rm", "-rf", "--", directory], **_IN_SILENCE))


def _started(spec: CommandSpec, path: str, directory: str) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """The launcher, about to become the program, and what it says meanwhile.

    `Popen` by itself does not copy this process's page tables, as uvloop's fork does. (Measured in a worker of 300 MB:
    0.2 ms, against 16 ms in which no other probe moves.)
    """
    own = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": directory, "TMPDIR": directory}
    limits = {
        "RLIMIT_DATA": spec.memory_mib * 1024 * 1024,  # not what is only reserved, as Go and Java do
        "RLIMIT_CPU": ceil(spec.timeout) + 1,
        "RLIMIT_FSIZE": MAX_FILE,
        "RLIMIT_NOFILE": MAX_DESCRIPTORS,
        "RLIMIT_CORE": 0,
    }
    reading, writing = os.pipe()
    settings = [str(writing), str(os.getpid()), *(f"{name}={value}" for name, value in limits.items())]
    try:
        process = subprocess.Popen(  # noqa: S603 - a program that the operator put there
            [sys.executable, "-I", "-S", launcher.__file__, *settings, "--", path, *spec.arguments],
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(writing,),
            cwd=directory,
            env={**own, **spec.environment},
            start_new_session=True,
        )
    except BlockingIOError as exc:
        os.close(reading)
        message = "this machine has no room for another process"
        raise ProbeFailure(Failure(reason=Reason.NO_MEMORY, message=message)) from exc
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return process, os.fdopen(reading, "rb", buffering=0)


@asynccontextmanager
async def _watched(process: subprocess.Popen[bytes]) -> AsyncIterator[asyncio.Future[int]]:
    """Resolves to when the process ended. On leaving, the process and its group are gone and reaped."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[int] = loop.create_future()
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        _kill(process)
        process.communicate()
        raise

    def over() -> None:
        loop.remove_reader(descriptor)
        exited.set_result(clock.monotonic_ns())

    loop.add_reader(descriptor, over)
    try:
        yield exited
    finally:
        _kill(process)
        try:
            await asyncio.wait([exited], timeout=REAP)
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            process.poll()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole group. Not yet reaped, its number can't be another's."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


@asynccontextmanager
async def _reading(pipes: Sequence[tuple[asyncio.Protocol, Any]]) -> AsyncIterator[None]:
    """Reads all pipes, each into its protocol."""
    loop = asyncio.get_running_loop()
    transports: list[asyncio.ReadTransport] = []
    try:
        for protocol, pipe in pipes:
            transport, _ = await loop.connect_read_pipe(partial(_itself, protocol), pipe)
            transports.append(transport)
        yield
    finally:
        for transport in transports:
            transport.close()
        for _, pipe in pipes[len(transports) :]:
            pipe.close()


def _itself(protocol: asyncio.Protocol) -> asyncio.Protocol:
    return protocol


COMMAND = Kind(spec=CommandSpec, probe=probe, lacks=lacks)
