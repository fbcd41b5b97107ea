"""The one door to other programs. Each runs in a process group of its own, which is killed whole (POSIX).

Nothing here raises for an exit code: what a program answered is a value, and its meaning is the caller's business.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tasks.core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LINE_LIMIT = 32 * 1024
"""Bytes of a line that are kept: a program that never ends its line costs no more memory than this."""

_CUT = "… (line cut)"
_CHUNK = 64 * 1024
_TICK = 0.2  # seconds between looks at a program that says nothing
_GRACE = 5.0  # seconds from SIGTERM to SIGKILL: a helper on its way out has builds of its own to end
_LINGER = 1.0  # seconds that a daemon may still hold the output of a program that has ended


class CannotStart(BadInput):
    """A program is not there, or is none."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(f"{program} cannot be started: {reason}")
        self.program = program
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a program ended, and what it wrote; a program that was killed has the signal's negative as return code."""

    returncode: int
    stdout: str
    stderr: str
    timed_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended whose lines were handed on as they came."""

    returncode: int
    stopped: bool = False
    """Whether :meth:`Running.stop` ended it."""
    lost: bool = False
    """Whether nobody knows how it ended: it ran on a host, and the connection to that was lost."""


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: str | None = None,  # noqa: A002 - the name that subprocess gives it
    timeout: float | None = None,
) -> Completed:
    """Run a program to its end and return its output, decoded as UTF-8 with replacement.

    ``env`` is the whole environment, ``None`` this one's; ``timeout`` is in seconds. Raises :class:`CannotStart`.
    """
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    process = _start(argv, env=env, cwd=cwd, stdin=stdin, stderr=subprocess.PIPE)
    sent = None if input is None else input.encode()
    timed_out = False
    with process:
        try:
            stdout, stderr = process.communicate(sent, timeout=timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            _kill(process, grace=0)
            stdout, stderr = _leftovers(process)
        finally:
            _kill(process, grace=0)
    return Completed(
        returncode=process.returncode,
        stdout=stdout.decode(errors="replace"),
        stderr=stderr.decode(errors="replace"),
        timed_out=timed_out,
    )


def copy(
    argv: Sequence[str], stopping: threading.Event, *, source: Path | None = None, sink: Path | None = None
) -> Completed:
    """Run a program to its end that reads a file or writes one: ``stdout`` is empty where it went into ``sink``.

    It is killed once ``stopping`` is set. Raises :class:`CannotStart`, and :class:`OSError` as the files give it.
    """
    with contextlib.ExitStack() as held:
        given = subprocess.DEVNULL if source is None else held.enter_context(source.open("rb"))
        taken = subprocess.PIPE if sink is None else held.enter_context(sink.open("wb"))
        process = held.enter_context(
            _start(argv, env=None, cwd=None, stdin=given, stdout=taken, stderr=subprocess.PIPE)
        )
        said: tuple[bytes | None, bytes] | None = None
        try:
            while said is None and not stopping.is_set():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    said = process.communicate(timeout=_TICK)
        finally:
            _kill(process, grace=0)
    stdout, stderr = said or (None, b"")
    return Completed(
        returncode=process.returncode,
        stdout=(stdout or b"").decode(errors="replace"),
        stderr=stderr.decode(errors="replace"),
    )


def start(
    argv: Sequence[str],
    on_line: Callable[[str], None],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    listening: bool = False,
) -> Running:
    """Start a program whose lines :meth:`Running.wait` hands on; raises :class:`CannotStart`.

    One that is ``listening`` hears what :meth:`Running.tell` says, and the end of that when this process has died.
    """
    stdin = subprocess.PIPE if listening else subprocess.DEVNULL
    process = _start(argv, env=env, cwd=cwd, stdin=stdin, stderr=subprocess.STDOUT)
    return Running(process, on_line)


class Running:
    """A program that runs: one thread waits, any thread may stop it."""

    def __init__(self, process: subprocess.Popen[bytes], on_line: Callable[[str], None]) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        self._process = process
        self._output = process.stdout
        self._lines = _Lines(on_line)
        self._stop = threading.Event()

    def stop(self) -> None:
        """Have the program's whole process group ended; returns at once, :meth:`wait` returns when it is done."""
        self._stop.set()

    def tell(self, text: str) -> None:
        """Write to a program that listens; one that has ended hears nothing, and nothing is raised for it."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(OSError, ValueError):  # the latter where the thread that waits has closed it
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()

    def wait(self) -> Ended:
        """Hand the lines on until the program ends or is stopped; nothing of it is left running then.

        Lines are decoded as UTF-8 with replacement, have no line end, and are no longer than :data:`LINE_LIMIT`. Of a
        line that was written over with carriage returns, the last state is handed on.
        """
        stopped = False
        try:
            while self._process.poll() is None and not stopped:
                self._read(_TICK)
                stopped = self._stop.is_set()
        finally:
            _kill(self._process, grace=_GRACE if self._process.poll() is None else 0)
            self._drain()
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):  # it may not have read all
                    self._process.stdin.close()
        return Ended(returncode=self._process.returncode, stopped=stopped)

    def _read(self, seconds: float) -> None:
        """Hand on what comes within ``seconds``."""
        if self._output.closed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            if not selector.select(seconds):
                return
        chunk = os.read(self._output.fileno(), _CHUNK)
        if not chunk:
            self._output.close()
        self._lines.feed(chunk)

    def _drain(self) -> None:
        """Hand on what the program wrote last; a daemon that left the group may hold the pipe open for ever."""
        deadline = time.monotonic() + _LINGER
        try:
            while not self._output.closed and time.monotonic() < deadline:
                self._read(_TICK)
            self._lines.close()
        finally:
            self._output.close()


class _Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._pending = bytearray()
        self._cut = False

    def feed(self, chunk: bytes) -> None:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._add(line)
            self._emit()
        self._add(rest)

    def close(self) -> None:
        if self._pending:
            self._emit()

    def _add(self, piece: bytes) -> None:
        self._pending += piece
        overwritten = self._pending.rfind(b"\r", 0, len(self._pending.rstrip(b"\r")))
        if overwritten >= 0:
            del self._pending[: overwritten + 1]
            self._cut = False
        if len(self._pending) > LINE_LIMIT:
            del self._pending[LINE_LIMIT:]
            self._cut = True

    def _emit(self) -> None:
        text = self._pending.rstrip(b"\r").decode(errors="replace") + (_CUT if self._cut else "")
        self._pending.clear()
        self._cut = False
        self._on_line(text)


def _start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: int | IO[bytes],
    stderr: int,
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - never through a shell
            list(argv),
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        if error.filename is not None and error.filename != argv[0]:
            raise  # the directory to run in: the caller made it up
        raise CannotStart(argv[0], _why(argv[0], error)) from error


def _why(program: str, error: OSError) -> str:
    if not isinstance(error, FileNotFoundError):
        return error.strerror or str(error)
    if os.sep not in program:
        return "there is no such program on PATH"
    return "the interpreter that its first line names is not there" if Path(program).exists() else "it is not there"


def _kill(process: subprocess.Popen[bytes], *, grace: float) -> None:
    """End the program's whole group: politely for ``grace`` seconds, then for good. Reaps the program."""
    try:
        if grace:
            _signal_group(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
    finally:  # an impatient second Ctrl-C included
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS refuses for zombies
        os.killpg(process.pid, number)


def _leftovers(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Return what a killed program had written; a daemon that left its group may hold the pipes open for ever."""
    try:
        return process.communicate(timeout=_LINGER)
    except subprocess.TimeoutExpired as error:
        return error.stdout or b"", error.stderr or b""
