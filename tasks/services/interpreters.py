"""The interpreters of this machine that can build: for each tag the first on PATH that starts and has its headers.

Names on PATH are no promise: a version manager's shim may fail, a distribution may leave the headers out. So each is
run once, briefly, and those passed over are kept with the reason, for messages (POSIX; CPython).
"""

from __future__ import annotations

import json
import os
import re
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.tags import platform_tags

from tasks import process
from tasks.core.errors import BadInput
from tasks.core.targets import Machine, PythonTag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TIMEOUT = 10.0
"""Seconds that an interpreter has to start and say what it is."""

OLDEST = (3, 8)
"""The oldest Python that the build helper runs on."""

_NAME = re.compile(r"python3(\.(?P<minor>\d+)t?)?|python")
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}  # as Linux and the matrix name them
_REASON_LIMIT = 200  # characters

# Runs with -I -S on any Python: what an old one has not got is not asked of it. In a virtual environment the answer is
# of the interpreter below it; before 3.11 only its prefix tells which one that is.
PROBE = """
import json, os, sys
found = {"version": list(sys.version_info[:3])}
if sys.version_info >= (3, 8):
    import sysconfig
    base = getattr(sys, "_base_executable", None) or sys.executable
    if os.path.exists(os.path.join(os.path.dirname(base), os.pardir, "pyvenv.cfg")):
        name = "python%d.%d%s" % (sys.version_info[0], sys.version_info[1], sys.abiflags)
        base = os.path.join(sys.base_exec_prefix, "bin", name)
    include = sysconfig.get_path("include")
    found.update(
        implementation=sys.implementation.name,
        abiflags=sys.abiflags,
        executable=base,
        platform=sysconfig.get_platform(),
        machine=os.uname()[4],
        include=include,
        headers=os.path.exists(os.path.join(include, "Python.h")),
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    )
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """An interpreter that builds wheels."""

    tag: PythonTag
    version: str
    """With patch level: ``3.11.7``."""
    found: Path
    """As it was found on PATH."""
    executable: Path
    """The interpreter itself, never one of a virtual environment."""
    platform: str
    """The platform tag of the wheels that it builds: ``linux_x86_64``."""
    machine: str
    """As ``uname`` says: ``x86_64``, ``amd64``."""
    include: Path
    """Where ``Python.h`` is."""

    @property
    def free_threaded(self) -> bool:
        """Whether it runs without the global lock (PEP 703)."""
        return self.tag.abi.endswith("t")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A name on PATH that gives no interpreter to build with."""

    found: Path
    tag: str | None
    """What it would have been, by its answer or its name: ``cp313``."""
    reason: str
    """The end of a sentence: ``does not start: …``."""

    def __str__(self) -> str:
        return f"{self.found} {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What PATH has: the interpreters by version, and the names that were passed over, in PATH's order."""

    interpreters: tuple[Interpreter, ...]
    passed_over: tuple[PassedOver, ...]

    def get(self, tag: str) -> Interpreter | None:
        """Return the interpreter of a tag such as ``cp313`` or ``cp313t``."""
        return next((interpreter for interpreter in self.interpreters if interpreter.tag.tag == tag), None)

    def why_not(self, tag: str) -> str:
        """Say in one line why there is no interpreter of a tag, and which there are."""
        reasons = "; ".join(str(passed) for passed in self.passed_over if passed.tag == tag)
        there = ", ".join(f"{known.tag.tag} ({known.found})" for known in self.interpreters) or "none"
        return f"no interpreter for {tag} on PATH{f': {reasons}' if reasons else ''}; there are: {there}"


def this_machine() -> Machine:
    """Return this machine as the target ``host`` means it. Raises :class:`BadInput` where nothing can build here."""
    discovered = discover()
    if not discovered.interpreters:
        reasons = [str(passed) for passed in discovered.passed_over]
        raise BadInput(
            "this machine has no Python on PATH that can build: python3 with its headers is needed", *reasons
        )
    machine = os.uname().machine
    return Machine(
        arch=_ARCHITECTURES.get(machine, machine),
        platform=_platform_tag(sysconfig.get_platform()),
        accepts=tuple(tag.lower() for tag in platform_tags()),
        pythons=tuple(interpreter.tag for interpreter in discovered.interpreters),
    )


def discover(path: str | None = None, *, timeout: float = TIMEOUT) -> Discovered:
    """Find the interpreters on ``path`` (default: ``PATH``), all names at once, each name's places in order."""
    places = list(_places(os.environ.get("PATH", "") if path is None else path))
    by_name = [list(group) for _, group in groupby(sorted(places, key=lambda place: place[1].name), key=_name)]
    with ThreadPoolExecutor(max_workers=max(4, os.cpu_count() or 1)) as pool:
        tried = [each for tries in pool.map(lambda group: _first(group, timeout), by_name) for each in tries]
    tried.sort(key=lambda each: (each[0], -len(each[1].found.name)))  # python3.13 goes before python3 beside it
    interpreters: dict[PythonTag, Interpreter] = {}
    for _, answer in tried:
        if isinstance(answer, Interpreter):
            interpreters.setdefault(answer.tag, answer)
    return Discovered(
        interpreters=tuple(interpreters[tag] for tag in sorted(interpreters)),
        passed_over=tuple(answer for _, answer in tried if isinstance(answer, PassedOver)),
    )


def discovered(answers: Iterable[tuple[Path, str]]) -> Discovered:
    """Return what another host has: each place where an interpreter may be, in order, with its answer to the probe."""
    judged = [_read(file, text) for file, text in answers]
    interpreters: dict[PythonTag, Interpreter] = {}
    for each in judged:
        if isinstance(each, Interpreter):
            interpreters.setdefault(each.tag, each)
    return Discovered(
        interpreters=tuple(interpreters[tag] for tag in sorted(interpreters)),
        passed_over=tuple(each for each in judged if isinstance(each, PassedOver)),
    )


def _places(path: str) -> Iterator[tuple[int, Path]]:
    """Yield each name that may be an interpreter with its place on PATH, every file once.

    ``python3`` and ``python`` are aliases, asked only where their directory has no versioned name to ask.
    """
    seen: set[Path] = set()
    for place, directory in enumerate(path.split(os.pathsep)):
        try:
            names = sorted(os.listdir(directory)) if directory else []  # noqa: PTH208 - thousands of names
        except OSError:
            continue
        matches = [match for match in map(_NAME.fullmatch, names) if match]
        versioned = [match[0] for match in matches if match["minor"]]
        for name in versioned or [match[0] for match in matches]:
            file = Path(directory, name)
            real = file.resolve()
            if real not in seen and file.is_file() and os.access(file, os.X_OK):
                seen.add(real)
                yield place, file


def _name(place: tuple[int, Path]) -> str:
    return place[1].name


def _first(group: list[tuple[int, Path]], timeout: float) -> list[tuple[int, Interpreter | PassedOver]]:
    """Ask the files of one name in PATH's order until one can build."""
    tries: list[tuple[int, Interpreter | PassedOver]] = []
    for place, file in group:
        answer = _ask(file, timeout)
        tries.append((place, answer))
        if isinstance(answer, Interpreter):
            break
    return tries


class _Unusable(Exception):
    """A file gives no interpreter to build with; ``tag`` is what it would have been, where its answer told."""

    def __init__(self, reason: str, tag: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.tag = tag


def _ask(file: Path, timeout: float) -> Interpreter | PassedOver:
    match = _NAME.fullmatch(file.name)
    minor = match["minor"] if match else None
    named = f"cp3{minor}{'t' if file.name.endswith('t') else ''}" if minor else None
    try:
        if minor:
            _check_age(3, int(minor))  # by the name: what is too old is not even started
        return _judge(file, _answer(file, timeout), _platform_tag(sysconfig.get_platform()))
    except _Unusable as error:
        return PassedOver(found=file, tag=error.tag or named, reason=error.reason)


def _read(file: Path, text: str) -> Interpreter | PassedOver:
    match = _NAME.fullmatch(file.name)
    named = f"cp3{match['minor']}{'t' if file.name.endswith('t') else ''}" if match and match["minor"] else None
    if _object(text) is None:
        reason = f"does not start: {text.strip()[:_REASON_LIMIT] or 'it says nothing'}"
        return PassedOver(found=file, tag=named, reason=reason)
    try:
        return _judge(file, _parsed(text), None)
    except _Unusable as error:
        return PassedOver(found=file, tag=error.tag or named, reason=error.reason)


def _answer(file: Path, timeout: float) -> dict[str, Any]:
    try:
        done = process.run([str(file), "-I", "-S", "-c", PROBE], timeout=timeout)
    except process.CannotStart as error:
        raise _Unusable(f"does not start: {error.reason}") from error
    if done.timed_out:
        raise _Unusable(f"does not start: no answer within {timeout:g} s")
    if done.returncode != 0:
        said = next((line.strip() for line in done.stderr.splitlines() if line.strip()), f"exit code {done.returncode}")
        raise _Unusable(f"does not start: {said[:_REASON_LIMIT]}")
    return _parsed(done.stdout)


def _object(text: str) -> dict[str, Any] | None:
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _parsed(text: str) -> dict[str, Any]:
    answer = _object(text)
    if answer is None or "version" not in answer:
        raise _Unusable("does not answer as an interpreter does")
    return answer


def _judge(file: Path, answer: dict[str, Any], here: str | None) -> Interpreter:
    """Return the interpreter that answered; ``here`` is the platform that it has to build for, if that is known."""
    major, minor, patch = answer["version"]
    _check_age(major, minor)
    if answer["implementation"] != "cpython":
        raise _Unusable(f"is {answer['implementation']}, and only CPython builds here")
    tag = f"cp{major}{minor}{'t' if answer['free_threaded'] else ''}"
    platform = _platform_tag(answer["platform"])
    if "d" in answer["abiflags"]:
        raise _Unusable("is a debug build, whose wheels install nowhere else", tag)
    if here not in {None, platform}:
        raise _Unusable(f"builds for {platform}, and this machine is {here}", tag)
    if not answer["headers"]:
        hint = "install the headers (python3-dev, python3-devel)"
        raise _Unusable(f"has no Python.h in {answer['include']}: {hint}", tag)
    return Interpreter(
        tag=PythonTag.parse(tag),
        version=f"{major}.{minor}.{patch}",
        found=file,
        executable=Path(os.path.normpath(answer["executable"])),
        platform=platform,
        machine=answer["machine"],
        include=Path(answer["include"]),
    )


def _check_age(major: int, minor: int) -> None:
    if (major, minor) < OLDEST:
        raise _Unusable(f"is Python {major}.{minor}, and {OLDEST[0]}.{OLDEST[1]} is the oldest that builds")


def _platform_tag(platform: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", platform.lower())
