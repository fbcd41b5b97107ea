"""Looks for wanted wheels on our own index, and at whether they were built as the matrix now says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.core.actions import rules_digest
from tasks.core.drafts import filled_in, patches_of
from tasks.core.matrix import Rules
from tasks.core.presence import Sites, find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.tags import Tag
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from tasks.core.actions import Action, Patch
    from tasks.core.matrix import Wanted
    from tasks.core.presence import Shelf, ShelfWheel

_NO_RULES = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What is known without asking anybody else: our index by project, and each patch by the path in the matrix."""

    shelves: Mapping[NormalizedName, Shelf]
    """A project that our index does not have is not in it."""
    patches: Mapping[str, Patch] = field(default_factory=dict)


class Look:
    """Looks for wanted wheels on our own index; what several of them share is worked out once."""

    def __init__(self, ours: Ours, sites: Sites) -> None:
        self.patches = ours.patches
        self.warnings: set[str] = set()
        self._shelves = ours.shelves
        self._sites = sites
        self._rules: dict[tuple[int, Version], Rules] = {}
        self._digests: dict[tuple[int, frozenset[Tag]], str | None] = {}

    def rules_for(self, wanted: Wanted, version: Version) -> Rules:
        """Return the rules that apply: one value for all interpreters of an entry of the matrix."""
        if not wanted.rules:
            return _NO_RULES
        key = (id(wanted.rules), version)  # the matrix outlives this
        if key not in self._rules:
            self._rules[key] = wanted.rules_for(version)
        return self._rules[key]

    def find(self, wanted: Wanted, version: Version, rules: Rules, *, native: bool) -> ShelfWheel | None:
        """Return our wheel that does, if there is one."""
        shelf = self._shelves.get(wanted.name)
        if shelf is None:
            return None
        return find(
            shelf.of_version(version),
            self._sites.at(wanted.target, wanted.python),
            native=native,
            revision=rules.revision,
        )

    def is_as_planned(self, found: ShelfWheel, rules: Rules, action: Action | None) -> bool:
        """Whether installers get this wheel of ours, and it was built as it would be built now, as far as is known."""
        return found.yanked is None and (found.recipe is None or self._same_recipe(found, found.recipe, rules, action))

    def reason(self, found: ShelfWheel, rules: Rules, action: Action | None) -> str:
        """Say why nothing is built; ``action`` is what would be built now, where that is known."""
        reason = f"on the index: {found.filename}"
        if found.yanked is not None:
            reason += f"; yanked{found.yanked and f' ({found.yanked})'}: set `revision` to replace it"
        elif found.recipe is not None and not self._same_recipe(found, found.recipe, rules, action):
            name = found.filename
            self.warnings.add(f"{name} is on the index, and its recipe has changed: set `revision` to replace it")
            reason += "; recipe changed: set `revision`"
        return reason

    def _same_recipe(self, found: ShelfWheel, recipe: str, rules: Rules, action: Action | None) -> bool:
        """Compare recipe keys; of a wheel with other tags, or whose sdist nobody was asked about, the rules alone."""
        if action is not None and (action.wheel.tags, action.wheel.build) == (found.tags, found.build):
            return recipe == action.key
        key = (id(rules), found.tags)
        if key not in self._digests:
            interpreter = min(tag.interpreter for tag in found.tags)
            applied = filled_in(rules, interpreter)
            pure = applied != rules and not interpreter.startswith("cp")  # nobody knows whose settings built it
            self._digests[key] = None if pure else rules_digest(applied, patches_of(rules, self.patches))
        expected = self._digests[key]
        return expected is None or recipe.endswith(expected)
