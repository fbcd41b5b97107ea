"""One wheel for several actions: a pure wheel serves every target, an ``abi3`` one every later interpreter."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tasks.core.wheels import WheelName, is_universal, suits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tasks.core.actions import Action

_LIMITED_API = re.compile(rb"abi3|limited[-_]api|py[-_]api", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A wheel of this run, or one that a former run left, and the action that it was built for."""

    action: Action
    filename: str
    sha256: str

    def does_for(self, other: Action) -> bool:
        """Whether the wheel is what another action is to yield: from the same source, installing on its target.

        For a pure wheel it does not matter what system packages the two hosts have.
        """
        tags = WheelName.parse(self.filename).tags
        pure = is_universal(tags)
        return _source(self.action, pure=pure) == _source(other, pure=pure) and suits(
            tags, other.wheel, native=other.native
        )


@dataclass(slots=True)
class Shelf:
    """The wheels that there are. Not thread-safe: its owner holds a lock."""

    _made: dict[str, Made] = field(default_factory=dict)

    def find(self, action: Action) -> Made | None:
        """Return a wheel that does for an action."""
        return next((made for _, made in sorted(self._made.items()) if made.does_for(action)), None)

    def put(self, made: Made) -> Made:
        """Add a wheel; return the one that has its place: itself, or the first of that name."""
        return self._made.setdefault(made.filename, made)


def chains(actions: Iterable[Action], may_share: Callable[[Action], bool]) -> tuple[tuple[Action, ...], ...]:
    """Return the actions in rows, each to be worked off one after the other, so that what one yields spares the next.

    A row holds the actions of one release, lowest interpreter first, where ``may_share`` says of one of them that its
    wheel might do for others; all else stands alone, to be built side by side. The order of first appearance stays.
    """
    groups: dict[tuple[str, str], list[Action]] = defaultdict(list)
    for action in actions:
        groups[action.wheel.name, str(action.version)].append(action)
    rows: list[tuple[Action, ...]] = []
    for group in groups.values():
        if len(group) > 1 and any(map(may_share, group)):
            rows.append(tuple(sorted(group, key=lambda each: each.python.version)))
        else:
            rows += [(action,) for action in group]
    return tuple(rows)


def names_limited_api(pyproject: bytes | None) -> bool:
    """Whether a ``pyproject.toml`` speaks of the stable ABI, in whatever words its backend has for it."""
    return _LIMITED_API.search(pyproject or b"") is not None


def _source(action: Action, *, pure: bool) -> tuple[object, ...]:
    rules = replace(action.rules, timeout=None, patches=None, system_packages=None)
    system = None if pure else action.rules.system_packages
    patches = tuple(patch.sha256 for patch in action.patches)
    wheel = action.wheel
    return wheel.name, wheel.version, wheel.build, action.sdist.sha256, patches, rules, system
