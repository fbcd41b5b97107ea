"""Remembers in ``dist/`` what was published where, so that what has not changed since costs no look at its project.

A receipt says of each wheel which files belong to it, as they were found, and the state of its project once the wheel
was listed. It counts only while those files are untouched *and* the index's list names that very state: of an index
that somebody went back with, made anew or went on with, the project is looked at again. So it hides nothing, and
without it, or with a damaged one, the same is published at the price of a request for each project.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tasks.core.candidates import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from tasks.core.candidates import Result
    from tasks.core.project_list import ProjectList

FORMAT = 1
FILE = "published.json"
"""Its name in ``dist/``."""

Stamp = tuple[int, int, int]
"""A file's size in bytes, and the times of its last change and of its node's, in nanoseconds."""
Stamps = dict[str, Stamp]
"""By path below ``dist/``."""


def stamp(path: Path) -> Stamp:
    """Return what a file looks like from outside. Raises :class:`OSError`."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A wheel that was published."""

    project: str
    serial: int
    state: str
    """The digest of its project's page, :attr:`tasks.core.index.ProjectPage.digest`."""
    files: Stamps
    """The wheel, and what belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was published to one index."""

    wheels: Mapping[str, Published] = field(default_factory=dict)
    visits: Mapping[str, Stamps] = field(default_factory=dict)
    """By name; several files may have one."""
    serial: int | None = None
    """Of the list of projects, as it was, where there are no wheels to tell by."""

    @classmethod
    def read(cls, dist: Path, location: str) -> Self:
        """Return the receipt for an index; an empty one where there is none, or none that can be understood."""
        try:
            kept = json.loads((dist / FILE).read_bytes())
            if kept["format"] != FORMAT:
                return cls()
            found = kept["indexes"][location]
            return cls(
                wheels={name: _published(each) for name, each in found["wheels"].items()},
                visits={name: _stamps(each) for name, each in found["visits"].items()},
                serial=None if found.get("serial") is None else int(found["serial"]),
            )
        except (OSError, ArithmeticError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return cls()

    def write(self, dist: Path, location: str) -> None:
        """Keep the receipt beside those for other indexes. Raises :class:`OSError`."""
        path = dist / FILE
        try:
            indexes = dict(json.loads(path.read_bytes())["indexes"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            indexes = {}
        indexes[location] = asdict(self)
        part = path.with_name(f".{FILE}.{secrets.token_hex(4)}.part")
        try:
            part.write_text(json.dumps({"format": FORMAT, "indexes": indexes}, sort_keys=True, indent=1))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def still(self, listed: ProjectList | None) -> Receipt:
        """Return what still counts, the index having this list by now; nothing does where it has none.

        The list names no visits. They count as long as every wheel does, and without wheels as long as the list has not
        gone back.
        """
        if listed is None:
            return Receipt()
        known = {str(project.name): (project.serial, project.state) for project in listed.projects}
        wheels = {name: one for name, one in self.wheels.items() if known.get(one.project) == (one.serial, one.state)}
        forward = self.serial is not None and listed.serial >= self.serial
        whole = len(wheels) == len(self.wheels) if self.wheels else forward
        return Receipt(wheels=wheels, visits=self.visits if whole else {})

    def covers(self, name: str, files: Stamps) -> bool:
        """Whether a wheel or a visit was published from just these files."""
        wheel = self.wheels.get(name)
        return files == (wheel.files if wheel else self.visits.get(name))

    def with_records(self) -> Receipt:
        """Return what it says of wheels that have a build record."""
        wheels = {
            name: one
            for name, one in self.wheels.items()
            if any(path.rpartition("/")[2] == f"{name}.json" for path in one.files)
        }
        return Receipt(wheels=wheels, visits=self.visits)


def made(
    results: Iterable[Result],
    kept: Receipt,
    files: Mapping[str, Stamps],
    filed: Collection[str],
    serial: int | None,
) -> Receipt:
    """Return the receipt for what is on the index by now; ``files`` has what belongs to each wheel and visit.

    Wheels that are there with other bytes, or not at all, are looked at the next time, and so are visits that were not
    ``filed``. ``serial`` is the list's as it was read.
    """
    wheels = {name: one for name, one in kept.wheels.items() if files.get(name) == one.files}
    for result in results:
        listed = result.listed
        if listed is not None and listed.state and result.outcome in {Outcome.PUBLISHED, Outcome.UNCHANGED}:
            wheels[result.filename] = Published(
                project=listed.name, serial=listed.serial, state=listed.state, files=files[result.filename]
            )
    visits = {name: stamps for name, stamps in files.items() if name in filed or kept.visits.get(name) == stamps}
    return Receipt(wheels=wheels, visits=visits, serial=None if wheels else serial)


def _published(found: dict[str, Any]) -> Published:
    return Published(
        project=str(found["project"]),
        serial=int(found["serial"]),
        state=str(found["state"]),
        files=_stamps(found["files"]),
    )


def _stamps(found: dict[str, Any]) -> Stamps:
    made: Stamps = {}
    for path, (size, changed, node) in found.items():
        made[path] = (int(size), int(changed), int(node))
    return made
