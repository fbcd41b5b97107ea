"""The requirements of a visit that nobody has a wheel of for its worker: each is built there first, and once."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks.core.errors import Failed, Refused
from tasks.core.requirements import DEEPEST, BuiltRequirement, action_for, planned_action

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tasks.core.actions import Action
    from tasks.core.requirements import Need
    from tasks.services.requirement_sdists import RequirementSdists
    from tasks.services.sources import Sources

    Build = Callable[[Action, Sources, Callable[[str], None], tuple[str, ...]], BuiltRequirement]

MOST = 40
"""How many requirements of one action are built before it; more are taken for a mistake."""


class Requirements:
    """Builds what is lacking and keeps it for the visit's other actions.

    Each interpreter's are made one after the other: two that wait for each other would wait for ever.
    """

    def __init__(self, planned: Sequence[Action], sdists: RequirementSdists, own_projects: Sequence[str]) -> None:
        self._own_projects = own_projects
        self._planned = planned
        self._sdists = sdists
        self._made: dict[str, BuiltRequirement | Failed] = {}
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._guard = threading.Lock()

    def provide(
        self,
        parent: Action,
        need: Need,
        there: Sequence[BuiltRequirement],
        within: tuple[Callable[[str], None], tuple[str, ...]],
        build: Build,
    ) -> BuiltRequirement:
        """Return the requirement that ``parent`` lacks, built by ``build``. Raises :class:`Failed` with the reason.

        ``there`` is what was built for it before; ``within`` is where lines go, and the projects that are being built
        for each other, the action's own first.
        """
        on_line, chain = within
        before = next((each for each in there if canonicalize_name(each.action.package) == need.name), None)
        if before is not None:
            found = before.pinned
            raise Failed(f"the requirement {need} has no wheel here; {found} was built from its sdist, but does not do")
        if len(there) == MOST:
            raise Failed(f"more than {MOST} requirements have no wheel here, the next is {need}")
        if need.name in chain:
            circle = " → ".join([*chain[chain.index(need.name) :], need.name])
            raise Failed(f"the build requirements go round in a circle, and none has a wheel here: {circle}")
        if len(chain) > DEEPEST:
            raise Failed(f"build requirements are more than {DEEPEST} deep: {' → '.join([*chain, need.name])}")
        with self._lock_of(parent.python.tag):
            action = planned_action(need, parent, self._planned)
            if action is None and need.name in self._own_projects:
                raise Failed(
                    f"{need} is ours, since the matrix gives its sdist, and no wheel of it is here; build it too"
                )
            action = action or action_for(need, self._sdists.project(need.name), parent)
            return self._once(action, on_line, chain, build)

    def cannot(self, action: Action, reason: str) -> None:
        """Note that an action of the visit failed, so that it is not tried again for those that require it."""
        self._made[action.key] = _cannot_be_built(action, reason)

    def _once(
        self, action: Action, on_line: Callable[[str], None], chain: tuple[str, ...], build: Build
    ) -> BuiltRequirement:
        named = f"{action.package} {action.version}"
        made = self._made.get(action.key)
        if made is None:
            on_line(f"spare-tire: {named} has no wheel here; building it from {action.sdist.filename} first")
            try:
                made = build(action, self._sdists.fetch(action), on_line, (*chain, _name(action)))
            except (Failed, Refused) as failure:
                made = _cannot_be_built(action, str(failure))
            self._made[action.key] = made
        else:
            on_line(f"spare-tire: {named} has no wheel here; this visit has built it already")
        if isinstance(made, Failed):
            raise made
        return made

    def _lock_of(self, tag: str) -> threading.RLock:
        with self._guard:
            return self._locks[tag]


def _cannot_be_built(action: Action, reason: str) -> Failed:
    return Failed(f"the requirement {action.package} {action.version} cannot be built: {reason}")


def _name(action: Action) -> str:
    return canonicalize_name(action.package)
