"""Which actions of a plan are to be built: an instance's, a CI node's, or those that need nothing but this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.core.errors import BadInput
from tasks.core.matrix import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tasks.core.actions import Action
    from tasks.core.plan import Plan

Place = tuple[str, str]
"""An instance and an architecture."""
Visits = dict[Place, tuple["Action", ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for on the command line: ``freebsd/15.1`` or ``freebsd/15.1,arch=aarch64``."""

    instance: str
    arch: str | None = None

    @classmethod
    def parse(cls, text: str) -> Wish:
        """Parse it. Raises :class:`BadInput`."""
        instance, *options = text.split(",")
        arch = None
        for option in options:
            name, _, value = option.partition("=")
            if name != "arch" or not value or arch is not None:
                raise BadInput(f"instance {text}: found {option!r}, expected NAME or NAME,arch=ARCH")
            arch = value
        return cls(instance=instance, arch=arch)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobData:
    """What a CI hands over in ``JOB_DATA``: it only selects; all else comes from the plan."""

    instance: str
    arch: str
    keys: tuple[str, ...] | None
    """Recipe keys; ``None`` for all of the instance and architecture."""
    matrix: str | None = None
    """The digest of the matrix that was planned, where there are no keys to tell one plan from another."""

    @classmethod
    def parse(cls, text: str) -> JobData:
        """Parse it. Raises :class:`BadInput`."""
        try:
            data: dict[str, Any] = json.loads(text)
            keys = tuple(str(package["action"]) for package in data["packages"])
            everything = not keys and bool(data.get("plan"))
            return cls(
                instance=str(data["instance"]),
                arch=str(data["arch"]),
                keys=None if everything else keys,
                matrix=data.get("matrix"),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            found = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
            raise BadInput(
                "JOB_DATA: expected JSON with instance, arch and packages, each with the recipe key of its action; "
                f"found: {found}"
            ) from error


def select(plan: Plan, file: str, wish: Wish | None, data: JobData | None) -> Visits:
    """Return the visits to make, their actions in the plan's order. ``file`` is the plan's, for messages.

    Without a wish and without a CI's word those whose worker is this machine. Raises :class:`BadInput` for an instance
    or an action that the plan does not have.
    """
    visits = plan.visits()
    if wish is not None:
        visits = _wished(visits, plan, file, wish)
    if data is not None:
        return _handed_over(visits, plan, file, data)
    if wish is None:
        return {place: actions for place, actions in visits.items() if plan.instance(*place).worker == LOCAL}
    return visits


def _wished(visits: Visits, plan: Plan, file: str, wish: Wish) -> Visits:
    found = {
        place: actions
        for place, actions in visits.items()
        if place[0] == wish.instance and wish.arch in {None, place[1]}
    }
    if not found and plan.actions:
        asked = wish.instance + (f",arch={wish.arch}" if wish.arch else "")
        raise BadInput(f"{file}: the plan has no actions for the instance {asked}; it has {_named(visits)}")
    return found


def _handed_over(visits: Visits, plan: Plan, file: str, data: JobData) -> Visits:
    place = (data.instance, data.arch)
    if place not in visits:
        there = _named(plan.visits()) if plan.actions else "no actions"
        raise BadInput(
            f"{file}: JOB_DATA is of {_name(place)}, which the plan (or the command line) does not have: "
            f"it has {there}; "
            "this is another plan than the one that JOB_DATA comes from"
        )
    if data.keys is None:
        if data.matrix != plan.matrix:
            raise BadInput(
                f"{file}: it is the plan of the matrix {plan.matrix}, JOB_DATA is of {data.matrix}; "
                "this is another plan than the one that JOB_DATA comes from"
            )
        return {place: visits[place]}
    known = {action.key for action in visits[place]}
    missing = sorted(set(data.keys) - known)
    if missing:
        raise BadInput(
            f"{file}: JOB_DATA names the action {missing[0]}, which the plan does not have for {_name(place)}; "
            "this is another plan than the one that JOB_DATA comes from"
        )
    chosen = tuple(action for action in visits[place] if action.key in data.keys)
    return {place: chosen} if chosen else {}


def _named(places: Iterable[Place]) -> str:
    return ", ".join(_name(place) for place in sorted(places))


def _name(place: Place) -> str:
    return f"{place[0]},arch={place[1]}"
