"""The files of a project's page by release, as text: parsed are those of the releases that somebody looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.core.releases import Kind, Project, ProjectFile, Releases, identify, parse_requires_python

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version


class ListedFile(NamedTuple):
    """A file of a release."""

    filename: str
    requires_python: str | None = None
    yanked: str | None = None
    """The reason, which may be empty; ``None`` for a file that is not yanked."""
    upload_time: str | None = None
    url: str = ""
    """Absolute, without fragment and without user info."""
    sha256: str | None = None
    """64 lower-case hex digits."""
    size: int | None = None

    def parsed(self, kind: Kind, version: Version) -> ProjectFile:
        """Return the file as a value."""
        return ProjectFile(
            filename=self.filename,
            url=self.url,
            version=version,
            kind=kind,
            sha256=self.sha256,
            size=self.size,
            requires_python=parse_requires_python(self.requires_python or ""),
            yanked=self.yanked is not None,
            yanked_reason=self.yanked or "",
            upload_time=time_of(self.upload_time),
        )


Row = tuple[Any, ...] | list[Any]
"""The beginning of a :class:`ListedFile`, plain JSON: a page may have ten thousand, and a wheel's URL nobody needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page: its sdists and wheels by version, and how many other files it has."""

    name: NormalizedName
    files: Mapping[Version, Sequence[Row]]
    skipped: int

    def project(self) -> Project:
        """Return what planning asks."""
        return Project(name=self.name, releases=Releases(self.files, self._parsed), skipped=self.skipped)

    def _parsed(self, version: Version) -> Iterator[ProjectFile]:
        for row in self.files[version]:
            file = ListedFile(*row)
            yield file.parsed(Kind.WHEEL if file.filename.endswith(".whl") else Kind.SDIST, version)


class Sorter:
    """Sorts the files of one page by release, as :func:`~tasks.core.releases.identify` tells what they are.

    The wheels of a release differ in their tags, and those of many releases have the same tags. A wheel's name is one
    exactly where what is before the tags and the tags are, each by itself: so both are parsed once.
    """

    def __init__(self, project: NormalizedName) -> None:
        self.files: dict[Version, list[Row]] = {}
        self._project = project
        self._known: dict[str, tuple[Kind, list[Row]]] = {}
        self._tags: set[str] = set()

    def __call__(self, filename: str) -> tuple[Kind, list[Row]] | None:
        """Return a file's kind and the list that it belongs in, ``None`` for no sdist and no wheel of the project."""
        if not filename.endswith(".whl"):
            return self._place(filename)
        before = filename.rsplit("-", 3)[0]
        tags = filename[len(before) :]
        known = self._known.get(before)
        if known is not None and tags in self._tags:
            return known
        found = self._place(filename)
        if found is not None:
            self._tags.add(tags)
            self._known[before] = found
        return found

    def _place(self, filename: str) -> tuple[Kind, list[Row]] | None:
        found = identify(self._project, filename)
        return None if found is None else (found[0], self.files.setdefault(found[1], []))


def time_of(text: str | None) -> datetime | None:
    """Parse an upload time; what cannot be read is none."""
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)
