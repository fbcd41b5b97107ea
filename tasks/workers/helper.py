"""Builds one wheel from one sdist, or checks one: ``python helper.py JOB.json``. The same file runs on every worker.

Standard library only, Python 3.8 or later, POSIX. The job is a JSON object, format ``spare-tire/job`` version 1; its
fields and what they mean are the attributes of :class:`Job`. The answer is ``<output>/result.json``, format
``spare-tire/result`` version 1, written atomically and last, also where the action failed; beside it lies the wheel.
What the build prints is streamed to standard output as it comes; lines that begin with ``spare-tire:`` are our own.

Exit codes: 0 built, 1 the action failed (``reason`` in the result says why), 2 the job is wrong (nothing was run).

Trust: the sdist, its backend and the wheel are hostile until proven otherwise. Code of a package runs only in
:meth:`Runner.run` behind :class:`Sandbox`; installers run outside it, so they take wheels only, named by project and
version (by path only where the job names that wheel), and always into an environment that no package code has touched.
"""

from __future__ import annotations

import base64
import calendar
import collections
import contextlib
import csv
import email.parser
import errno
import fcntl
import hashlib
import importlib.metadata
import io
import json
import os
import re
import select
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
import traceback
import urllib.parse
import zipfile
import zlib
from dataclasses import MISSING, dataclass, field, fields
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Self

EARLIEST = 315532800  # 1980-01-01T00:00:00Z and
LATEST = 4354819198  # 2107-12-31T23:59:58Z: the times that a zip can hold, and so a wheel
GRACE = 3.0  # seconds between SIGTERM and SIGKILL
ROUNDS = 4  # environments made at most until the backend's wishes are met: hint, static, dynamic, and one to spare
NO_SPACE = os.strerror(errno.ENOSPC)
PLAIN = re.compile(  # PEP 508 without URLs: an installer would build what a URL or a path gives it, out of the sandbox
    r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?[ \t]*(\[[\w., \t-]*\])?[ \t]*"
    r"\(?[ \t]*([~=!<>][^;@/\\\r\n]*)?(;[^\r\n]*)?"
)

WHEEL = re.compile(r"[\w.!+]+(-[\w.!+]+){4,5}\.whl", re.ASCII)


class BadJob(Exception):
    """The job is wrong; the arguments are all the problems found, one sentence each."""


class Failed(Exception):
    """The action failed; the message is the reason, a sentence that a packager understands."""


class Lacking(Failed):
    """A requirement has no wheel for this interpreter and platform; ``wishes`` are all that is asked of it."""

    def __init__(self, reason: str, wishes: Sequence[str]) -> None:
        super().__init__(reason)
        self.wishes = list(wishes)


class Refused(Failed):
    """The sdist is hostile, or is not the one that was meant: nothing of it was run."""


class Stopped(BaseException):
    """A signal asked the helper to stop."""


# --- the job ----------------------------------------------------------------------------------------------------------


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_path(value: object) -> bool:
    return isinstance(value, str) and _is_text(value) and os.path.isabs(value)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_paths(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_path, value))


def _is_wheel(value: object) -> bool:
    return isinstance(value, str) and _is_path(value) and WHEEL.fullmatch(os.path.basename(value)) is not None


def _is_wheels(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_wheel, value))


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) and re.fullmatch(r"[a-z0-9-]+", item) for item in value
    )


def _is_requirements(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and PLAIN.fullmatch(item) for item in value)


def _is_variables(value: object) -> bool:
    return isinstance(value, dict) and all(re.fullmatch(r"[A-Za-z_]\w*", k) and _is_text(v) for k, v in value.items())


def _is_settings(value: object) -> bool:
    return isinstance(value, dict) and all(_is_text(item) or _is_list(item) for item in value.values())


def _is_check(value: object) -> bool:
    if not isinstance(value, dict) or not set(value) <= {"import", "requires", "run"}:
        return False
    if not _is_requirements(value.get("requires", [])):
        return False
    names, command = value.get("import"), value.get("run")
    return (names is None or _is_list(names)) and (command is None or _is_text(command))


def _matches(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _nullable(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or rule(value)


def _field(expected: str, rule: Callable[[object], bool], **default: Any) -> Any:  # noqa: ANN401 - as dataclasses has it
    return field(metadata={"expected": expected, "rule": rule}, **default)


@dataclass(frozen=True)
class Job:
    """One action: what to build, with what, and where. Each attribute is the job's field of that name.

    ``find_links`` are directories whose wheels are installed beside the index's, ``wheels`` are wheels that are taken,
    and no other release, wherever their projects are required; of the projects ``ours`` there are no others, whatever
    an index has of that name. ``shared`` is where actions keep environments for each other. ``check`` is null where
    nobody wants the wheel installed and tried. Where ``wheel`` is one that is there already, that is checked, and
    nothing is unpacked or built.
    """

    key: str = _field("64 hex digits", _matches("[0-9a-f]{64}"))
    package: Mapping[str, str] = _field(
        "an object with name and release",
        lambda v: isinstance(v, dict) and set(v) == {"name", "release"} and all(map(_is_text, v.values())),
    )
    sdist: str = _field("an absolute path", _is_path)
    sha256: str = _field("64 hex digits", _matches("[0-9a-f]{64}"))
    python: str = _field("an absolute path", _is_path)
    root: str = _field("an absolute path", _is_path)
    output: str = _field("an absolute path", _is_path)
    path: str = _field("a PATH", _is_text)
    build_tag: str = _field("empty, or a digit and letters", _matches(r"(\d[A-Za-z0-9_.]*)?"), default="")
    constraints: Sequence[str] = _field("a list of project names with versions", _is_requirements, default=())
    build_requires: Sequence[str] = _field("a list of project names with versions", _is_requirements, default=())
    env: Mapping[str, str] = _field("an object of strings", _is_variables, default_factory=dict)
    config_settings: Mapping[str, Any] = _field(
        "an object of strings and lists of strings", _is_settings, default_factory=dict
    )
    patches: Sequence[str] = _field("a list of absolute paths", _is_paths, default=())
    timeout: float = _field(
        "a number of seconds", lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and v > 0, default=3600
    )
    network: bool = _field("true or false", lambda v: isinstance(v, bool), default=False)
    installer: str | None = _field("the absolute path of uv, or null for pip", _nullable(_is_path), default=None)
    wheelhouse: str | None = _field("an absolute path, or null", _nullable(_is_path), default=None)
    find_links: Sequence[str] = _field("a list of absolute paths", _is_paths, default=())
    wheels: Sequence[str] = _field("a list of absolute paths of wheels", _is_wheels, default=())
    ours: Sequence[str] = _field("a list of normalized project names", _is_names, default=())
    wheel: str | None = _field("the absolute path of a wheel, or null", _nullable(_is_wheel), default=None)
    shared: str | None = _field("an absolute path, or null", _nullable(_is_path), default=None)
    index_url: str | None = _field("a URL, or null", _nullable(_is_text), default=None)
    sandbox: str = _field("auto, never or require", _matches("auto|never|require"), default="auto")
    check: Mapping[str, Any] | None = _field(
        "an object with import, requires and run, or null", _nullable(_is_check), default_factory=dict
    )


def read_job(path: str) -> Job:
    """Read a job. Raises :class:`BadJob` with every problem in it."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        raise BadJob(f"{path}: {error}") from None
    if not isinstance(found, dict) or found.pop("format", None) != "spare-tire/job":
        raise BadJob(f"{path}: not a job; expected an object whose format is spare-tire/job")
    version = found.pop("version", None)
    if version != 1:
        raise BadJob(f"{path}: version is {json.dumps(version)}; this helper knows version 1")
    problems = [f"{path}: {name}: is no field of a job" for name in found if name not in _FIELDS]
    for name, rule in _FIELDS.items():
        if name not in found:
            if rule.default is MISSING and rule.default_factory is MISSING:
                problems.append(f"{path}: {name}: is missing; expected {rule.metadata['expected']}")
        elif not rule.metadata["rule"](found[name]):
            value = json.dumps(found[name])
            problems.append(f"{path}: {name}: is {value}; expected {rule.metadata['expected']}")
    if problems:
        raise BadJob(*problems)
    return Job(**found)


_FIELDS = {item.name: item for item in fields(Job)}


# --- the scratch directory --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scratch:
    """The build's own directory, at the same path on every run, and what is in it."""

    path: str
    source: str
    env: str
    home: str
    tmp: str
    out: str
    check: str
    pip: str

    @classmethod
    def at(cls, path: str) -> Scratch:
        """Return the scratch directory whose root is ``path``."""
        return cls(path, *(os.path.join(path, item.name) for item in fields(cls)[1:]))


@contextlib.contextmanager
def scratch_directory(job: Job) -> Iterator[Scratch]:
    """Hold the action's scratch directory, empty at the start and gone at the end; a second process waits for it."""
    os.makedirs(job.root, exist_ok=True)
    sweep(job.root)
    scratch = Scratch.at(os.path.join(os.path.realpath(job.root), job.key[:16]))
    with _locked(scratch.path + ".lock", "waiting for another build of this recipe"):
        remove(scratch.path)
        os.mkdir(scratch.path, 0o700)
        try:
            yield scratch
        finally:
            for number in STOPPING:
                signal.signal(number, signal.SIG_IGN)  # an interruption must not leave half of it behind
            remove(scratch.path)


@contextlib.contextmanager
def _locked(path: str, waiting: str) -> Iterator[None]:
    """Hold a lock that dies with this process. The file goes with the lock, so a waiter may wake up on a file gone."""
    while True:
        with open(path, "a", encoding="utf-8") as file:
            if not _got(file):
                say(waiting)
                while not _got(file):
                    if nobody_listens():
                        raise BrokenPipeError
                    time.sleep(0.1)
            if not _still_there(file.fileno(), path):
                continue
            try:
                yield
            finally:
                os.unlink(path)
            return


def sweep(root: str) -> None:
    """Remove the scratch directories of builds that were killed: nobody holds their locks."""
    for name in sorted(os.listdir(root)):
        path = os.path.join(root, name)
        if re.fullmatch("[0-9a-f]{16}", name):
            with open(path + ".lock", "a", encoding="utf-8") as file:
                if _got(file) and _still_there(file.fileno(), path + ".lock"):
                    with contextlib.suppress(OSError):  # it may be in nobody's way
                        remove(path)
                    os.unlink(path + ".lock")


def _got(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_there(handle: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def empty(*directories: str) -> None:
    """Make each directory anew."""
    for directory in directories:
        remove(directory)
        os.makedirs(directory)


def remove(path: str) -> None:
    """Remove a tree, also one whose directories its build made unwritable; symbolic links are never followed."""
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        try:
            shutil.rmtree(path)
        except PermissionError:
            os.chmod(path, 0o700)
            for parent, directories, _ in os.walk(path):
                for name in directories:
                    if not os.path.islink(os.path.join(parent, name)):
                        os.chmod(os.path.join(parent, name), 0o700)
            shutil.rmtree(path)


def say(message: str) -> None:
    """Print a line of the helper's own, at once."""
    print(f"spare-tire: {message}", flush=True)


def nobody_listens() -> bool:
    """Whether standard output is a pipe that nobody reads any more: who wanted this wheel has gone, or was killed."""
    waiting = select.poll()
    waiting.register(sys.stdout.fileno(), 0)
    return bool(waiting.poll(0))  # nothing but POLLERR and POLLHUP can come of 0


# --- processes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """A process that ended: its exit status and the last lines it printed, without colours."""

    status: int
    lines: Sequence[str]

    @property
    def last_line(self) -> str:
        """The last line that says something, else the exit status in words."""
        said = [line.strip() for line in self.lines if line.strip()]
        return said[-1] if said else f"exit status {self.status} and not a word"

    @property
    def met_full_disk(self) -> bool:
        """True where it says that the disk is full, which its last line mostly does not."""
        return any(NO_SPACE in line for line in self.lines)

    def failure(self, what: str) -> Failed:
        """Return the failure of ``what``, for which this process was run."""
        if self.met_full_disk:
            return Failed(f"{what}: the disk is full ({NO_SPACE})")
        return Failed(f"{what}: {self.last_line}")


class Runner:
    """Runs processes, each in a session of its own, streams what they print, and leaves none of them behind.

    A guardian process, forked at the start, listens on a pipe that only this process holds open: when this process
    dies, however it dies, the guardian kills the group that was running. On Linux this process also adopts, and kills,
    daemons that left their group.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.deadline = time.monotonic() + timeout
        self._children_file = _adopt_orphans()

    def __enter__(self) -> Self:
        reading, self._guard = os.pipe()
        self._guardian = os.fork()
        if self._guardian == 0:
            os.close(self._guard)
            _stand_guard(reading)
        os.close(reading)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._guard)
        os.waitpid(self._guardian, 0)

    def run(
        self, argv: Sequence[str], cwd: str, variables: Mapping[str, str], *, stdin: str = os.devnull, show: bool = True
    ) -> Ended:
        """Run a process to its end. Raises :class:`Failed` when it cannot start or time is up."""
        with open(stdin, "rb") as given:
            try:
                child = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env=dict(variables),
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise Failed(f"{argv[0]} does not start: {error.strerror}") from None
        try:
            os.write(self._guard, b"%d\n" % child.pid)
            lines = self._relay(child, show=show)
            return Ended(child.wait(max(0.0, self.deadline - time.monotonic())), lines)
        except subprocess.TimeoutExpired:
            raise self._time_is_up() from None
        finally:
            self._end(child)
            os.write(self._guard, b"0\n")
            cast("IO[bytes]", child.stdout).close()

    def _relay(self, child: subprocess.Popen[bytes], *, show: bool) -> list[str]:
        """Pass the output on line by line until it ends, or its process has ended; return the last lines."""
        handle, pending, ended = cast("IO[bytes]", child.stdout).fileno(), b"", False
        last: collections.deque[bytes] = collections.deque(maxlen=200)
        while True:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise self._time_is_up()
            ready = select.select([handle], [], [], min(left, 0.2))[0]
            if not ready and nobody_listens():
                raise BrokenPipeError
            chunk = os.read(handle, 1 << 16) if ready else b""
            over = not chunk and (bool(ready) or ended)
            *lines, pending = (pending + chunk).split(b"\n")
            if pending and (over or len(pending) > 1 << 16):
                lines, pending = [*lines, pending], b""
            last.extend(lines)
            if show and lines:
                sys.stdout.buffer.write(b"".join(line + b"\n" for line in lines))
                sys.stdout.buffer.flush()
            if over:
                return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line.decode("utf-8", "replace")) for line in last]
            if not ended and child.poll() is not None:
                ended = True
                self._end(child)  # what it left running holds the pipe open

    def _time_is_up(self) -> Failed:
        return Failed(f"the action took longer than its time-out of {self.timeout:g} s and was stopped")

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """Leave nothing alive of what the child started."""
        if not self._group_gone(child, signal.SIGTERM):
            self._group_gone(child, signal.SIGKILL)
        while self._bury(child, kill=True):
            time.sleep(0.001)

    def _group_gone(self, child: subprocess.Popen[bytes], number: int) -> bool:
        """Signal the child's process group; true once nobody is left in it, false after a time of grace."""
        give_up = time.monotonic() + GRACE
        try:
            os.killpg(child.pid, number)
            while time.monotonic() < give_up:
                child.poll()
                self._bury(child, kill=False)
                os.killpg(child.pid, 0)
                time.sleep(0.01)
        except (ProcessLookupError, PermissionError):  # macOS says EPERM where only zombies are left
            child.poll()
            return True
        return False

    def _bury(self, child: subprocess.Popen[bytes], *, kill: bool) -> bool:
        """Wait for orphans that this process adopted, and kill them first if asked to; true if there were any."""
        with open(self._children_file, encoding="ascii") as file:
            orphans = {int(word) for word in file.read().split()} - {self._guardian, child.pid}
        for orphan in orphans:
            if kill:
                os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, 0 if kill else os.WNOHANG)
        return bool(orphans)


def _adopt_orphans() -> str:
    """Make this process the parent of orphans below it, where it can be; return the file that lists its children."""
    listing = f"/proc/self/task/{os.getpid()}/children"
    if not os.path.exists(listing):
        return os.devnull
    import ctypes  # noqa: PLC0415 - not every worker's interpreter has it, and only Linux needs it

    subreaper = 36  # PR_SET_CHILD_SUBREAPER of <sys/prctl.h>
    return os.devnull if ctypes.CDLL(None).prctl(subreaper, 1, 0, 0, 0) else listing


def _stand_guard(reading: int) -> NoReturn:
    """Wait until the helper has gone, then kill the process group it named last; 0 stands for none."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for handle in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), handle)
    with open(reading, "rb") as pipe:
        group = int((pipe.read().split() or [b"0"])[-1])
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while group:
            os.killpg(group, signal.SIGKILL)
            time.sleep(0.01)
    os._exit(0)


# --- unpacking --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A member of an archive: a directory, a file (``read`` gives its bytes), a symbolic link or a hard link."""

    name: str
    kind: str
    mode: int
    mtime: float
    target: str = ""
    read: Callable[[], Any] = io.BytesIO


def verify(job: Job) -> None:
    """Compare the sdist's digest with the one the job gives."""
    digest = hashlib.sha256()
    with open(job.sdist, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != job.sha256:
        raise Refused(
            f"{os.path.basename(job.sdist)} has the sha256 {digest.hexdigest()}, expected {job.sha256}; fetch it again"
        )


def unpack(sdist: str, into: str) -> tuple[str, int]:
    """Unpack an sdist; return its top directory and the time of its newest member, as ``SOURCE_DATE_EPOCH`` has it.

    The verdicts are this function's own, not tarfile's filters', so that they are the same on every Python.
    """
    name = os.path.basename(sdist)
    try:
        with _members(sdist) as members:
            newest = _write(members, into)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
        ValueError,
        OverflowError,
    ) as error:
        raise Failed(f"{name} cannot be read: {error}") from None
    except Failed as refusal:
        raise Refused(f"{name} is refused: {refusal}") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise Failed(f"{name} cannot be unpacked: {error.strerror or error}") from None
    top = os.path.join(into, *os.listdir(into))
    if not any(os.path.isfile(os.path.join(top, wanted)) for wanted in ("pyproject.toml", "setup.py")):
        raise Failed(f"{name} is refused: it has neither pyproject.toml nor setup.py, so nothing says how to build it")
    return top, max(EARLIEST, int(newest))


@contextlib.contextmanager
def _members(sdist: str) -> Iterator[Iterator[Member]]:
    if sdist.endswith(".zip"):
        with zipfile.ZipFile(sdist) as archive:
            yield (_zip_member(archive, info) for info in archive.infolist())
        return
    modes = {".tar.gz": "r:gz", ".tgz": "r:gz", ".tar.bz2": "r:bz2", ".tar.xz": "r:xz"}
    mode = next((mode for suffix, mode in modes.items() if sdist.endswith(suffix)), None)
    if mode is None:
        raise Failed("its name does not end in .tar.gz, .tar.bz2, .tar.xz or .zip")
    with tarfile.open(sdist, mode) as tar:  # type: ignore[call-overload]
        yield (_tar_member(tar, info) for info in tar)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    mtime = calendar.timegm((*info.date_time, 0, 0, 0))
    if stat.S_ISLNK(mode):
        return Member(info.filename, "symbolic link", mode, mtime, archive.read(info).decode())
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return Member(info.filename, "special file", mode, mtime)
    kind = "directory" if info.is_dir() else "file"
    return Member(info.filename, kind, mode, mtime, read=lambda: archive.open(info))


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    kinds = ((info.isreg, "file"), (info.isdir, "directory"), (info.issym, "symbolic link"), (info.islnk, "hard link"))
    kind = next((kind for is_kind, kind in kinds if is_kind()), "special file")
    return Member(info.name, kind, info.mode, info.mtime, info.linkname, lambda: tar.extractfile(info))


def _write(members: Iterable[Member], into: str) -> float:
    """Write the members; symbolic links last, so that nothing is ever written through one. Return the newest time."""
    tops: set[str] = set()
    links: dict[str, Member] = {}
    newest = 0.0
    for member in members:
        parts = _safe_parts(member)
        if not parts:  # "./", which some archivers write first
            continue
        tops.add(parts[0])
        if len(tops) > 1:
            raise Failed(f"it has more than one top entry: {' and '.join(sorted(tops))}; expected one directory")
        path = os.path.join(into, *parts)
        mtime = min(max(member.mtime, 0.0), float(LATEST))
        newest = max(newest, mtime)
        if member.kind == "symbolic link":
            links[path] = member
        else:
            _write_member(member, path, into)
            os.utime(path, (mtime, mtime))
    if not tops or os.path.isfile(os.path.join(into, *tops)) or os.path.join(into, *tops) in links:
        raise Failed("it has no top directory")
    _link(links, os.path.join(into, *tops))
    return newest


def _safe_parts(member: Member) -> list[str]:
    if member.name.startswith("/"):
        raise Failed(f"{member.name} is an absolute path")
    parts = [part for part in member.name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise Failed(f"{member.name} leaves the sdist")
    if member.kind == "special file":
        raise Failed(f"{member.name} is neither a file, a directory nor a link")
    return parts


def _write_member(member: Member, path: str, into: str) -> None:
    if member.kind == "directory":
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if member.kind == "hard link":
        original = os.path.normpath(os.path.join(into, member.target))
        if os.path.isabs(member.target) or not original.startswith(into + os.sep):
            raise Failed(f"{member.name} is a hard link out of the sdist, to {member.target}")
        if not os.path.isfile(original):
            raise Failed(f"{member.name} is a hard link to {member.target}, which is no file before it")
        shutil.copyfile(original, path)
        shutil.copymode(original, path)
        return
    with member.read() as source, open(path, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    os.chmod(path, 0o755 if member.mode & 0o100 else 0o644)


def _link(links: Mapping[str, Member], top: str) -> None:
    for path, member in links.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            raise Failed(f"{member.name} is in it twice, once as a symbolic link")
        os.symlink(member.target, path)
    for path, member in links.items():  # the file system follows links through links; comparing texts would not
        real = os.path.realpath(path)
        if os.path.isabs(member.target) or not (real + os.sep).startswith(os.path.realpath(top) + os.sep):
            raise Failed(f"{member.name} is a symbolic link out of the sdist, to {member.target}")


# --- the host ---------------------------------------------------------------------------------------------------------

PROBE = """
import json, os, sys, sysconfig
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": sys.version.split()[0],
    "platform": sysconfig.get_platform(),
    "base": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "prefixes": sorted({sys.base_prefix, sys.base_exec_prefix}),
    "headers": [sysconfig.get_path("include"), sysconfig.get_config_var("INCLUDEPY")],
    "cc": sysconfig.get_config_var("CC") or "",
    "flags": sysconfig.get_config_var("CFLAGS") or "",
}))
"""


@dataclass(frozen=True)
class Host:
    """What is there to build with."""

    interpreter: Mapping[str, str]
    base: str
    """The interpreter's real path, without symbolic links and shims."""
    prefixes: Sequence[str]
    headers: Sequence[str]
    """Directories, in one of which Python.h should be."""
    compiler: Sequence[str]
    """Command words; empty where none is found."""
    compiler_version: str | None
    looked_for: Sequence[str]
    maps_prefixes: bool
    flags: str
    """The compiler flags that the interpreter was built with."""

    def shortcomings(self) -> str:
        """Say what a native build would miss; empty where nothing."""
        said = ""
        if not self.compiler:
            names = " and ".join(self.looked_for)
            said += f" (no C compiler is there: looked for {names} on PATH; install one, gcc or clang)"
        if not any(os.path.exists(os.path.join(folder, "Python.h")) for folder in self.headers):
            said += (
                f" (the interpreter lacks its headers: no Python.h in {self.headers[0]}; install its development files)"
            )
        return said


def look_around(job: Job, runner: Runner, cwd: str) -> Host:
    """Find out about the interpreter and the compiler."""
    if not os.path.exists(job.python):
        raise Failed(f"the interpreter {job.python} is not there; install it on the worker")
    variables = {"PATH": job.env.get("PATH", job.path), "LC_ALL": "C.UTF-8"}
    found = _probe(job, runner, cwd, variables)
    wanted = [job.env["CC"]] if job.env.get("CC") else [*filter(None, [found["cc"]]), "cc", "gcc", "clang"]
    words = [shlex.split(command) for command in wanted]
    there = (word for word in words if shutil.which(word[0], path=variables["PATH"]))
    compiler = [] if job.wheel else next(there, [])  # where nothing is built, none is asked
    version, maps = None, False
    if compiler:
        asked = runner.run([*compiler, "-ffile-prefix-map=/a=.", "--version"], cwd, variables, show=False)
        maps = asked.status == 0
        version = (asked if maps else runner.run([*compiler, "--version"], cwd, variables, show=False)).lines[:1]
    interpreter = {name: found[name] for name in ("implementation", "version", "platform")}
    return Host(
        {**interpreter, "executable": job.python},
        found["base"],
        found["prefixes"],
        list(filter(None, found["headers"])),
        compiler,
        version[0] if version else None,
        list(dict.fromkeys(word[0] for word in words)),
        maps,
        found["flags"],
    )


def _probe(job: Job, runner: Runner, cwd: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Ask the interpreter about itself; mostly it is the one that runs this, which then needs no process for it."""
    if os.path.abspath(job.python) == os.path.abspath(sys.executable):
        with contextlib.redirect_stdout(io.StringIO()) as told:
            exec(PROBE, {})  # noqa: S102 - the constant above
        return cast("dict[str, Any]", json.loads(told.getvalue()))
    ended = runner.run([job.python, "-I", "-c", PROBE], cwd, variables, show=False)
    try:
        found = json.loads(ended.last_line) if ended.status == 0 else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Failed(f"the interpreter {job.python} does not start: {ended.last_line}")
    return found


def base_variables(scratch: Scratch, path: str, env: str) -> dict[str, str]:
    """Return the variables that package code gets, all of them: nothing is inherited."""
    variables = {
        "PATH": os.pathsep.join([os.path.join(env, "bin"), path]),
        "HOME": scratch.home,
        "TMPDIR": scratch.tmp,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
    }
    rustup = _rustup_home()
    return {**variables, "RUSTUP_HOME": rustup} if rustup else variables


def _rustup_home() -> str | None:
    path = os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup")
    return path if os.path.isdir(path) else None


def build_variables(shop: Workshop, epoch: int, requirements: Sequence[str]) -> dict[str, str]:
    """Return the variables of the build: the base, flags that keep the build's path out of binaries, the job's own.

    The job's flags are added to the interpreter's, in whatever way the backend takes them. CMake, Meson and cargo add
    what they find. So did setuptools; its newer releases put ``CFLAGS`` and ``CXXFLAGS`` in the place of the
    interpreter's own, and ``CFLAGS`` are not for C++ any more. So it gets the interpreter's own with them, and the
    preprocessor's in ``CPPFLAGS`` too, which every release adds for both languages.
    """
    job, scratch = shop.job, shop.scratch
    path_map = shlex.quote(f"-ffile-prefix-map={scratch.path}=.") if shop.host.maps_prefixes else ""
    flags = {"CPPFLAGS": path_map, "CFLAGS": path_map, "CXXFLAGS": path_map}
    if any(item.startswith("setuptools==") for item in requirements):
        flags["CPPFLAGS"] = " ".join([path_map, *_preprocessing(job.env.get("CFLAGS", ""))])
        flags.update({name: shop.host.flags if job.env.get(name) else "" for name in ("CFLAGS", "CXXFLAGS")})
    remap = f"--remap-path-prefix={scratch.path}=."
    if not re.search(r"\s", scratch.path):
        flags["RUSTFLAGS"] = remap
    elif "CARGO_ENCODED_RUSTFLAGS" not in job.env:  # RUSTFLAGS are split at blanks, whatever quotes are there
        flags["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join([remap, *job.env.get("RUSTFLAGS", "").split()])
    joined = {name: f"{flag} {job.env.get(name, '')}".strip() for name, flag in flags.items()}
    base = base_variables(scratch, job.env.get("PATH", job.path), scratch.env)
    made = {**base, "SOURCE_DATE_EPOCH": str(epoch), **job.env, **joined, "PATH": base["PATH"]}
    return {name: value for name, value in made.items() if value or name in job.env}


def _preprocessing(flags: str) -> Iterator[str]:
    """Yield those flags that say what is included and defined, each quoted if it needs it."""
    try:
        words = iter(shlex.split(flags))
    except ValueError:  # a quote that is not closed: the compiler's to complain about
        return
    for word in words:
        if word in {"-I", "-D", "-U", "-isystem", "-include"}:
            yield f"{word} {shlex.quote(next(words, ''))}"
        elif word.startswith(("-I", "-D", "-U", "-isystem")):
            yield shlex.quote(word)


# --- the sandbox ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sandbox:
    """Bubblewrap, where it is: own namespaces, no network unless asked for, nothing of the user's readable."""

    program: str | None
    version: str | None = None
    readable: Sequence[str] = ()
    network: bool = False

    def wrap(self, argv: Sequence[str], cwd: str, writable: Sequence[str], mount: Sequence[str] = ()) -> list[str]:
        """Return the command line that runs ``argv`` in the sandbox, or ``argv`` itself where there is none.

        ``mount`` is bubblewrap's option for one more place, what is there, and where the build sees it.
        """
        if self.program is None:
            return list(argv)
        made = [self.program, "--unshare-all", "--die-with-parent", "--hostname", "localhost", "--cap-drop", "ALL"]
        made += ["--share-net"] if self.network else []
        made += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/var/tmp"]  # noqa: S108 - its own
        for path in self.readable:
            if os.path.islink(path):
                made += ["--symlink", os.readlink(path), path]
            elif os.path.exists(path):
                made += ["--ro-bind", path, path]
        for path in writable:
            made += ["--bind", path, path]
        made += mount
        return [*made, "--chdir", cwd, "--", *argv]


SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu")
SETTINGS = (
    "alternatives ca-certificates crypto-policies group ld.so.cache ld.so.conf ld.so.conf.d localtime passwd pki ssl"
)
NETWORK_SETTINGS = "gai.conf host.conf hosts nsswitch.conf protocols resolv.conf services"


def find_sandbox(job: Job, runner: Runner, host: Host, scratch: Scratch) -> Sandbox:
    """Return the sandbox that works here, after trying it; :class:`Failed` where one is required and none does."""
    if job.sandbox == "never":
        return Sandbox(None)
    program = shutil.which("bwrap")
    why = "bubblewrap is not installed"
    if program:
        names = f"{SETTINGS} {NETWORK_SETTINGS}" if job.network else SETTINGS
        readable = [*SYSTEM, *(f"/etc/{name}" for name in names.split()), *_toolchains(job, host)]
        version = runner.run([program, "--version"], scratch.path, {}, show=False).last_line
        sandbox = Sandbox(program, version, readable, job.network)
        ended = runner.run(sandbox.wrap(["/bin/sh", "-c", ":"], "/", [scratch.tmp]), scratch.path, {}, show=False)
        if ended.status == 0:
            return sandbox
        why = f"bubblewrap does not work: {ended.last_line}"
    if job.sandbox == "require":
        raise Failed(f"a sandbox is required, but {why}")
    say(f"no sandbox, {why}; build trusted sources only")
    return Sandbox(None)


def _toolchains(job: Job, host: Host) -> Iterator[str]:
    """Yield what a build must read outside the system's directories: the interpreter and Rust, never a whole home."""
    home = os.path.expanduser("~")
    cargo = shutil.which("cargo", path=job.env.get("PATH", job.path))
    wanted = [*host.prefixes, _rustup_home(), os.path.dirname(cargo) if cargo else None]
    for path in filter(None, wanted):
        if any(f"{path}/".startswith(f"{system}/") for system in SYSTEM):
            continue
        if f"{home}/".startswith(f"{path}/") or path == os.path.join(home, ".local"):
            yield from (os.path.join(path, name) for name in ("bin", "include", "lib"))
        else:
            yield path


@dataclass(frozen=True)
class Workshop:
    """An action's job and all it is done with."""

    job: Job
    scratch: Scratch
    runner: Runner
    host: Host
    sandbox: Sandbox

    def install(self, argv: Sequence[str], *, show: bool = True) -> Ended:
        """Run an installer: outside the sandbox, with the user's configuration; it must run no code of a package."""
        return self.runner.run(argv, self.scratch.path, installer_variables(self.job), show=show)

    def run(
        self,
        argv: Sequence[str],
        cwd: str,
        variables: Mapping[str, str],
        *writable: str,
        stdin: str = "",
        mount: Sequence[str] = (),
    ) -> Ended:
        """Run code of a package, or on its files: in the sandbox, with these variables alone."""
        argv = self.sandbox.wrap(argv, cwd, writable, mount)
        return self.runner.run(argv, cwd, variables, stdin=stdin or os.devnull)


# --- environments -----------------------------------------------------------------------------------------------------


class Uv:
    """Makes environments with uv; files are copied, since a hard link would let one build poison the cache of all."""

    def __init__(self, uv: str, shop: Workshop) -> None:
        self.uv, self.python, wheelhouse = uv, shop.host.base, shop.job.wheelhouse
        self.flags = ["--no-index", "--no-config", "--offline", "--find-links", wheelhouse] if wheelhouse else []
        self.flags += [flag for path in shop.job.find_links for flag in ("--find-links", path)]
        self.version = shop.install([self.uv, "--version"], show=False).last_line

    def create(self, env: str) -> list[str]:
        """Return the command that makes an empty environment."""
        return [self.uv, "venv", "--quiet", "--no-project", "--relocatable", "--python", self.python, env]

    def resolve(self) -> list[str]:
        """Return the command that prints what would be installed, without its requirements file."""
        return [
            self.uv,
            "pip",
            "compile",
            "--quiet",
            "--no-header",
            "--no-annotate",
            "--generate-hashes",
            "--python",
            self.python,
            *self.flags,
        ]

    def install(self, env: str) -> list[str]:
        """Return the command that installs, without its requirements."""
        python = os.path.join(env, "bin", "python")
        return [self.uv, "pip", "install", "--python", python, "--link-mode", "copy", *self.flags]


class Pip:
    """Makes environments with the interpreter's own venv and pip; pip lives in an environment of its own.

    So what a build does to its environment never runs as an installer, outside the sandbox.
    """

    def __init__(self, shop: Workshop) -> None:
        self.python, wheelhouse, scratch = shop.host.base, shop.job.wheelhouse, shop.scratch
        self.flags = ["--no-index", "--isolated", "--find-links", wheelhouse] if wheelhouse else []
        self.flags += [flag for path in shop.job.find_links for flag in ("--find-links", path)]
        made = shop.install([self.python, "-m", "venv", "--without-pip", scratch.pip])
        if not made.status:  # in a step of its own, since venv keeps to itself why that fails
            made = shop.install([os.path.join(scratch.pip, "bin", "python"), "-I", "-m", "ensurepip"])
        found = [item for item in installed(scratch.pip) if item.startswith("pip==")]
        if made.status or not found:
            what = f"{self.python} cannot make an environment"
            if any(line.endswith("No module named ensurepip") for line in made.lines):
                raise Failed(f"{what}: it has no ensurepip: install the system's python3-venv, or uv")
            raise made.failure(what)
        self.version = found[0].replace("==", " ")
        self.pip = os.path.join(scratch.pip, "alone", "pip")  # else what lies beside it would count as installed
        os.makedirs(os.path.dirname(self.pip))
        os.rename(os.path.join(site_packages(scratch.pip)[0], "pip"), self.pip)

    def create(self, env: str) -> list[str]:
        """Return the command that makes an empty environment."""
        return [self.python, "-m", "venv", "--without-pip", env]

    def install(self, env: str) -> list[str]:
        """Return the command that installs, without its requirements."""
        flags = ["--no-input", "--no-warn-script-location", "--disable-pip-version-check", *self.flags]
        return [os.path.join(env, "bin", "python"), self.pip, "install", *flags]


def installer_variables(job: Job) -> dict[str, str]:
    """Return the variables of an installer: the user's own for proxies, certificates and indexes, unless offline."""
    names = {"PATH", "HOME", "TMPDIR", "LANG", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}
    names |= {"CURL_CA_BUNDLE", "UV_CACHE_DIR", "PIP_CACHE_DIR"}
    prefixes = ("XDG_", "LC_") if job.wheelhouse else ("XDG_", "LC_", "PIP_", "UV_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in names or name.startswith(prefixes) or name.lower().endswith("_proxy")
    }
    if job.index_url and not job.wheelhouse:  # as variables, since a URL may hold a password and all see command lines
        kept.update(PIP_INDEX_URL=job.index_url, UV_DEFAULT_INDEX=job.index_url)
    return kept


def make_environment(
    shop: Workshop,
    installer: Uv | Pip,
    env: str,
    wanted: Sequence[str],
    *options: str,
    asked: Sequence[str] = (),
    pinned: str | None = None,
) -> None:
    """Make an environment and install ``wanted`` into it, from wheels alone, so that nothing runs while installing.

    ``asked`` is what that is known to require, for what is said where it cannot be had. ``pinned`` is a requirements
    file in the place of ``wanted``: all that is to be there, with its digests.
    """
    remove(env)
    made = shop.install(installer.create(env))
    if made.status:
        raise made.failure("no environment can be made")
    if not wanted:
        return
    what = ["--", *wanted] if pinned is None else ["--no-deps", "--require-hashes", "--requirement", pinned]
    ended = shop.install([*installer.install(env), "--only-binary", ":all:", *options, *what])
    if ended.status:
        raise _not_installed(ended, [*wanted, *asked, *shop.job.constraints], shop.job)


def constrained(shop: Workshop, constraints: Sequence[str], *, but: str = "") -> list[str]:
    """Return the installer's options for these constraints, and for the wheels that the job has for some projects.

    A project with a URL among the constraints is that file wherever it is required: no index is asked for another. Of
    the project ``but`` another wheel is installed: the one that is checked.
    """
    job = shop.job
    wheels = {_normal(_project_of(path)): path for path in job.wheels}
    fixed = {name: f" @ file://{urllib.parse.quote(path)}" for name, path in wheels.items()}
    fixed = {**dict.fromkeys(job.ours, NO_VERSION), **fixed}
    lines = [*constraints, *(name + rest for name, rest in fixed.items() if name != but)]
    path = os.path.join(shop.scratch.path, "constraints.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    return ["--constraint", path] if lines else []


NO_VERSION = "<0.dev0"
"""PEP 440 has no lower one: with this constraint a project cannot be had from anywhere."""


def _project_of(wheel: str) -> str:
    return os.path.basename(wheel).partition("-")[0]


PRIME = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    try:
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(getattr(package, "__path__", ())):
            importlib.import_module(name + "." + module.name)
    except Exception:
        pass
"""
OFTEN = (
    "setuptools.build_meta",
    "setuptools.command",
    "setuptools.config",
    "setuptools.config._validate_pyproject",
    "setuptools.modified",
    "setuptools._distutils.command",
    "setuptools._distutils.compilers.C.unix",
    "Cython.Build",
)
"""Modules that many builds import: compiled once for all that share an environment, which cannot write there."""
WEEK = 7 * 24 * 3600  # seconds that an environment is used: who cleans up temporary directories waits longer


def shared_environment(shop: Workshop, uv: Uv, wishes: Sequence[str], *options: str) -> str:
    """Return an environment with ``wishes`` that later actions use too, on later visits as well, until a week is over.

    Environments are equal where all that is in them is: the wheels by their digests, the interpreter, and the week.
    uv makes them from wheels, so that nothing of a package runs, then one run in the sandbox compiles what is mostly
    needed, and after that nobody writes to them: builds see them read-only. It takes uv, whose relocatable scripts
    start wherever the environment is mounted.
    """
    job, scratch = shop.job, shop.scratch
    shelf = cast("str", job.shared)
    listed, pinned = (os.path.join(scratch.path, f"requirements.{suffix}") for suffix in ("in", "txt"))
    with open(listed, "w", encoding="utf-8") as file:
        file.writelines(f"{wish}\n" for wish in wishes)
    asked = shop.install(
        [*uv.resolve(), "--only-binary", ":all:", *options, "--output-file", pinned, listed], show=False
    )
    if asked.status:
        raise _not_installed(asked, [*wishes, *job.constraints], job)
    with open(pinned, encoding="utf-8") as file:
        pins = file.read()
    week = int(time.time() // WEEK)
    nameless = re.sub(r" @ file://\S*/", " @ ", pins)  # where a wheel of ours lies is the visit's; it has its digest
    inside = json.dumps([shop.host.base, shop.host.interpreter["version"], nameless])
    folder = os.path.join(shelf, f"{week}-{hashlib.sha256(inside.encode()).hexdigest()[:16]}")
    env, made = os.path.join(folder, "env"), os.path.join(folder, "made")
    os.makedirs(shelf, exist_ok=True)
    with _locked(f"{folder}.lock", "waiting for another action that makes this environment"):
        if not os.path.exists(made):
            _forget_environments(shelf, week - 1)
            make_environment(shop, uv, env, wishes, pinned=pinned)
            variables = base_variables(scratch, job.path, scratch.env)
            argv = [os.path.join(scratch.env, "bin", "python"), "-I", "-c", PRIME, *OFTEN]
            shop.run(argv, scratch.home, variables, scratch.home, scratch.tmp, mount=("--bind", env, scratch.env))
            open(made, "wb").close()
    return env


def _forget_environments(shelf: str, oldest: int) -> None:
    """Remove the environments of weeks before the ``oldest`` that may still be in use; one action at a time does."""
    with _locked(os.path.join(shelf, "old.lock"), "waiting for another action that removes old environments"):
        for name in os.listdir(shelf):
            week = name.partition("-")[0]
            if week.isdigit() and int(week) < oldest and not name.endswith(".lock"):
                remove(os.path.join(shelf, name))


NO_WHEEL = (  # in uv's words, in pip's, and in those that pip has where one requirement is constrained as well
    r"Wheels are required for `([^`]+)`",
    r"Because (\S+) was not found in the (?:package registry|provided package locations)",
    r"Because there (?:is|are) no versions? of ([\w.-]+)",
    r"Because only ([\w.-]+?)[=<>!]\S* is available and [^,]*(?:require|depends? on) (?=\1\b)",
    r"Because only the following versions of ([\w.-]+) are available",
    r"No matching distribution found for (\S+)",
    r"Cannot install (\S+) because these package versions have conflicting dependencies",
)


UV_MARKER = re.compile(r"(?<=[\w\]])\{[^{}]*\}")
"""Behind a project's name, what Pythons are meant: ``cython{python_full_version < '3.13'}``."""


def _not_installed(ended: Ended, wishes: Sequence[str], job: Job) -> Failed:
    """Name the requirement that has no wheel, where the installer says so; else give the installer's own reason."""
    text = UV_MARKER.sub("", " ".join(line.strip(" │╰─▶×") for line in ended.lines))
    for name in job.ours:
        if re.search(rf"(?<![\w.-]){re.escape(name + NO_VERSION)}", text):
            asked = [wish for wish in wishes if _normal(_project(wish)) == name]
            return Lacking(f"the requirement {name} is ours, and no wheel of it is here", [name, *asked])
    there = {_normal(_project_of(file)) for folder in job.find_links for file in os.listdir(folder)}
    every = [found for pattern in NO_WHEEL for found in re.finditer(pattern, text)]
    lacking = [found for found in every if _normal(_project(found[1])) not in there]  # else: what is there does not do
    if every:
        found = [*lacking, *every][0]
        name = _project(found[1])
        depended_on = re.findall(rf"(?:depends? on|requires?) ({re.escape(name)}[^\s\w.-][^\s]*)", text)
        asked = [found[1], *(wish.rstrip(",") for wish in depended_on)]
        return Lacking(
            f"the requirement {found[1]} has no wheel for this interpreter and platform",
            [*asked, *(wish for wish in wishes if _normal(_project(wish)) == _normal(name))],
        )
    reason = re.search(r"Because .*?unsatisfiable|ERROR: (?:Cannot install .*?dependencies)", text)
    return (
        Failed(f"the requirements cannot be installed: {reason[0]}")
        if reason
        else ended.failure("the requirements cannot be installed")
    )


def _project(wish: str) -> str:
    return re.split(r"[^\w.-]", wish, maxsplit=1)[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def site_packages(env: str) -> list[str]:
    """Return the directories in which an environment's distributions are."""
    library = os.path.join(env, "lib")
    return [os.path.join(library, name, "site-packages") for name in sorted(os.listdir(library))]


def installed(env: str) -> list[str]:
    """Return what is installed in an environment, as sorted ``name==version``, without running anything there."""
    found = importlib.metadata.distributions(path=site_packages(env))
    return sorted({f"{item.metadata['Name']}=={item.version}" for item in found}, key=str.lower)


# --- the build --------------------------------------------------------------------------------------------------------

DRIVER = """
import sys
del sys.path[0]  # the sdist's own directory: its files are not to be taken for modules
import importlib, json, os

wheels, settings, met, answer = json.loads(sys.argv[1])

def build_system():
    if not os.path.exists("pyproject.toml"):
        return {"requires": []}
    try:
        import tomllib
    except ImportError:
        import tomli as tomllib
    with open("pyproject.toml", "rb") as file:
        try:
            table = tomllib.load(file).get("build-system", {"requires": ["setuptools >= 40.8.0"]})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            sys.exit("pyproject.toml cannot be read: %s" % error)
    if not isinstance(table, dict) or not isinstance(table.get("requires"), list):
        sys.exit("pyproject.toml: build-system.requires is missing, expected a list")
    return table

def backend():
    module, _, attributes = system.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module.partition(".")[0] and "backend-path" in system:
            sys.exit("the backend %s is not in the sdist's backend-path" % module)
        raise
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)
    return found

def call(hook, *arguments):
    child = os.fork()  # PEP 517: a fresh process for each hook; but what all hooks import is there already
    if child == 0:
        function = getattr(backend(), hook, None)
        if function is None and hook == "build_wheel":
            sys.exit("the backend has no hook build_wheel")
        returned = function(*arguments) if function else []
        with open(answer, "w") as file:
            json.dump(returned, file)
        sys.exit()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        print("the backend was killed by signal %d" % os.WTERMSIG(status))
    if status:
        sys.exit(1)
    with open(answer) as file:
        return json.load(file)

def missing(wishes):
    return [wish for wish in wishes if wish not in met and wish.lower().replace("_", "-") not in met]

def drive():
    new = missing(system["requires"])
    if not new:
        sys.argv[1:] = []
        tree = os.getcwd()
        paths = [os.path.realpath(path) for path in system.get("backend-path", [])]
        if not all((path + os.sep).startswith(os.path.realpath(tree) + os.sep) for path in paths):
            sys.exit("pyproject.toml: backend-path leaves the sdist")
        sys.path[:0] = paths
        if not paths:
            backend()
        new = missing(call("get_requires_for_build_wheel", settings))
    if not new:
        call("build_wheel", wheels, settings, None)
    with open(answer, "w") as file:
        json.dump(new, file)

system = build_system()
drive()
"""


def build_wheel(shop: Workshop, installer: Uv | Pip, source: str, epoch: int, result: dict[str, Any]) -> str:
    """Build the wheel; return its path. Each time the backend asks for more, the environment is made anew."""
    job, scratch = shop.job, shop.scratch
    wishes = list(dict.fromkeys([*_static_requires(source), *job.build_requires]))
    options = constrained(shop, job.constraints)
    for _ in range(ROUNDS):
        for wish in wishes:
            if not PLAIN.fullmatch(wish):
                raise Failed(f"the build requirement {wish} is refused: expected a project name with versions, no URL")
        env = scratch.env
        with step(result, "environment", f"installing {', '.join(wishes) or 'nothing'}"):
            if job.shared and shop.sandbox.program and isinstance(installer, Uv):
                env = shared_environment(shop, installer, wishes, *options)
            else:
                make_environment(shop, installer, env, wishes, *options)
            result["requirements"] = installed(env)
        variables = build_variables(shop, epoch, result["requirements"])
        own = {"PATH", "HOME", "TMPDIR", "RUSTUP_HOME"}
        result["environment"] = {name: value for name, value in sorted(variables.items()) if name not in own}
        with step(result, "build", f"building {job.package['name']} {job.package['release']}"):
            new = _drive(shop, source, variables, [*wishes, *_bare_names(result["requirements"])], env)
        if not new:
            return _only_wheel(os.path.join(scratch.out, "wheel"))
        wishes += new
    raise Failed(f"the backend asks for new requirements each time, the last was {wishes[-1]}")


def _bare_names(requirements: Sequence[str]) -> list[str]:
    return [_normal(_project(item)) for item in requirements]


def _static_requires(source: str) -> list[str]:
    """Guess the first requirements, so that one environment mostly does; the driver's word is what counts."""
    path = os.path.join(source, "pyproject.toml")
    if not os.path.exists(path):
        return ["setuptools >= 40.8.0"]  # PEP 517's default
    try:
        import tomllib  # noqa: PLC0415 - Python 3.11 and later

        with open(path, "rb") as file:
            table = tomllib.load(file).get("build-system", {"requires": ["setuptools >= 40.8.0"]})
        requires = table["requires"]
    except ImportError:
        return ["tomli"]  # for the driver
    except (ValueError, KeyError, TypeError):
        return []
    return requires if _is_list(requires) else []


def _drive(shop: Workshop, source: str, variables: Mapping[str, str], met: Sequence[str], env: str) -> list[str]:
    """Run the PEP 517 hooks in the environment; return what else the backend requires, nothing when it has built."""
    scratch = shop.scratch
    answer, wheels = os.path.join(scratch.out, "answer.json"), os.path.join(scratch.out, "wheel")
    os.makedirs(wheels, exist_ok=True)
    what = json.dumps([wheels, shop.job.config_settings, met, answer])
    argv = [os.path.join(scratch.env, "bin", "python"), "-u", "-c", DRIVER, what]
    writable = [scratch.source, scratch.home, scratch.tmp, scratch.out]
    writable += [env] if env == scratch.env else []
    mount = () if env == scratch.env else ("--ro-bind", env, scratch.env)
    ended = shop.run(argv, source, variables, *writable, mount=mount)
    if ended.status and ended.met_full_disk:
        raise ended.failure("the build failed")
    if ended.status:
        reason = diagnostic(ended.lines) or before_manual(ended) or ended.last_line
        said = f"the build failed: {reason.replace(source + os.sep, '')}{shop.host.shortcomings()}"
        raise Failed(f"{said}{advice(ended, source) or network_advice(ended, shop.sandbox)}")
    try:
        with open(os.open(answer, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        raise Failed("the build ended without the answer of its front end") from None
    if not _is_list(found):
        raise Failed("the build wrote over the answer of its front end")
    return cast("list[str]", found)


# The last words of a build whose compiler failed: they name a program, and not what is wrong.
SAYS_NOTHING = re.compile(
    r"exit (?:code|status)|non-zero|subcommand failed|could not compile|failed with code|configuration failed"
    r"|\bError \d+$|CompileError|A full log can be found|For more information|^-- Output captured from std",
    re.IGNORECASE,
)
# A command line of a compiler, or what a build tool prints before one that failed.
COMMAND = re.compile(
    r"(?:\S*/)?(?:[\w.]+-)*(?:gcc|g\+\+|cc|c\+\+|clang(?:\+\+)?|gfortran|nvcc|rustc)(?:-[\d.]+)? .*-|FAILED: "
)
DIAGNOSTICS = tuple(
    map(
        re.compile,
        (
            r"\S[^:]*:\d+(?::\d+)?: (?:fatal )?error: .+",  # gcc, clang, gfortran of late
            r"error(?:\[E\d+\])?: (?!aborting due|could not compile|command |subprocess|`cargo).+",  # rustc, cargo
            r"\S+\.p(?:yx|xd|xi):\d+:\d+: .+",  # Cython
            r"(?:\S+:\d+:\d+: )?ERROR: .+",  # Meson
            r"CMake Error.*",
            r"(?:\S*/)?ld(?:\.\w+)?: (?:error: )?(?:cannot find|library not found|undefined).*",
            r".*: undefined reference to .+",
            r"\S+: error while loading shared libraries: .+",  # the program itself does not start
        ),
    )
)


def diagnostic(lines: Sequence[str]) -> str:
    """Return the first error of the command that failed, where the last line tells nothing; empty where none is known.

    It is the first one after the last command that has any: what was tried before, and may fail, is not the reason.
    """
    said = [line.strip() for line in lines]
    last = next((line for line in reversed(said) if line), "")
    if not SAYS_NOTHING.search(last):
        return ""
    found = [number for number, line in enumerate(said) if any(kind.match(line) for kind in DIAGNOSTICS)]
    if not found:
        return ""
    commands = [number for number, line in enumerate(said) if COMMAND.match(line) and number < found[-1]]
    first = next(number for number in found if number > (commands[-1] if commands else -1))
    after = next(filter(None, said[first + 1 :]), "")
    if said[first].startswith("CMake Error"):
        return f"{said[first]} {after}"
    return f"{after[4:]}: {said[first]}" if after.startswith("--> ") else said[first]


ERROR = r"^(?:[\w.]+(?:Error|Exception)|[Ee]rror|ERROR): *\n*[^\n]*"  # a message may begin a line below


def before_manual(ended: Ended) -> str:
    """Return the error that refers to the manual whose address is the last line; empty where it is not that."""
    last, text = ended.last_line, "\n".join(ended.lines)
    if not re.search("https?://", last):
        return ""
    found = re.findall(ERROR, text[: text.rindex(last)], re.MULTILINE)
    return " ".join(found[-1].split()) if found else ""


PROJECTS = {
    "Crypto": "pycryptodome",
    "_cffi_backend": "cffi",
    "distutils": "setuptools",
    "mesonpy": "meson-python",
    "pkg_resources": '"setuptools<82"',
    "skbuild": "scikit-build",
    "yaml": "PyYAML",
}
"""Projects whose modules have another name, among those that sdists forget to require."""
GONE = {"asynchat", "asyncore", "cgi", "crypt", "imp", "lib2to3", "nntplib", "pipes", "smtpd", "telnetlib", "xdrlib"}
"""Modules that Python itself had once: no project brings them."""


def advice(ended: Ended, source: str) -> str:
    """Say what a line in the matrix may mend, where the build's last words tell; empty where they do not."""
    text = "\n".join(ended.lines)
    modules = re.findall(r"ModuleNotFoundError: No module named '(\w+)", text)
    if modules:
        name = modules[-1]
        own = (os.path.join(source, *place, name + end) for place in ((), ("src",)) for end in ("", ".py"))
        if name not in GONE and not any(map(os.path.exists, own)):
            project = PROJECTS.get(name, name.replace("_", "-"))
            return f"; add to the matrix: build: {{build_requires: [{project}]}}"
        return ""
    headers = re.findall(r"fatal error: '?([\w./+-]+\.h\w*)'?(?:: No such file or directory| file not found)", text)
    if headers and headers[-1] != "Python.h" and not _has_file(source, os.path.basename(headers[-1])):
        wanted = "build: {system_packages: [...]}"
        return f"; the header {headers[-1]} is not there: add the system's package that has it to the matrix: {wanted}"
    return ""


NO_NETWORK = (
    r"(?:could not|couldn't|failed to|can't) resolve|name resolution|name or service not known"
    r"|failed to lookup address|network is unreachable"
)


def network_advice(ended: Ended, sandbox: Sandbox) -> str:
    """Say that the sandbox has no network, where that is what the build's last words are about."""
    if sandbox.program is None or sandbox.network:
        return ""
    if not re.search(NO_NETWORK, "\n".join(ended.lines), re.IGNORECASE):
        return ""
    return "; it tried to download something: add to the matrix: build: {network: true}, or what makes it unnecessary"


def _has_file(folder: str, name: str) -> bool:
    return any(name in files for _, _, files in os.walk(folder))


def _only_wheel(directory: str) -> str:
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    wheels = [name for name in names if name.endswith(".whl")]
    if len(wheels) != 1:
        found = f"{len(wheels)} wheels ({', '.join(wheels)})" if wheels else "no wheel"
        raise Failed(f"the build left {found}, expected exactly one")
    if not WHEEL.fullmatch(wheels[0]):
        raise Failed(f"the build left {wheels[0]}, which is no wheel's file name")
    path = os.path.join(directory, wheels[0])
    if not stat.S_ISREG(os.lstat(path).st_mode) or not zipfile.is_zipfile(path):
        raise Failed(f"the build left {wheels[0]}, which is no zip archive")
    return path


def patch(shop: Workshop, source: str) -> None:
    """Apply the job's patches, in their order, without fuzz."""
    variables = base_variables(shop.scratch, shop.job.path, shop.scratch.env)
    for path in shop.job.patches:
        say(f"applying {os.path.basename(path)}")
        ended = shop.run(["patch", "-p1", "-N", "-f", "-F0"], source, variables, shop.scratch.source, stdin=path)
        if ended.status:
            raise ended.failure(f"{os.path.basename(path)} does not apply")


# --- the wheel --------------------------------------------------------------------------------------------------------


def retag(path: str, tag: str) -> str:
    """Give a wheel a build tag: in its name, in ``WHEEL`` and so in ``RECORD``. Other members keep their every byte."""
    name, version, *rest = os.path.basename(path)[: -len(".whl")].split("-")
    made = os.path.join(os.path.dirname(path), "-".join([name, version, tag, *rest[-3:]]) + ".whl")
    with zipfile.ZipFile(path) as old:
        contents = {info.filename: old.read(info) for info in old.infolist()}
        wheel, record = (_metadata_path(contents, item) for item in ("WHEEL", "RECORD"))
        lines = [line for line in contents[wheel].splitlines() if line and not line.startswith(b"Build:")]
        contents[wheel] = b"\n".join([*lines, b"Build: " + tag.encode(), b""])
        contents[record] = _record(contents[record], wheel, contents[wheel])
        with zipfile.ZipFile(made + ".part", "w") as new:
            for info in old.infolist():
                new.writestr(info, contents[info.filename], info.compress_type)
    os.unlink(path)
    os.rename(made + ".part", made)
    return made


def _metadata_path(names: Iterable[str], item: str) -> str:
    found = [name for name in names if re.fullmatch(rf"[^/]+\.dist-info/{item}", name)]
    if len(found) != 1:
        raise Failed(f"the wheel has {len(found)} files .dist-info/{item}, expected one")
    return found[0]


def _record(old: bytes, path: str, content: bytes) -> bytes:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    new = io.StringIO()
    writer = csv.writer(new, lineterminator="\n")
    for row in csv.reader(io.StringIO(old.decode())):
        writer.writerow([path, f"sha256={digest}", len(content)] if row[:1] == [path] else row)
    return new.getvalue().encode()


def importable(paths: Iterable[str]) -> list[str]:
    """Return the top-level modules among a wheel's paths, but for tests, docs and examples."""
    found = set()
    for path in paths:
        parts = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", path).split("/")
        name = parts[0] if len(parts) > 1 else parts[0].split(".")[0]
        if parts[-1].endswith((".py", ".so")) and name.isidentifier():
            found.add(name)
    return sorted(found - {"test", "tests", "testing", "doc", "docs", "example", "examples", "__init__"})


# --- the check --------------------------------------------------------------------------------------------------------

CHECKS = ("install", "import", "run")
IMPORT = """
import importlib, sys, traceback
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        traceback.print_exc()
        sys.exit("import %s: %s" % (name, traceback.format_exception_only(type(error), error)[-1].strip()))
"""


def check_wheel(shop: Workshop, installer: Uv | Pip, wheel: str, checks: list[dict[str, str]]) -> None:
    """Install the wheel into a fresh environment, import it, run the job's own check; ``checks`` gets each outcome."""
    scratch = shop.scratch
    with zipfile.ZipFile(wheel) as archive:
        modules = importable(archive.namelist())
        metadata = archive.read(_metadata_path(archive.namelist(), "METADATA")).decode("utf-8", "replace")
    python = os.path.join(scratch.check, "bin", "python")
    ours = "".join(f", with {os.path.basename(path)}" for path in shop.job.wheels)
    wanted = cast("Mapping[str, Any]", shop.job.check)
    names, command = wanted.get("import"), wanted.get("run")
    names = modules if names is None else names
    empty(scratch.home, scratch.tmp)
    variables = base_variables(scratch, shop.job.path, scratch.check)

    def run(whose: str, argv: list[str]) -> Callable[[], None]:
        writable = scratch.check, scratch.home, scratch.tmp
        return lambda: _passes(shop.run(argv, scratch.home, variables, *writable), whose=whose)

    steps: list[tuple[str, str, Callable[[], None] | None]] = [
        ("install", os.path.basename(wheel) + ours, lambda: _install(shop, installer, wheel, metadata)),
        ("import", ", ".join(names), run("import", [python, "-I", "-c", IMPORT, *names]) if names else None),
        ("run", command or "", run("run", ["sh", "-c", command]) if command else None),
    ]
    for name, detail, action in steps:
        checks.append({"name": name, "outcome": "skipped" if action is None else "failed", "detail": detail})
        if action is None:
            continue
        try:
            action()
        except Failed as error:
            checks[-1]["detail"] = str(error)
            reason = f"the wheel's check failed ({name}): {error}"
            raise (Lacking(reason, error.wishes) if isinstance(error, Lacking) else Failed(reason)) from None
        checks[-1]["outcome"] = "passed"


def _passes(ended: Ended, *, whose: str) -> None:
    if ended.status:
        status = f" (exit status {ended.status})" if whose == "run" else ""  # of the matrix's command it may mean much
        raise Failed(f"{ended.last_line}{status}")


def _install(shop: Workshop, installer: Uv | Pip, wheel: str, metadata: str) -> None:
    """Install the wheel. Its metadata is the package's word, so requirements are looked at before an installer is."""
    required = email.parser.HeaderParser().parsestr(metadata).get_all("Requires-Dist") or []
    required = [wish for wish in required if not re.search(r"\bextra\b", wish.partition(";")[2])]
    for wish in required:
        if not PLAIN.fullmatch(wish):
            raise Failed(f"its requirement {wish} is refused: expected a project name with versions, no URL")
    beside = cast("Mapping[str, Any]", shop.job.check).get("requires", [])
    options = constrained(shop, (), but=_normal(_project_of(wheel)))
    make_environment(shop, installer, shop.scratch.check, [wheel, *beside], *options, asked=required)


# --- the action -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def step(result: dict[str, Any], name: str, doing: str) -> Iterator[None]:
    """Announce a step and add its seconds to the result's times."""
    say(doing)
    started = time.monotonic()
    try:
        yield
    finally:
        result["times"][name] = round(result["times"][name] + time.monotonic() - started, 3)


def act(job: Job, scratch: Scratch, runner: Runner, result: dict[str, Any]) -> None:
    """Do the action, filling in the result as it goes. Raises :class:`Failed` with the reason."""
    empty(scratch.source, scratch.home, scratch.tmp, scratch.out)
    source, epoch = "", EARLIEST
    if not job.wheel:
        with step(result, "unpack", f"unpacking {os.path.basename(job.sdist)}"):
            verify(job)
            source, epoch = unpack(job.sdist, scratch.source)
    host = look_around(job, runner, scratch.path)
    result.update(interpreter=host.interpreter)
    result["tools"]["cc"] = host.compiler_version
    sandbox = find_sandbox(job, runner, host, scratch)
    result["tools"]["sandbox"] = sandbox.version
    shop = Workshop(job, scratch, runner, host, sandbox)
    if not job.wheel:
        patch(shop, source)
    with step(result, "environment", "preparing the environment"):
        installer = Uv(job.installer, shop) if job.installer else Pip(shop)
        result["tools"]["installer"] = installer.version
    wheel = job.wheel or build_wheel(shop, installer, source, epoch, result)
    if job.build_tag and not job.wheel:
        wheel = retag(wheel, job.build_tag)
    try:
        tried(shop, installer, wheel, result)
    except Lacking:  # once that is there the wheel is checked again, and needs no second build
        result["wheel"] = deliver(wheel, job)
        raise
    result["wheel"] = deliver(wheel, job)


def tried(shop: Workshop, installer: Uv | Pip, wheel: str, result: dict[str, Any]) -> None:
    """Check the wheel, if that is asked for."""
    if shop.job.check is None:
        result["checks"] = [{"name": name, "outcome": "skipped", "detail": "not asked for"} for name in CHECKS]
        return
    with step(result, "check", f"checking {os.path.basename(wheel)}"):
        check_wheel(shop, installer, wheel, result["checks"])


def deliver(wheel: str, job: Job) -> dict[str, Any]:
    """Move the wheel into the output directory, whole or not at all, also from another file system.

    One that was there already stays where it is.
    """
    if wheel == job.wheel:
        return described(wheel)
    name = os.path.basename(wheel)
    part = os.path.join(job.output, f".{name}.part")
    try:
        shutil.copyfile(wheel, part)
        os.replace(part, os.path.join(job.output, name))
    finally:
        remove(part)
    return described(os.path.join(job.output, name))


def described(wheel: str) -> dict[str, Any]:
    """Return what the result says of a wheel."""
    with open(wheel, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return {"filename": os.path.basename(wheel), "sha256": digest, "size": os.path.getsize(wheel)}


def write_result(job: Job, result: Mapping[str, Any]) -> None:
    """Write ``result.json``, whole or not at all."""
    path = os.path.join(job.output, "result.json")
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2, sort_keys=True)
        file.write("\n")
    os.replace(f"{path}.part", path)


def blank_result(job: Job) -> dict[str, Any]:
    """Return the result of an action that has not begun."""
    return {
        "format": "spare-tire/result",
        "version": 1,
        "key": job.key,
        "outcome": "failed",
        "reason": None,
        "wheel": None,
        "requirements": [],
        "environment": {},
        "interpreter": None,
        "lacking": None,
        "tools": {"cc": None, "installer": None, "sandbox": None},
        "times": {"unpack": 0.0, "environment": 0.0, "build": 0.0, "check": 0.0},
        "checks": [],
        "network": job.network,
    }


def run(job: Job) -> dict[str, Any]:
    """Do the action, whatever happens, and return its result."""
    result = blank_result(job)
    try:
        with scratch_directory(job) as scratch, Runner(job.timeout) as runner:
            act(job, scratch, runner, result)
        result["outcome"] = "built"
    except (Failed, Stopped) as error:
        result["outcome"] = "refused" if isinstance(error, Refused) else "failed"
        result["reason"] = str(error)
        result["lacking"] = error.wishes if isinstance(error, Lacking) else None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        result["reason"] = "nobody reads the helper's output any more"
    except OSError as error:
        full = f"the disk is full ({NO_SPACE})"
        result["reason"] = (
            full if error.errno == errno.ENOSPC else f"{error.filename or 'the worker'}: {error.strerror}"
        )
    except Exception as error:  # noqa: BLE001 - the result must be written, and the log tells the rest
        traceback.print_exc(file=sys.stdout)
        result["reason"] = f"the helper itself failed, please report it: {type(error).__name__}: {error}"
    finally:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)  # what is left is short, and the result must be written
    return result


def _stop(number: int, _frame: object) -> NoReturn:
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)  # cleaning up is not to be interrupted
    raise Stopped(f"the helper was stopped by {signal.Signals(number).name}")


STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(argv: Sequence[str]) -> int:
    """Read the job, do it, write the result."""
    if len(argv) != 1:
        print("usage: python helper.py JOB.json", file=sys.stderr)
        return 2
    try:
        job = read_job(argv[0])
    except BadJob as error:
        print(*error.args, sep="\n", file=sys.stderr)
        return 2
    os.umask(0o022)
    cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="backslashreplace")  # names in archives are any bytes
    for number in STOPPING:
        signal.signal(number, _stop)
    try:
        os.makedirs(job.output, exist_ok=True)
        remove(os.path.join(job.output, "result.json"))
    except OSError as error:
        print(f"{argv[0]}: output: {job.output} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    result = run(job)
    if result["reason"]:
        say(result["reason"] if result["lacking"] else f"failed: {result['reason']}")
    try:
        write_result(job, result)
    except OSError as error:
        say(f"failed: no result can be written to {job.output}: {error.strerror}")
        return 1
    return 0 if result["outcome"] == "built" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
