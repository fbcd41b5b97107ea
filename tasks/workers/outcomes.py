"""What becomes of an action, and what is kept of it: a wheel with its record and log, or the log alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tasks.core.records import ActionOutcome, record
from tasks.core.sharing import Made

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.core.actions import Action
    from tasks.core.records import Origin
    from tasks.distdir import DistDir, Log
    from tasks.workers.making import Built


@dataclass(frozen=True, slots=True, kw_only=True)
class NotBuilt:
    """Why there is no wheel, and the check that failed, if one did."""

    outcome: str
    """``failed`` or ``refused``."""
    reason: str
    check: str | None


def keep(
    action: Action,
    made: Built | NotBuilt,
    origin: Origin,
    places: tuple[Log, DistDir],
    put: Callable[[Made], Made],
) -> ActionOutcome:
    """Keep what there is of an action, and return what became of it.

    ``put`` puts a wheel on the shelf and returns the one that has its place: itself, or the first of that name.
    """
    log, dist = places
    outcome = ActionOutcome(action=action, outcome="failed")
    if isinstance(made, NotBuilt):
        kept = dist.keep_log(action.key, log.path)
        return replace(
            outcome, outcome=made.outcome, reason=made.reason, check=made.check, log=kept, tail=tuple(log.tail)
        )
    wheel = made.wheel.contents
    ours = Made(action=action, filename=wheel.filename, sha256=wheel.sha256)
    first = put(ours)
    if first is not ours and first.sha256 == ours.sha256:
        return replace(shared(action, first), check_seconds=made.check_seconds)
    if first is not ours:
        kept = dist.keep_log(action.key, log.path)
        return replace(outcome, outcome="refused", reason=_conflict(ours, first), log=kept)
    kept = dist.keep(made.wheel.path, record(action, wheel, made.result, origin), log.path)
    dist.forget_log(action.key)
    return replace(
        outcome,
        outcome="built",
        wheel=wheel.filename,
        sha256=wheel.sha256,
        log=kept,
        check_seconds=made.check_seconds,
    )


def shared(action: Action, made: Made) -> ActionOutcome:
    """Return the outcome of an action that another one's wheel does for."""
    reason = f"the wheel for {made.action.target} {made.action.python.tag} does for it"
    return ActionOutcome(action=action, outcome="shared", wheel=made.filename, sha256=made.sha256, reason=reason)


def _conflict(ours: Made, first: Made) -> str:
    where = f"{first.action.target} {first.action.python.tag}"
    advice = "; for a package of the stable ABI say `abi: abi3`, for others give both the same rules"
    return (
        f"{ours.filename} was built for {where} too, with other bytes (sha256 {first.sha256}, here {ours.sha256}); "
        f"the first was kept{advice}"
    )
