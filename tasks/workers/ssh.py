"""The worker that is a host reached by ssh: nothing is asked of it but ``sh``, and the interpreters that build.

One connection serves a visit. Lost, it is made again and the visit goes on, at most twice: what the host has finished
is fetched, what ran there was ended and runs again. A file is sent only where the host has none of its digest.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import tempfile
import threading
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import process
from tasks.core.binaries import processor
from tasks.core.errors import BadInput, Failed, Refused, ServiceFailed
from tasks.core.matrix import SSH
from tasks.scratch import private_directory, scratch
from tasks.services.interpreters import PROBE, discovered
from tasks.wheelfile import sha256_of
from tasks.workers.bootstrap import fact
from tasks.workers.ssh_client import LOST, Address, Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Self

    from tasks.core.matrix import Instance
    from tasks.core.targets import PythonTag
    from tasks.process import Completed, Ended, Running
    from tasks.services.interpreters import Discovered

OPEN, AGENT = (Path(__file__).resolve().parents[2] / "templates" / name for name in ("ssh_open.sh", "ssh_agent.sh"))
RECONNECTIONS = 2
"""How often a visit's connection is made again."""
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each try to make it again: a host that restarts needs some time."""
COMING_BACK = 45.0
"""Seconds after which no try begins any more: each may take some itself."""
MOST_JOBS = 6  # sshd takes ten sessions of a connection: these, the transfers, and the one that listens
_TRANSFERS = 2
_NO_FILE = 44  # as ssh_agent.sh says it
_SOCKET = 40  # characters of a directory in which a control socket's path is not too long


class HostLost(Failed):
    """The host is gone for this visit."""


class SshWorker:
    """A host, as :class:`tasks.workers.Worker` has it; ``arch`` is the processor that it has to have."""

    may_install = True
    """Where its user is root, or becomes so without a password: a host is in the matrix to build."""

    def __init__(self, instance: Instance, arch: str, lease: AbstractContextManager[Instance] | None = None) -> None:
        """Take an ssh instance, or another one with what gets hold of it: how it is reached comes from there then."""
        self.kind = instance.worker
        self._name = f"{instance.name.partition(',')[0]},arch={arch}"
        self._lease = lease or nullcontext(instance)
        self._arch = arch
        self._held = ExitStack()
        self._changing = threading.Lock()
        self._transfers = threading.BoundedSemaphore(_TRANSFERS)
        self._stopping = threading.Event()
        self._reconnected = 0
        self._gone: HostLost | Refused | None = None
        self._numbers = 0
        self._visit = f"remote-visit-{secrets.token_hex(6)}"

    def __enter__(self) -> Self:
        try:
            reached = self._held.enter_context(self._lease)
            self._address = Address.of(reached)
            self._pythons: Mapping[str, str] = reached.python or {}
            self._folder = self._held.enter_context(scratch(_short_directory(), "ssh-"))
            try:
                facts = self._connect()
            except (ServiceFailed, Refused) as error:
                raise type(error)(f"{self._name}: {error}") from None
            self._held.callback(self._hang_up)
            self._look(facts)
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _hang_up(self) -> None:
        self._connection.close()

    def _connect(self) -> dict[str, list[str]]:
        """Make the connection; return the facts that the host tells of itself, each name's in their order."""
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir()
        connection = Connection(self._address, folder, self._stopping)
        lines = connection.open(opening(self._visit, [*self._pythons.values()]))
        self._connection = connection
        facts: dict[str, list[str]] = {}
        for line in lines:
            if found := fact(line):
                facts.setdefault(found[0], []).append(found[1])
        return facts

    def _look(self, facts: Mapping[str, Sequence[str]]) -> None:
        """Take in what the host is. Raises :class:`BadInput` where it has another processor."""
        said = {name: values[0] for name, values in facts.items()}
        found = processor(said["machine"])
        if found != processor(self._arch) and (found, self._arch) != ("x86_64", "i686"):
            if self.kind != SSH:
                raise ServiceFailed(
                    f"{self._name}: {self.kind} has handed out a host with the processor {said['machine']}"
                )
            raise BadInput(
                f"{self._name}: the host {self._address.host} has the processor {said['machine']}, "
                f"expected {self._arch}: name another host in the matrix, "
                f"or declare this one as {self._name.partition(',')[0]},arch={found}"
            )
        self.root = said["root"]
        self.environments = f"{self.root}/environments"
        self.path = said["path"]
        self.installer = said["uv"] or None
        self._agent = f"{self.root}/{self._visit}/agent.sh"
        self._processors = int(said["processors"]) if said["processors"].isdecimal() else 1
        self._sandboxed = said["system"] != "Linux" or bool(said["bwrap"])
        answers = sorted((each.split("\t", 2) for each in facts.get("python", [])), key=lambda each: int(each[0]))
        self._discovered: Discovered = discovered((Path(path), text) for _, path, text in answers)

    def warnings(self) -> Sequence[str]:
        """Warn where nothing keeps a build away from what else is on a Linux host."""
        if self._sandboxed:
            return ()
        rights = "builds run with all rights of that user; build trusted sources only"
        return (f"{self._name}: bubblewrap (bwrap) is not installed there: {rights}",)

    def jobs(self, wished: int | None) -> int:
        """Return as many builds as the host has processors; no more than sshd takes sessions."""
        return max(1, min(wished or self._processors, MOST_JOBS))

    def pythons(self) -> Sequence[str]:
        """Return the interpreters that were found there."""
        return [str(interpreter.executable) for interpreter in self._discovered.interpreters]

    def python_for(self, python: PythonTag) -> str:
        """Return an interpreter's path. Raises :class:`Failed`, naming those that are there."""
        found = self._discovered.get(python.tag)
        if found is None:
            raise Failed(f"{self._name}: {self._discovered.why_not(python.tag)}")
        return str(found.executable)

    def put(self, source: Path | bytes, name: str) -> str:
        """Send a file: bytes for this visit, a file for all that want one of its digest."""
        return self.put_all([(source, name)])[0]

    def put_all(self, files: Sequence[tuple[Path | bytes, str]]) -> list[str]:
        """Send what the host lacks of these files. A path's file keeps its name, in a directory of its digest."""
        digests = {source: sha256_of(source) for source, _ in files if isinstance(source, Path)}
        lacking = self._lacking(digests)
        return [
            self._write(source, name) if isinstance(source, bytes) else self._store(source, digests[source], lacking)
            for source, name in files
        ]

    def _lacking(self, digests: Mapping[Path, str]) -> set[str]:
        """Return the digests of files that the host has not, or not whole."""
        if not digests:
            return set()
        asked = "".join(sorted({f"{sha256} {path.name}\n" for path, sha256 in digests.items()}))
        answer = self._send(["lacking"], asked.encode()).stdout.splitlines()
        known = {line.partition(" ")[0] for line in asked.splitlines()}
        found = {line.partition(" ")[0]: line for line in answer}
        strange = next((line for sha256, line in found.items() if sha256 not in known), None)
        if strange is not None:  # and it would so before each file that is fetched
            raise Failed(
                f"{self._name}: the login shell of {self._address.host} prints {strange!r} where nobody is to read it; "
                "let it say that in interactive sessions alone"
            )
        return set(found)

    def _store(self, source: Path, sha256: str, lacking: set[str]) -> str:
        if sha256 in lacking:
            self._talk(["store", sha256, source.name], source=source)
            lacking.remove(sha256)
        return f"{self.root}/files/{sha256}/{source.name}"

    def _write(self, data: bytes, name: str) -> str:
        self._send(["write", hashlib.sha256(data).hexdigest(), name], data)
        return f"{self.root}/{self._visit}/{name}"

    def _send(self, words: Sequence[str], data: bytes) -> Completed:
        """Have the agent read some bytes: out of a file, since a session that is begun again reads them again."""
        path = self._folder / secrets.token_hex(8)
        path.write_bytes(data)
        try:
            return self._talk(words, source=path)
        finally:
            path.unlink()

    def directory(self, name: str) -> str:
        """Make a directory in the visit's directory."""
        self._talk(["make", name])
        return f"{self.root}/{self._visit}/{name}"

    def get(self, path: str, destination: Path) -> None:
        """Fetch a file, whose digest the host says; a link that a build may have left there is not followed."""
        sha256 = self._talk(["fetch", path], sink=destination, missing=path).stderr.strip().splitlines()[-1:]
        found = sha256_of(destination)
        if sha256 != [found]:
            raise Failed(f"{path} arrived with the sha256 {found}, {self._name} says {' '.join(sha256) or 'none'}")

    def stop(self) -> None:
        """Have what is under way end: a file that is sent or fetched, a connection that is made again."""
        self._stopping.set()

    def start(self, argv: Sequence[str], on_line: Callable[[str], None]) -> RemoteRun:
        """Start a program, with what sshd gives it as environment."""
        with self._changing:
            self._numbers += 1
            connection, words = self._connection, ["run", str(self._numbers), *argv]
        running = process.start(connection.session(self._agent, words), on_line)
        return RemoteRun(running, lambda: self._was_lost(connection))

    def _talk(
        self, words: Sequence[str], *, source: Path | None = None, sink: Path | None = None, missing: str = ""
    ) -> Completed:
        """Have the agent do something. Raises :class:`FileNotFoundError`, or :class:`Failed` with the host's reason."""
        while True:
            connection = self._connection
            with self._transfers:
                session = connection.session(self._agent, words)
                done = process.copy(session, self._stopping, source=source, sink=sink)
            if done.returncode == LOST and self._was_lost(connection):
                continue
            if missing and done.returncode == _NO_FILE:
                raise FileNotFoundError(missing)
            if done.returncode:
                last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
                raise Failed(f"{self._name}: the host {self._address.host} cannot {words[0]} {words[-1]}: {last}")
            return done

    def _was_lost(self, connection: Connection) -> bool:
        """Make the connection again, if it was lost; one thread does, for all.

        Raises :class:`HostLost`, and :class:`Refused` where another host answers now.
        """
        if not connection.lost():
            return False
        with self._changing:
            if self._connection is connection:
                self._gone = self._gone or self._reconnect()
                if self._gone is not None:
                    raise type(self._gone)(str(self._gone))
        return True

    def _reconnect(self) -> HostLost | Refused | None:
        """Make the connection again, after one of :data:`PAUSES`; return why there is none."""
        lost = f"{self._name}: the connection to {self._address.host} was lost"
        if self._reconnected == RECONNECTIONS:
            return HostLost(f"{lost} {RECONNECTIONS + 1} times")
        self._reconnected += 1
        last, began = "the visit is being ended", time.monotonic()
        for pause in PAUSES:
            if self._stopping.wait(pause) or time.monotonic() - began > COMING_BACK:
                break
            try:
                facts = self._connect()
            except ServiceFailed as error:
                last = str(error)
            except Refused as error:
                return Refused(f"{lost}, and {error}")
            else:
                return None if "visit" in facts else HostLost(f"{lost}, and comes back without what was sent there")
        return HostLost(f"{lost}, and does not come back: {last}")


class RemoteRun:
    """A program that runs on the host: one thread waits, any thread may stop it."""

    def __init__(self, running: Running, was_lost: Callable[[], bool]) -> None:
        self._running = running
        self._was_lost = was_lost

    def stop(self) -> None:
        """Let go of it; the host ends it with the visit."""
        self._running.stop()

    def wait(self) -> Ended:
        """Hand its lines on until it ends. ``lost`` says that the connection did, which there is again now.

        Raises :class:`HostLost`.
        """
        ended = self._running.wait()
        if ended.returncode == LOST and not ended.stopped and self._was_lost():
            return replace(ended, lost=True)
        return ended


def opening(visit: str, pythons: Sequence[str]) -> str:
    """Return what the host's sh reads first: its arguments, then the agent, which goes on."""
    arguments = shlex.join([visit, PROBE, *pythons])
    first, agent = OPEN.read_text(encoding="utf-8"), AGENT.read_text(encoding="utf-8")
    return f'set -- {arguments}\n{first}{agent}spare-tire-end\nexec sh "$visit/agent.sh" keep "$@"\n'


def _short_directory() -> Path:
    """Return a directory of this user alone whose path leaves room for that of a socket."""
    temporary = Path(tempfile.gettempdir()).resolve()
    parent = temporary if len(str(temporary)) < _SOCKET else Path("/tmp")  # noqa: S108 - made this user's alone
    try:
        return private_directory(parent / f"spare-tire-{os.geteuid()}")
    except PermissionError as error:
        raise BadInput(f"{error.strerror or error}; remove it, or set TMPDIR to a directory of your own") from error
