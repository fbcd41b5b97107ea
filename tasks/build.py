"""The stage ``build``: makes the planned wheels out of sdists, on workers, and checks each before it is kept."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import console, options
from tasks.core import build_report, records
from tasks.core.errors import BadInput, Failed, Refused, ServiceFailed, SpareTireError
from tasks.core.junit import junit
from tasks.core.moments import fixed_moment
from tasks.core.plan import Plan
from tasks.core.records import ActionOutcome
from tasks.core.selection import JobData, Wish, select
from tasks.core.sharing import Made, Shelf
from tasks.distdir import DistDir
from tasks.progress import Aside, display, show_summary
from tasks.services import ci
from tasks.services.pip_config import read_pip_settings
from tasks.services.requirement_sdists import RequirementSdists
from tasks.services.sources import fetch_sources
from tasks.services.website import Website
from tasks.stores.directory import DirectoryStore
from tasks.workers import Wanted, open_worker
from tasks.workers.core_ci import give_back
from tasks.workers.outcomes import shared
from tasks.workers.own_wheels import OwnWheels
from tasks.workers.visits import Means, Visit

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tasks.console import Console
    from tasks.core.actions import Action
    from tasks.core.selection import Place, Visits
    from tasks.services.pip_config import PipSettings
    from tasks.services.sources import Sources
    from tasks.workers import Worker
    from tasks.workers.own_wheels import OwnIndex

    Clock = Callable[[], datetime]

CACHE = Path(".cache")
_BY_GRAVITY = (Refused, BadInput, ServiceFailed, Failed)
"""Where some visits come to nothing the first of these gives the exit code: with those of the last two a CI goes on."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code."""
    parser = console.parser("build", "Build the planned wheels, check them, and keep them in dist/.")
    parser.add_argument(
        "instance",
        nargs="?",
        metavar="INSTANCE",
        help="build what the plan places on this instance: local, freebsd/15.1 or freebsd/15.1,arch=aarch64 "
        "(default: what this machine builds)",
    )
    options.add_plan(parser)
    options.add_dist(parser)
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=options.positive,
        help="builds side by side (default: the worker's processors)",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not install and try the wheels where they are built; their records say so",
    )
    parser.add_argument(
        "--junit", metavar="FILE", type=Path, help="write what became of each wheel as JUnit's XML, which CIs show"
    )
    parser.add_argument(
        "--install-system-packages",
        action="store_true",
        help="have this machine's package manager install what the matrix names as system_packages; mostly takes root",
    )
    parser.add_argument(
        "--give-back",
        action="store_true",
        help="build nothing: give machines back to core-ci that killed runs of this user have left",
    )
    return ci.ended("build", console.run(parser, argv, ci.telling("build", _stage)))


def _stage(chosen: argparse.Namespace, terminal: Console) -> int:
    if chosen.give_back:
        return _give_back(chosen, terminal)
    plan = _read_plan(chosen.plan)
    wish = Wish.parse(chosen.instance) if chosen.instance else None
    job_data = JobData.parse(os.environ["JOB_DATA"]) if os.environ.get("JOB_DATA") else None
    visits = select(plan, str(chosen.plan), wish, job_data)
    aside = Aside(terminal, os.environ)
    workers = {
        place: open_worker(plan.instance(*place), place[1], _wanted(actions, chosen, aside))
        for place, actions in visits.items()
    }
    dist = DistDir(chosen.dist)
    unvisited: list[SpareTireError] = []
    try:
        outcomes = _kept(dist, visits)
        if todo := _without(visits, outcomes):
            run = _Run(terminal, dist, chosen, plan)
            with _terminable():
                outcomes += run.visit_all(todo, workers, outcomes)
            unvisited = run.unvisited
        else:
            terminal.info(_nothing(plan, len(outcomes), chosen.dist))
    except OSError as error:
        where = error.filename or chosen.dist
        raise ServiceFailed(f"{where}: {error.strerror or error}; what was built is kept, a rerun goes on") from error
    code = _tell(outcomes, chosen, terminal)
    if unvisited:
        found = {code, *(error.exit_code for error in unvisited)}
        gravest = next(kind for kind in _BY_GRAVITY if kind.exit_code in found)
        raise gravest(*(message for error in unvisited for message in error.messages))
    return code


def _give_back(chosen: argparse.Namespace, terminal: Console) -> int:
    if chosen.instance:
        raise BadInput(f"--give-back builds nothing: leave out {chosen.instance}")
    if not give_back(Aside(terminal, os.environ)):
        raise ServiceFailed("there is a machine that core-ci did not take back: its own time limit ends it")
    return 0


def _wanted(actions: Sequence[Action], chosen: argparse.Namespace, aside: Aside) -> Wanted:
    pythons = tuple(sorted({action.python for action in actions}))
    return Wanted(pythons=pythons, may_install=chosen.install_system_packages, aside=aside)


def _tell(outcomes: list[ActionOutcome], chosen: argparse.Namespace, terminal: Console) -> int:
    outcomes.sort(key=lambda each: (each.action.wheel.filename, each.action.key))
    if any(each.outcome != "kept" for each in outcomes):
        show_summary(terminal, outcomes, str(chosen.dist), os.environ)
        report = build_report.markdown(outcomes, str(chosen.dist), ci.artifact())
        ci.summarize("build", report, result_on_stdout=chosen.json)
    if chosen.junit:
        _write_results(chosen.junit, outcomes)
    if chosen.json:
        document = {
            "format": "spare-tire/build",
            "version": 1,
            "actions": [records.described(each) for each in outcomes],
        }
        console.emit_json(document)
    found = {each.outcome for each in outcomes}
    if "refused" in found:
        return Refused.exit_code
    return Failed.exit_code if "failed" in found else 0


def _write_results(file: Path, outcomes: Sequence[ActionOutcome]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(junit(outcomes))
    except OSError as error:
        raise BadInput(f"--junit {file}: the results cannot be written there: {error.strerror}") from error


class _Run:
    """One run of the stage: the visits, one after the other."""

    def __init__(self, terminal: Console, dist: DistDir, chosen: argparse.Namespace, plan: Plan) -> None:
        self._terminal = terminal
        self._dist = dist
        self._jobs: int | None = chosen.jobs
        self._with_checks: bool = not chosen.no_check
        self._plan = plan
        self._beside: Path = chosen.plan.parent
        self._clock = _clock(os.environ)
        self._settings = read_pip_settings()
        self._shelf = Shelf()
        self.unvisited: list[SpareTireError] = []
        """What ended the visits of some places, which costs the other places nothing."""

    def visit_all(
        self, todo: Visits, workers: Mapping[Place, Worker], kept: Sequence[ActionOutcome]
    ) -> list[ActionOutcome]:
        """Fetch what is needed, then make the visits."""
        for each in kept:
            if each.wheel and each.sha256:
                self._shelf.put(Made(action=each.action, filename=each.wheel, sha256=each.sha256))
        every = [action for actions in todo.values() for action in actions]
        self._terminal.detail(f"fetching the sdists of {len(every)} actions")
        sources, lacking = fetch_sources(every, CACHE / "sdists", self._settings, self._beside)
        outcomes = [
            ActionOutcome(
                action=action,
                outcome="refused" if isinstance(lacking[action.key], Refused) else "failed",
                reason=str(lacking[action.key]),
            )
            for action in every
            if action.key in lacking
        ]
        for place, actions in todo.items():
            before = [each for each in (*kept, *outcomes) if (each.action.instance, each.action.arch) == place]
            made: list[ActionOutcome] = []
            started = self._clock()
            try:
                self._visit(place, actions, workers[place], sources, made)
            except (BadInput, Failed, Refused, ServiceFailed) as error:
                self.unvisited.append(error)
            finally:
                if made:
                    finished, kind = self._clock(), workers[place].kind
                    report = records.visit(*place, kind, (*before, *made), started=started, finished=finished)
                    self._dist.write_visit(place[0], finished, report)
            outcomes += made
        return outcomes

    def _visit(
        self,
        place: Place,
        actions: Sequence[Action],
        worker: Worker,
        sources: Mapping[str, Sources],
        outcomes: list[ActionOutcome],
    ) -> None:
        there = {action.key: found for action in actions if (found := self._shelf.find(action))}
        outcomes += [shared(action, there[action.key]) for action in actions if action.key in there]
        ready = [action for action in actions if action.key in sources and action.key not in there]
        if ready:
            self._build(place, ready, worker, sources, outcomes)

    def _build(
        self,
        place: Place,
        actions: Sequence[Action],
        worker: Worker,
        sources: Mapping[str, Sources],
        outcomes: list[ActionOutcome],
    ) -> None:
        with self._dist.staging() as staging, self._index() as index, worker:
            for warning in worker.warnings():
                self._terminal.warn(warning)
            shown = display(self._terminal, f"{place[0]} {place[1]}", len(actions), os.environ)
            own = OwnWheels(self._dist, index, staging / "ours")
            means = Means(
                dist=self._dist,
                staging=staging,
                display=shown,
                clock=self._clock,
                index_url=self._plan.public_index or _index_url(self._settings, os.environ),
                shelf=self._shelf,
                own_wheels=own,
                own_projects=self._plan.own_projects,
                requirement_sdists=RequirementSdists(
                    url=self._plan.sdist_index, cache=CACHE, settings=self._settings, beside=self._beside
                ),
                with_checks=self._with_checks,
            )
            visit = Visit(worker, means)
            self._terminal.detail(f"preparing {place[0]}")
            visit.prepare(actions, {action.key: sources[action.key] for action in actions}, self._terminal.detail)
            with shown:
                visit.build(actions, sources, worker.jobs(self._jobs), outcomes.append)

    @contextmanager
    def _index(self) -> Iterator[OwnIndex | None]:
        """Give our own index, where it can be read from here."""
        where = self._plan.own_index
        if where is not None and where.lower().startswith(("http://", "https://")):
            with Website(where, CACHE / "website", settings=self._settings) as site:
                yield site
        else:
            yield DirectoryStore(where) if where else None


def _read_plan(file: Path) -> Plan:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{file}: there is no plan; run nox -s plan first") from None
    except OSError as error:
        raise BadInput(f"{file}: the plan cannot be read: {error.strerror}") from error
    return Plan.from_json(data, str(file))


def _nothing(plan: Plan, kept: int, dist: Path) -> str:
    if not kept:
        elsewhere = sorted({action.instance for action in plan.actions})
        return f"nothing to build here: the plan is for {', '.join(elsewhere)}" if elsewhere else "nothing to build"
    return f"nothing to build: {dist} has {'the wheel' if kept == 1 else f'all {kept} wheels'} of the plan already"


def _kept(dist: DistDir, visits: Visits) -> list[ActionOutcome]:
    there = dist.kept()
    return [
        ActionOutcome(action=action, outcome="kept", wheel=found.filename, sha256=found.sha256)
        for actions in visits.values()
        for action in actions
        if (found := there.get(action.key))
    ]


def _without(visits: Visits, outcomes: Sequence[ActionOutcome]) -> Visits:
    done = {each.action.key for each in outcomes}
    left = {place: tuple(action for action in actions if action.key not in done) for place, actions in visits.items()}
    return {place: actions for place, actions in left.items() if actions}


def _index_url(settings: PipSettings, environ: Mapping[str, str]) -> str | None:
    """Return the index for build requirements: pip's, unless the user has given uv one of its own."""
    has_own = any(environ.get(name) for name in ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL"))
    return None if has_own else settings.index_url


def _clock(environ: Mapping[str, str]) -> Clock:
    fixed = fixed_moment(environ)
    return lambda: fixed or datetime.now(UTC)


@contextmanager
def _terminable() -> Iterator[None]:
    """Take SIGTERM, and a terminal that closes, for Ctrl-C: children are killed and what was built is kept.

    One that comes when that is under way says nothing new, and ends no tidying up: nox sends SIGTERM right after a
    Ctrl-C. A second Ctrl-C is somebody's impatience, and does. What is ignored already stays so: nohup has seen to it.
    """
    is_ending = False

    def interrupt(number: int, _frame: object) -> None:
        nonlocal is_ending
        if is_ending and number != signal.SIGINT:
            return
        is_ending = True
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if is_ending and number != signal.SIGINT else handler)


if __name__ == "__main__":
    raise SystemExit(main())
