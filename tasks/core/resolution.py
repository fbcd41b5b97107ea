"""Which release of a project a request means: ``latest``, a specifier set or one exact version (PEP 440)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from tasks.core.releases import Project, Release


class Latest(enum.Enum):
    """The request for the newest release."""

    LATEST = "latest"

    def __str__(self) -> str:
        return self.value


LATEST = Latest.LATEST

Request = Latest | SpecifierSet | Version
"""What a matrix may ask for: ``latest``, a specifier set, or one exact version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The release that a request means, and what the user should know about it."""

    release: Release
    warnings: tuple[str, ...] = ()


class Unresolved(Exception):
    """No release answers the request; the message says why, in one line."""


def parse_request(text: str) -> Request:
    """Parse ``latest``, ``~=7.10`` or ``6.0.3``. Raises ``ValueError`` that says what was expected."""
    if text == LATEST.value:
        return LATEST
    try:
        return Version(text)
    except InvalidVersion:
        pass
    try:
        specifiers = SpecifierSet(text)
    except InvalidSpecifier:
        specifiers = SpecifierSet()
    if not specifiers:
        message = f"{text!r} is neither latest, nor a version such as 6.0.3, nor a specifier such as ~=6.0"
        raise ValueError(message)
    return specifiers


def resolve(
    project: Project,
    request: Request,
    *,
    called: str | None = None,
    newer_than: datetime | None = None,
    fits: Callable[[Release], bool] | None = None,
) -> Resolution:
    """Return the release that ``request`` means; raise :class:`Unresolved` where there is none.

    ``called`` is the project's name for messages. Releases uploaded after ``newer_than`` (with time zone) are too young
    for ``latest``; a specifier or an exact version is a decision already taken. ``fits`` narrows a specifier to the
    releases that can be used, by :func:`~tasks.core.releases.admits` for example; ``latest`` never falls back to an
    older release in silence.
    """
    label = called or project.name
    if isinstance(request, Version):
        return _exact(project, request, label)
    matching = _matching(project, request, label)
    if request is LATEST:
        newest = next((release for release in matching if not _too_young(release, newer_than, label)), None)
        if newest is None:
            known = _first(project, request, label)
            raise Unresolved(f"{label} has no release that the cooldown admits: {known} is the newest")
        return Resolution(release=newest)
    fitting = next(filter(fits or _any, matching), None)
    if fitting is None:
        known = _first(project, request, label)
        message = f"{label} has no release that matches {request} and fits the target: {known} is the newest"
        raise Unresolved(message)
    return Resolution(release=fitting)


def _first(project: Project, request: Latest | SpecifierSet, label: str) -> Version:
    return next(_matching(project, request, label)).version


def _matching(project: Project, request: Latest | SpecifierSet, label: str) -> Iterator[Release]:
    """Yield the releases that ``request`` may mean, the newest first; at least one.

    As few are looked at as are asked for.
    """
    specifiers = request if isinstance(request, SpecifierSet) else None
    matching = [
        version
        for version in reversed(project.releases.versions)
        if specifiers is None or specifiers.contains(version, prereleases=True)
    ]
    final = [version for version in matching if not version.is_prerelease]
    found = False
    for version in matching if specifiers is not None and specifiers.prereleases else final:
        release = project.releases.of(version)
        if not release.yanked:
            found = True
            yield release
    if not found:
        raise _no_match(project, request, label, matching)


def _no_match(project: Project, request: Latest | SpecifierSet, label: str, matching: Sequence[Version]) -> Unresolved:
    """Return the error of a request that no release answers but yanked ones and, it may be, pre-releases."""
    releases = project.releases
    if all(release.yanked for release in releases):
        return Unresolved(f"{label} has only yanked releases" if releases else f"{label} has no releases")
    known = next((version for version in matching if not releases.of(version).yanked), None)
    if known is None:
        return Unresolved(f"{label} has no release that matches {request} (newest: {_newest(project)})")
    which = "releases" if request is LATEST else f"releases that match {request}"
    return Unresolved(f"{label}: all {which} are pre-releases; to have the newest, ask for {known}")


def _exact(project: Project, version: Version, label: str) -> Resolution:
    release = project.release(version)
    if release is None:
        hint = f"newest: {_newest(project)}" if project.releases else "it has no releases"
        message = f"{label} has no version {version} ({hint})"
        raise Unresolved(message)
    warnings = []
    if version.is_prerelease:
        warnings.append(f"{label} {version} is a pre-release")
    if release.yanked:
        reason = f": {release.yanked_reason}" if release.yanked_reason else ""
        warnings.append(f"{label} {version} is yanked{reason}")
    return Resolution(release=release, warnings=tuple(warnings))


def _newest(project: Project) -> Version:
    def rank(release: Release) -> tuple[bool, bool, Version]:
        return not release.yanked, not release.version.is_prerelease, release.version

    return max(project.releases, key=rank).version


def _any(_: Release) -> bool:
    return True


def _too_young(release: Release, newer_than: datetime | None, label: str) -> bool:
    if newer_than is None:
        return False
    if release.upload_time is None:
        message = f"{label} {release.version}: the public index gives no upload time, which the cooldown needs"
        raise Unresolved(message)
    return release.upload_time > newer_than
