"""What of a matrix the public index has made needless: entries whose every wheel it serves by now."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from tasks.core.plan import PlanError
from tasks.core.resolution import Unresolved

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tasks.core.matrix import Wanted
    from tasks.core.upstream import Upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Needless:
    """A version of a package on a target, as the matrix asks for it, that needs no build."""

    package: str
    version: str
    """As asked for: ``latest``, a version, a specifier."""
    target: str
    wheels: tuple[str, ...]
    """The public index's, by file name; at least one."""


def retired(wanted: Iterable[Wanted], upstream: Upstream) -> tuple[tuple[Needless, ...], tuple[PlanError, ...]]:
    """Return the entries of which the public index serves every wheel, sorted, and what could not be found out.

    What the matrix says of ``upstream`` does not count. A pinned sdist is another source than the public index's wheels
    are made of, so it is never needless.
    """
    needless: list[Needless] = []
    errors: list[PlanError] = []
    asked = sorted((each for each in wanted if each.sdist is None), key=_entry)
    for (_, version, target), group in groupby(asked, key=_entry):
        entry = list(group)
        try:
            served = [_wheels(each, upstream) for each in entry]
        except Unresolved as error:
            errors.append(PlanError.of(entry[0], str(error)))
            continue
        if all(served):
            wheels = dict.fromkeys(name for names in served for name in names)
            needless.append(
                Needless(package=entry[0].package, version=version, target=target, wheels=tuple(sorted(wheels)))
            )
    return tuple(needless), tuple(errors)


def _entry(wanted: Wanted) -> tuple[str, str, str]:
    return wanted.name, wanted.text, wanted.target.name


def _wheels(wanted: Wanted, upstream: Upstream) -> tuple[str, ...]:
    release = upstream.resolve(wanted).release
    native = upstream.native(wanted, release, wanted.rules_for(release.version))
    return upstream.wheels_for(wanted, release, native=native)
