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
    dated: bool
    skipped: int

    def project(self) -> Project:
        """Return what planning asks."""
        return Project(
            name=self.name, releases=Releases(self.files, self._parsed), dated=self.dated, skipped=self.skipped
        )

    def _parsed(self, version: Version) -> Iterator[ProjectFile]:
        for row in self.files[version]:
            file = ListedFile(*row)
            yield file.parsed(Kind.WHEEL if file.filename.endswith(".whl") else Kind.SDIST, version)


class Identifier:
    """Tells what the files of one page are, as :func:`~tasks.core.releases.identify` does.

    The wheels of a release differ in their tags, and those of many releases have the same tags. A wheel's name is one
    exactly where what is before the tags and the tags are, each by itself: so both are parsed once.
    """

    def __init__(self, project: NormalizedName) -> None:
        self._project = project
        self._known: dict[str, tuple[Kind, Version]] = {}
        self._tags: set[str] = set()

    def __call__(self, filename: str) -> tuple[Kind, Version] | None:
        """Return a file's kind and version, ``None`` for what is neither sdist nor wheel of the project."""
        if not filename.endswith(".whl"):
            return identify(self._project, filename)
        before = filename.rsplit("-", 3)[0]
        tags = filename[len(before) :]
        known = self._known.get(before)
        if known is not None and tags in self._tags:
            return known
        found = identify(self._project, filename)
        if found is None:
            return None
        self._tags.add(tags)
        return self._known.setdefault(before, found)


def time_of(text: str | None) -> datetime | None:
    """Parse an upload time; what cannot be read is none."""
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)
