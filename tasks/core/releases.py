"""What an index serves of a project (PEP 503, PEP 592, PEP 700); ``tasks.core.resolution`` chooses from it."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, overload

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from packaging.utils import NormalizedName

SDIST_SUFFIXES = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")
"""Archives that hold source, the preferred first: PEP 625 allows ``.tar.gz`` alone, older releases have the others."""

_PATCH_LEVELS = 50  # more than any minor version of CPython ever had


class Kind(enum.Enum):
    """What a file of a project is; eggs, installers and files with unreadable names are none of these."""

    SDIST = "sdist"
    WHEEL = "wheel"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """One file of a project, as the index describes it."""

    filename: str
    url: str
    """Absolute, without fragment and without user info."""
    version: Version
    kind: Kind
    sha256: str | None = None
    """64 lower-case hex digits; ``None`` where the index gives no digest."""
    size: int | None = None
    """Bytes."""
    requires_python: SpecifierSet | None = None
    yanked: bool = False
    yanked_reason: str = ""
    upload_time: datetime | None = None
    """With time zone; ``None`` where the index gives no dates (PEP 700 is optional, and HTML pages have none)."""


@dataclass(frozen=True, slots=True)
class ServedWheel:
    """What planning needs of a wheel that the index serves; a project may have ten thousand of them."""

    filename: str
    requires_python: SpecifierSet | None = None
    yanked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of a project and its files."""

    version: Version
    sdist: ProjectFile | None
    """The one that is built, where there are several: see :data:`SDIST_SUFFIXES`."""
    wheels: tuple[ServedWheel, ...]
    """Sorted by file name; a single one may be yanked."""
    yanked: bool
    """Whether every file is yanked (PEP 592 yanks files; the indexes yank releases)."""
    yanked_reason: str
    requires_python: SpecifierSet | None
    """That of the sdist, which is what would be built; of the wheels where there is no sdist."""
    upload_time: datetime | None
    """When the sdist came; the first wheel where there is no sdist."""


class Releases(Sequence[Release]):
    """The releases of a project, sorted by version, the oldest first; each is made of its files when it is looked at.

    A page has hundreds of them, and planning looks at a few.
    """

    __slots__ = ("_files_of", "_made", "versions")

    def __init__(self, versions: Iterable[Version], files_of: Callable[[Version], Iterable[ProjectFile]]) -> None:
        self.versions = tuple(sorted(versions))
        self._files_of = files_of
        self._made: dict[Version, Release] = {}

    def of(self, version: Version) -> Release:
        """Return the release of one of the versions."""
        if version not in self._made:
            self._made[version] = _release(version, list(self._files_of(version)))
        return self._made[version]

    def __len__(self) -> int:
        return len(self.versions)

    @overload
    def __getitem__(self, place: int) -> Release: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Release, ...]: ...

    def __getitem__(self, place: int | slice) -> Release | tuple[Release, ...]:
        if isinstance(place, slice):
            return tuple(map(self.of, self.versions[place]))
        return self.of(self.versions[place])

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, (Releases, tuple)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project's page of an index."""

    name: NormalizedName
    releases: Releases
    """Sorted by version, the oldest first."""
    skipped: int = 0
    """Files that are neither sdist nor wheel of this project: eggs, installers, unreadable names."""

    @classmethod
    def of(cls, name: NormalizedName, files: Iterable[ProjectFile], *, skipped: int = 0) -> Project:
        """Group the files of a page into releases; the order of the page does not matter."""
        by_version: dict[Version, list[ProjectFile]] = defaultdict(list)
        for file in files:
            by_version[file.version].append(file)
        return cls(name=name, releases=Releases(by_version, by_version.__getitem__), skipped=skipped)

    def release(self, version: Version) -> Release | None:
        """Return the release of exactly this version (``1.0`` is ``1.0.0``), ``None`` where there is none."""
        known = next((each for each in self.releases.versions if each == version), None)
        return None if known is None else self.releases.of(known)


def admits(release: Release, interpreter: Version) -> bool:
    """Whether ``requires-python`` admits an interpreter: ``3.12.1``, or ``3.12`` for any of its patch levels."""
    return specifiers_admit(release.requires_python, str(interpreter))


def specifiers_admit(requires_python: SpecifierSet | None, interpreter: str) -> bool:
    """Whether ``requires-python`` of a release or of one wheel admits an interpreter: see :func:`admits`."""
    return requires_python is None or _admits(str(requires_python), interpreter)


@cache
def parse_requires_python(text: str) -> SpecifierSet | None:
    """Parse ``requires-python``; what PEP 440 does not know (``>=3.6.*``) limits nothing, as in pip."""
    try:
        return SpecifierSet(text) or None
    except InvalidSpecifier:
        return None


def identify(project: NormalizedName, filename: str) -> tuple[Kind, Version] | None:
    """Return what a file of a project's page is, by its name; ``None`` for what is neither sdist nor wheel of it.

    Names of sdists are taken as they were before PEP 625 too: ``PyYAML-6.0.tar.gz``, ``foo-bar-1.0-1.zip``.
    """
    if filename.endswith(".whl"):
        try:
            name, version, _, _ = parse_wheel_filename(filename)
        except (InvalidWheelFilename, InvalidVersion):
            return None
        return (Kind.WHEEL, version) if name == project else None
    suffix = next((suffix for suffix in SDIST_SUFFIXES if filename.endswith(suffix)), None)
    if suffix is None:
        return None
    sdist_version = _after_name(project, filename.removesuffix(suffix))
    return None if sdist_version is None else (Kind.SDIST, sdist_version)


def _after_name(project: NormalizedName, stem: str) -> Version | None:
    """Split ``name-version`` where the name ends: both halves of an old sdist's name may hold dashes."""
    parts = stem.split("-")
    for length in range(1, len(parts)):
        if canonicalize_name("-".join(parts[:length])) == project:
            try:
                return Version("-".join(parts[length:]))
            except InvalidVersion:
                continue
    return None


def _release(version: Version, files: list[ProjectFile]) -> Release:
    ordered = sorted(files, key=lambda file: file.filename)
    sdists = [file for file in ordered if file.kind is Kind.SDIST]
    wheels = [file for file in ordered if file.kind is Kind.WHEEL]
    sdist = min(sdists, key=_sdist_rank, default=None)
    speaking = [sdist] if sdist else wheels
    yanked = all(file.yanked for file in files)
    times = [file.upload_time for file in speaking if file.upload_time is not None]
    return Release(
        version=version,
        sdist=sdist,
        wheels=tuple(ServedWheel(file.filename, file.requires_python, file.yanked) for file in wheels),
        yanked=yanked,
        yanked_reason=next((file.yanked_reason for file in ordered if file.yanked_reason), "") if yanked else "",
        requires_python=next((file.requires_python for file in speaking if file.requires_python is not None), None),
        upload_time=min(times, default=None),
    )


def _sdist_rank(file: ProjectFile) -> tuple[bool, int, str]:
    suffix = next(place for place, suffix in enumerate(SDIST_SUFFIXES) if file.filename.endswith(suffix))
    return file.yanked, suffix, file.filename


@cache
def _admits(specifiers: str, interpreter: str) -> bool:
    """As text, because 3.8 and 3.8.0 are equal as versions and ask different things here."""
    parsed = SpecifierSet(specifiers)
    if len(Version(interpreter).release) > 2:  # noqa: PLR2004 - a patch level is given
        return parsed.contains(interpreter, prereleases=True)
    return any(parsed.contains(f"{interpreter}.{patch}") for patch in range(_PATCH_LEVELS))
