"""Turns what is wanted and the release that is meant into an action: sdist, rules, the wheel that is expected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.version import Version

from tasks.core.actions import Action, Sdist
from tasks.core.placement import needs
from tasks.core.releases import Kind, Release, admits, identify
from tasks.core.wheels import ExpectedWheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.core.actions import Patch
    from tasks.core.matrix import Rules, Wanted


class Unplannable(Exception):
    """The wheel cannot be planned; the message says why and what to do."""


def expect(wanted: Wanted, version: Version, rules: Rules) -> ExpectedWheel:
    """Return the wheel that an action for ``wanted`` yields."""
    return ExpectedWheel(
        name=wanted.name,
        version=version,
        build=(rules.revision, "") if rules.revision is not None else (),
        interpreter=wanted.python.interpreter,
        abi=wanted.python.abi,
        platforms=wanted.target.platforms,
    )


def pinned_release(wanted: Wanted) -> Release:
    """Return the release that a pinned sdist makes; nothing else is known of it. Raises :class:`Unplannable`."""
    version = wanted.request
    if not isinstance(version, Version):
        raise Unplannable(f"the sdist is pinned, so the version must be too: found {wanted.text}")
    filename = _filename(wanted.sdist.url) if wanted.sdist else ""
    kind, found = identify(wanted.name, filename) or (None, None)
    if kind is not Kind.SDIST or found != version:
        asked = f"{wanted.package} {version}"
        raise Unplannable(
            f"the pinned sdist {filename or '(no file name)'} is not one of {asked}; "
            f"expected a name such as {wanted.name.replace('-', '_')}-{version}.tar.gz"
        )
    return Release(
        version=version,
        sdist=None,
        wheels=(),
        yanked=False,
        yanked_reason="",
        requires_python=None,
        upload_time=None,
    )


def _filename(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def filled_in(rules: Rules, interpreter: str) -> Rules:
    """Replace the one placeholder that the matrix has, ``{python_tag}`` in config settings."""
    if not rules.config_settings:
        return rules
    settings = {
        name: tuple(value.replace("{python_tag}", interpreter) for value in values)
        for name, values in rules.config_settings.items()
    }
    return replace(rules, config_settings=settings)


def patches_of(rules: Rules, patches: Mapping[str, Patch]) -> tuple[Patch, ...]:
    """Return the patches that the rules name."""
    return tuple(patches[path] for path in rules.patches or ())


def draft(wanted: Wanted, release: Release, rules: Rules, patches: Mapping[str, Patch], *, native: bool) -> Action:
    """Return the action that builds what is wanted from a release, not placed yet. Raises :class:`Unplannable`."""
    named = f"{wanted.package} {release.version}"
    if not admits(release, Version(wanted.python.dotted)):
        raise Unplannable(f"{named} requires Python {release.requires_python}, which {wanted.python.tag} is not")
    return Action(
        package=wanted.package,
        target=wanted.target.name,
        instance=wanted.target.instance or "",
        arch=wanted.target.arch,
        python=wanted.python,
        wheel=expect(wanted, release.version, rules),
        sdist=_sdist(wanted, release, named),
        rules=filled_in(rules, wanted.python.interpreter),
        patches=patches_of(rules, patches),
        check=wanted.check,
        native=native,
        needs=needs(wanted.target, wanted.python, native=rules.native is not False),  # no wheel is not no machine code
    )


def _sdist(wanted: Wanted, release: Release, named: str) -> Sdist:
    if wanted.sdist is not None:
        return Sdist(filename=_filename(wanted.sdist.url), url=wanted.sdist.url, sha256=wanted.sdist.sha256)
    if release.sdist is None:
        raise Unplannable(f"{named} has no sdist on the public index; pin one with `sdist: URL#sha256=…`")
    if release.sdist.sha256 is None:
        filename = release.sdist.filename
        raise Unplannable(f"the public index gives no sha256 for {filename}; pin it with `sdist: URL#sha256=…`")
    return Sdist(
        filename=release.sdist.filename,
        url=release.sdist.url,
        sha256=release.sdist.sha256,
        size=release.sdist.size,
    )
