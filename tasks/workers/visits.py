"""One visit: the host is prepared once, its actions run side by side, and a wheel is checked before it is kept."""

from __future__ import annotations

import threading
import time
import traceback
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tasks.core.errors import Failed, Refused
from tasks.core.matrix import LOCAL
from tasks.core.records import Origin
from tasks.core.requirements import planned_action
from tasks.core.sharing import Shelf, chains, names_limited_api
from tasks.distdir import Log, read_log
from tasks.inspection import CheckFailed
from tasks.sdistfile import read_pyproject
from tasks.wheelfile import sha256_of
from tasks.workers.host import HelperFailed, Host, Stopped
from tasks.workers.making import Built, Maker, making_of
from tasks.workers.outcomes import NotBuilt, keep, shared
from tasks.workers.requirements import Requirements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from tasks.core.actions import Action
    from tasks.core.records import ActionOutcome
    from tasks.core.requirements import Need
    from tasks.core.sharing import Made
    from tasks.core.wheels import WheelName
    from tasks.distdir import DistDir
    from tasks.progress import Display
    from tasks.services.requirement_sdists import RequirementSdists
    from tasks.services.sources import Sources
    from tasks.workers import Worker
    from tasks.workers.making import Making
    from tasks.workers.own_wheels import OwnWheels


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every visit of a run works with."""

    dist: DistDir
    staging: Path
    """A directory on the same file system as ``dist``."""
    display: Display
    clock: Callable[[], datetime]
    index_url: str | None = field(repr=False)
    """Where requirements come from; ``None`` for the installer's configuration."""
    own_wheels: OwnWheels
    """What is ours of those that have no wheel there."""
    own_projects: Sequence[str] = ()
    """Projects that come from us alone: a namesake on the public index is not taken for them."""
    requirement_sdists: RequirementSdists
    """What they are built from else."""
    with_checks: bool = True
    """Whether wheels are installed and tried on the worker, and shown to the auditors."""
    shelf: Shelf = field(default_factory=Shelf)
    """The wheels that there are: one may do for several actions."""


class Visit:
    """The actions of one entered worker."""

    def __init__(self, worker: Worker, means: Means) -> None:
        self._means = means
        self._host = Host(worker, means.index_url, means.own_projects)
        self._left: dict[str, Action] = {}
        """The actions without an outcome, by key."""
        self._begun: dict[str, _Begun] = {}
        """Those of them that have begun."""
        self._may_wait = True
        self._lock = threading.Lock()

    def prepare(self, actions: Sequence[Action], sources: Mapping[str, Sources], say: Callable[[str], None]) -> None:
        """Send what the actions need and let the script get the host ready. Raises :class:`ServiceFailed`."""
        self._host.prepare(actions, sources, say)

    def build(
        self,
        actions: Sequence[Action],
        sources: Mapping[str, Sources],
        jobs: int,
        done: Callable[[ActionOutcome], None],
    ) -> None:
        """Run the actions, ``jobs`` at a time; ``done`` gets each outcome as it is there, from the action's thread.

        The largest sdists go first, since they mostly take longest, and nothing should be waiting for one at the end.
        An action that requires what another one makes goes on when all others have had their turn; two that wait for
        each other do not wait any more.

        What is raised here (an interruption, a full disk) ends every action that still runs.
        """

        def may_share(action: Action) -> bool:
            return not action.native or names_limited_api(read_pyproject(sources[action.key].sdist))

        self._left = {action.key: action for action in actions}
        self._requirements = Requirements(actions, self._means.requirement_sdists, self._means.own_projects)
        self._maker = Maker(
            self._host,
            self._requirements,
            self._means.own_wheels,
            self._awaited,
            with_checks=self._means.with_checks,
        )
        rows = sorted(chains(actions, may_share), key=lambda row: -_size(row, sources))
        try:
            while rows:
                before = len(self._left)
                rows = self._take_turns(rows, sources, jobs, done)
                self._may_wait = len(self._left) < before
        finally:
            for begun in self._begun.values():
                begun.log.close()

    def _take_turns(
        self,
        rows: Sequence[tuple[Action, ...]],
        sources: Mapping[str, Sources],
        jobs: int,
        done: Callable[[ActionOutcome], None],
    ) -> list[tuple[Action, ...]]:
        """Work the rows off; return what is left of those that wait."""

        def work_off(row: tuple[Action, ...]) -> tuple[Action, ...]:
            for number, action in enumerate(row):
                try:
                    done(self._act(action, sources[action.key]))
                except _Waits:  # and so may the others of the row, which its wheel may do for
                    return row[number:]
            return ()

        with ThreadPoolExecutor(jobs, thread_name_prefix="action") as pool:
            futures = [pool.submit(work_off, row) for row in rows]
            try:
                finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._host.stop()
                raise
        return [left for future in futures if (left := future.result())]

    def _awaited(self, need: Need, parent: Action, own: WheelName | None) -> Path | None:
        """Return the unchecked wheel of an action of this visit that makes what ``parent`` needs.

        ``None`` where none does, or makes nothing newer than ``own``. Raises :class:`_Waits` while there is hope.
        """
        with self._lock:
            others = [action for key, action in self._left.items() if key != parent.key]
            planned = planned_action(need, parent, others)
            if planned is None or (own is not None and own.version >= planned.version):
                return None
            if self._may_wait:
                raise _Waits(f"{planned.package} {planned.version}")
            begun = self._begun.get(planned.key)
            return begun.making.wheel.path if begun and begun.making.wheel else None

    def _act(self, action: Action, sources: Sources) -> ActionOutcome:
        """Do one action, or go on with it; whatever is its own fault is its outcome. Raises :class:`_Waits`."""
        means, title = self._means, action.wheel.filename
        with self._lock:
            there = means.shelf.find(action)
            begun = self._begun.get(action.key)
        if begun is None:
            means.display.started(title)
        if there is not None:
            return self._finished(action, shared(action, there))
        if begun is None:
            begun = self._begin(action, sources)
        since = time.monotonic()
        try:
            made = self._attempt(begun)
        except _Waits as awaited:
            begun.making.on_line(f"spare-tire: waiting for {awaited}, which this visit builds")
            raise
        finally:
            begun.seconds += time.monotonic() - since
        begun.log.close()
        finished = means.clock()
        origin = Origin(
            worker=self._host.worker.kind,
            tools=self._host.tools,
            log_sha256=sha256_of(begun.log.path),
            started=begun.started,
            finished=finished,
            built_first=made.built_first if isinstance(made, Built) else (),
            ours=made.ours if isinstance(made, Built) else (),
        )
        outcome = keep(action, made, origin, (begun.log, means.dist), self._on_shelf)
        outcome = replace(outcome, seconds=begun.seconds, started=begun.started, finished=finished)
        return self._finished(action, outcome)

    def _begin(self, action: Action, sources: Sources) -> _Begun:
        title, folder = action.wheel.filename, self._means.staging / action.key
        folder.mkdir()
        log = Log(folder / "log.txt.gz")
        making = making_of(action, sources, folder, lambda line: self._means.display.line(title, log.add(line)))
        begun = _Begun(making=making, log=log, started=self._means.clock())
        with self._lock:
            self._begun[action.key] = begun
        return begun

    def _finished(self, action: Action, outcome: ActionOutcome) -> ActionOutcome:
        means = self._means
        if outcome.outcome == "shared":
            means.dist.forget_log(action.key)
        with self._lock:
            self._left.pop(action.key)
            begun = self._begun.pop(action.key, None)
        if begun is not None:
            begun.log.close()
        if begun is not None and outcome.outcome == "failed" and begun.making.result is None:
            self._requirements.cannot(action, outcome.reason or "it failed")
        log = read_log(means.dist.root / outcome.log) if outcome.log else ()
        means.display.finished(action.wheel.filename, outcome, log)
        return outcome

    def _on_shelf(self, made: Made) -> Made:
        with self._lock:
            return self._means.shelf.put(made)

    def _attempt(self, begun: _Begun) -> Built | NotBuilt:
        """Return what was made, or why nothing was."""
        making, log = begun.making, begun.log
        action = making.action
        try:
            making.output = making.output or self._host.worker.directory(f"output/{action.key}")
            return self._maker.make(making)
        except (Failed, Refused) as failure:
            if self._host.stopping:  # which it comes of
                raise Stopped from None
            if not (log.tail and log.tail[-1].endswith(str(failure))):  # the helper has said it already
                log.add(f"spare-tire: failed: {failure}")
            check = failure.findings[-1].name if isinstance(failure, CheckFailed) else None
            if isinstance(failure, HelperFailed):
                check = failure.check
            outcome = "refused" if isinstance(failure, Refused) else "failed"
            return NotBuilt(outcome=outcome, reason=self._explained(action, failure), check=check)
        except (OSError, Stopped, _Waits):  # the disk is full, or the visit is being ended: no action's fault
            raise
        except Exception as error:  # noqa: BLE001 - a package found a fault of ours: that costs no other package
            for line in traceback.format_exc().splitlines():
                log.add(line)
            reason = f"spare-tire itself failed here, please report it: {type(error).__name__}: {error}"
            return NotBuilt(outcome="failed", reason=reason, check=None)

    def _explained(self, action: Action, failure: Failed | Refused) -> str:
        left = self._host.prepared.left
        named = ", ".join(name for name in action.rules.system_packages or () if name in left)
        if not named:
            return str(failure)
        local = self._host.worker.kind == LOCAL
        yours = f"which are yours to install{', or --install-system-packages does' if local else ' there'}: {named}"
        return f"{failure} (the matrix names these system packages for it, {yours})"


@dataclass(slots=True, kw_only=True)
class _Begun:
    """An action under way, and its log."""

    making: Making
    log: Log
    started: datetime
    seconds: float = 0.0
    """What it took so far, without waiting."""


class _Waits(Exception):
    """An action waits for another one of the visit, which the message names."""


def _size(row: tuple[Action, ...], sources: Mapping[str, Sources]) -> int:
    return sum(sources[action.key].sdist.stat().st_size for action in row)
