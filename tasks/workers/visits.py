"""One visit: the host is prepared once, its actions run side by side, and a wheel is checked before it is kept."""

from __future__ import annotations

import hashlib
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks.core.backends import config_settings
from tasks.core.errors import Failed, Refused, ServiceFailed
from tasks.core.jobs import Site, job, read_result
from tasks.core.records import ActionOutcome, Origin, record
from tasks.core.requirements import BuiltRequirement
from tasks.core.sharing import Made, Shelf, chains, names_limited_api
from tasks.core.targets import ABI3
from tasks.distdir import Log, read_log
from tasks.inspection import CheckFailed, inspect
from tasks.script import BUILD_HOST, render
from tasks.sdistfile import read_pyproject
from tasks.wheelfile import sha256_of
from tasks.workers.local import LocalWorker
from tasks.workers.requirements import Requirements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tasks.core.actions import Action
    from tasks.core.jobs import BuiltFile, Result
    from tasks.distdir import DistDir
    from tasks.inspection import Inspected
    from tasks.process import Ended, Running
    from tasks.progress import Display
    from tasks.services.requirement_sdists import RequirementSdists
    from tasks.services.sources import Sources
    from tasks.workers import Worker

HELPER = Path(__file__).with_name("helper.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every visit of a run works with."""

    dist: DistDir
    staging: Path
    """A directory on the same file system as ``dist``."""
    display: Display
    clock: Callable[[], datetime]
    index_url: str | None = field(repr=False)
    """Where build requirements come from; ``None`` for the installer's configuration."""
    requirement_sdists: RequirementSdists
    """Where those come from that have no wheel."""
    with_checks: bool = True
    """Whether wheels are installed and tried on the worker, and shown to the auditors."""
    shelf: Shelf = field(default_factory=Shelf)
    """The wheels that there are: one may do for several actions."""


class Visit:
    """The actions of one entered worker."""

    def __init__(self, worker: Worker, means: Means) -> None:
        self._worker = worker
        self._means = means
        self._running: set[Running] = set()
        self._stopping = False
        self._lock = threading.Lock()
        self._sent: dict[Path, str] = {}
        self._script = ""
        self._tools: dict[str, str] = {}
        self._requirements = Requirements((), means.requirement_sdists, self._built_requirement)
        self._shared: dict[str, str] = {}

    def prepare(self, actions: Sequence[Action], sources: Mapping[str, Sources], say: Callable[[str], None]) -> None:
        """Send what the actions need and let the script get the host ready. Raises :class:`ServiceFailed`."""
        helper = self._worker.put(HELPER, "helper.py")
        values = {
            "root": self._worker.root,
            "helper": helper,
            "path": self._worker.path,
            "may_install": "yes" if self._worker.may_install else "no",
            "system_packages": sorted({name for action in actions for name in action.rules.system_packages or ()}),
            "pythons": list(self._worker.pythons()),
        }
        script = render(BUILD_HOST, values)
        self._script = self._worker.put(script.encode(), "build_host.sh")
        self._tools = {"helper.py": sha256_of(HELPER), "build_host.sh": hashlib.sha256(script.encode()).hexdigest()}
        files = sorted({path for each in sources.values() for path in (each.sdist, *each.patches)})
        for number, path in enumerate(files):  # two patches may have one name
            self._sent[path] = self._worker.put(path, f"sources/{number}/{path.name}")
        lines: list[str] = []

        def on_line(line: str) -> None:
            lines.append(line)
            say(line)

        self._requirements = Requirements(actions, self._means.requirement_sdists, self._built_requirement)
        several = [tag for tag, number in Counter(action.python.tag for action in actions).items() if number > 1]
        self._shared = {tag: self._worker.directory(f"environments/{tag}") for tag in several}
        ended = self._run(["sh", self._script, "prepare"], on_line)
        if ended.returncode:
            last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
            raise ServiceFailed(
                f"the {self._worker.kind} worker cannot be prepared (exit code {ended.returncode}): {last}"
            )

    def build(
        self,
        actions: Sequence[Action],
        sources: Mapping[str, Sources],
        jobs: int,
        done: Callable[[ActionOutcome], None],
    ) -> None:
        """Run the actions, ``jobs`` at a time; ``done`` gets each outcome as it is there, from the action's thread.

        The largest sdists go first, since they mostly take longest, and nothing should be waiting for one at the end.

        What is raised here (an interruption, a full disk) ends every action that still runs.
        """

        def may_share(action: Action) -> bool:
            return not action.native or names_limited_api(read_pyproject(sources[action.key].sdist))

        def work_off(row: tuple[Action, ...]) -> None:
            for action in row:
                done(self._act(action, sources[action.key]))

        with ThreadPoolExecutor(jobs, thread_name_prefix="action") as pool:
            rows = sorted(chains(actions, may_share), key=lambda row: -_size(row, sources))
            futures = [pool.submit(work_off, row) for row in rows]
            try:
                finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                self._stop()
            for future in finished:
                future.result()

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            for running in self._running:
                running.stop()

    def _run(self, argv: Sequence[str], on_line: Callable[[str], None]) -> Ended:
        with self._lock:
            if self._stopping:
                raise _Stopped
            running = self._worker.start(argv, on_line)
            self._running.add(running)
        try:
            ended = running.wait()
        finally:
            with self._lock:
                self._running.discard(running)
        if ended.stopped:
            raise _Stopped
        return ended

    def _act(self, action: Action, sources: Sources) -> ActionOutcome:
        """Do one action; whatever is its own fault is its outcome."""
        means, title, began = self._means, action.wheel.filename, time.monotonic()
        means.display.started(title)
        with self._lock:
            there = means.shelf.find(action)
        if there is not None:
            means.dist.forget_log(action.key)
            outcome = shared(action, there)
            means.display.finished(title, outcome, ())
            return outcome
        folder = means.staging / action.key
        folder.mkdir()
        started = means.clock()
        with Log(folder / "log.txt.gz") as log:
            made = self._attempt(action, sources, folder, log)
        finished, seconds = means.clock(), time.monotonic() - began
        origin = Origin(
            worker=self._worker.kind,
            tools=self._tools,
            log_sha256=sha256_of(log.path),
            started=started,
            finished=finished,
            built_first=made.built_first if isinstance(made, _Built) else (),
        )
        outcome = replace(self._settled(action, made, origin, log), seconds=seconds, started=started, finished=finished)
        means.display.finished(title, outcome, read_log(means.dist.root / outcome.log) if outcome.log else ())
        return outcome

    def _settled(self, action: Action, made: _Built | _NotBuilt, origin: Origin, log: Log) -> ActionOutcome:
        """Keep what there is of an action, and return what became of it."""
        dist = self._means.dist
        outcome = ActionOutcome(action=action, outcome="failed")
        if isinstance(made, _NotBuilt):
            kept = dist.keep_log(action.key, log.path)
            return replace(
                outcome, outcome=made.outcome, reason=made.reason, check=made.check, log=kept, tail=tuple(log.tail)
            )
        wheel = made.wheel.contents
        ours = Made(action=action, filename=wheel.filename, sha256=wheel.sha256)
        with self._lock:
            first = self._means.shelf.put(ours)
        if first is not ours and first.sha256 == ours.sha256:
            dist.forget_log(action.key)
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

    def _attempt(self, action: Action, sources: Sources, folder: Path, log: Log) -> _Built | _NotBuilt:
        """Return what was made, or why nothing was."""
        try:
            return self._made(
                action, sources, folder, lambda line: self._means.display.line(action.wheel.filename, log.add(line))
            )
        except (Failed, Refused) as failure:
            if not (log.tail and log.tail[-1].endswith(str(failure))):  # the helper has said it already
                log.add(f"spare-tire: failed: {failure}")
            check = failure.findings[-1].name if isinstance(failure, CheckFailed) else None
            if isinstance(failure, _HelperFailed):
                check = failure.check
            outcome = "refused" if isinstance(failure, Refused) else "failed"
            return _NotBuilt(outcome=outcome, reason=self._explained(action, failure), check=check)
        except (OSError, _Stopped):  # the disk is full, or the visit is being ended: no action's fault
            raise
        except Exception as error:  # noqa: BLE001 - a package found a fault of ours: that costs no other package
            for line in traceback.format_exc().splitlines():
                log.add(line)
            reason = f"spare-tire itself failed here, please report it: {type(error).__name__}: {error}"
            return _NotBuilt(outcome="failed", reason=reason, check=None)

    def _made(self, action: Action, sources: Sources, folder: Path, on_line: Callable[[str], None]) -> _Built:
        """Have the helper build the wheel and fetch it. Raises :class:`Failed`."""
        output = self._worker.directory(f"output/{action.key}")
        chain = (canonicalize_name(action.package),)
        result, built_first = self._with_requirements(action, sources, (folder, output), on_line, chain)
        wheel = folder / _wheel_of(result).filename
        try:
            self._worker.get(f"{output}/{wheel.name}", wheel)
        except FileNotFoundError:
            raise Failed(f"the helper says that it built {wheel.name}, which is not there") from None
        checked = inspect(
            wheel,
            _wheel_of(result).sha256,
            action,
            sources.sdist,
            built_here=self._worker.kind == LocalWorker.kind,
            audited=self._means.with_checks,
        )
        findings = [finding.to_dict() for finding in checked.findings]
        times = {**result.times, "inspection": round(checked.seconds, 3)}
        result = replace(result, checks=(*findings, *result.checks), times=times)
        return _Built(result=result, wheel=checked, built_first=built_first)

    def _built_requirement(
        self, action: Action, sources: Sources, on_line: Callable[[str], None], chain: tuple[str, ...]
    ) -> BuiltRequirement:
        """Build a requirement; its wheel stays on the worker. Raises :class:`Failed`."""
        folder = self._means.staging / f"requirement-{action.key}"
        folder.mkdir(exist_ok=True)
        output = self._worker.directory(f"requirements/{action.key}")
        for path in (sources.sdist, *sources.patches):
            if path not in self._sent:
                self._sent[path] = self._worker.put(path, f"sources/{path.parent.name}/{path.name}")
        result, built_first = self._with_requirements(action, sources, (folder, output), on_line, chain)
        return BuiltRequirement(
            action=action,
            wheel=_wheel_of(result),
            folder=output,
            requirements=result.requirements,
            built_first=built_first,
        )

    def _with_requirements(
        self,
        action: Action,
        sources: Sources,
        folders: tuple[Path, str],
        on_line: Callable[[str], None],
        chain: tuple[str, ...],
    ) -> tuple[Result, tuple[BuiltRequirement, ...]]:
        """Run the helper until nothing is lacking; each time that something is, build that first."""
        there: list[BuiltRequirement] = []
        while True:
            result = self._helped(action, sources, folders, on_line, tuple(each.folder for each in there))
            if not result.lacking:
                return result, tuple(there)
            there.append(self._requirements.provide(action, result.lacking, there, on_line, chain))

    def _helped(
        self,
        action: Action,
        sources: Sources,
        folders: tuple[Path, str],
        on_line: Callable[[str], None],
        find_links: tuple[str, ...],
    ) -> Result:
        """Run the helper once. Raises :class:`Failed` where it has no result, or for no requirement's sake none."""
        python = self._worker.python_for(action.python)
        folder, output = folders
        site = Site(
            sdist=self._sent[sources.sdist],
            python=python,
            root=self._worker.root,
            output=output,
            path=self._worker.path,
            patches=tuple(self._sent[patch] for patch in sources.patches),
            installer=self._worker.installer,
            index_url=self._means.index_url,
            find_links=find_links,
            shared=self._shared.get(action.python.tag),
        )
        settings = config_settings(action, read_pyproject(sources.sdist) if action.wheel.abi == ABI3 else None)
        wanted = self._means.with_checks and not folder.name.startswith("requirement-")
        document = job(action, site, settings, with_check=wanted)
        job_path = self._worker.put(document, f"jobs/{folder.name}.json")
        last = ""

        def keep_last(line: str) -> None:
            nonlocal last
            last = line.strip() or last
            on_line(line)

        ended = self._run(["sh", self._script, "action", python, job_path], keep_last)
        result = self._result(action, f"{output}/result.json", folder, f"exit code {ended.returncode}: {last}")
        if result.wheel is None and not result.lacking:
            raise _reason(result)
        return result

    def _result(self, action: Action, path: str, folder: Path, ending: str) -> Result:
        local = folder / "result.json"
        try:
            self._worker.get(path, local)
            result = read_result(local.read_bytes(), action.key)
        except FileNotFoundError:
            raise Failed(f"the helper ended without a result ({ending})") from None
        except ValueError as error:
            raise Failed(f"the helper's result cannot be read: {error}") from error
        if result.built != (result.wheel is not None):
            raise Failed("the helper's result contradicts itself: built without a wheel, or failed with one")
        return result

    def _explained(self, action: Action, failure: Failed | Refused) -> str:
        named = ", ".join(action.rules.system_packages or ())
        if not named or self._worker.may_install:
            return str(failure)
        yours = f"which are yours to install, or --install-system-packages does: {named}"
        return f"{failure} (the matrix names these system packages for it, {yours})"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    """A wheel that passed every check, and how it came about."""

    result: Result
    wheel: Inspected
    built_first: tuple[BuiltRequirement, ...] = ()

    @property
    def check_seconds(self) -> float:
        """What all checks took, on the worker and here."""
        return self.result.times.get("check", 0.0) + self.wheel.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _NotBuilt:
    """Why there is no wheel, and the check that failed, if one did."""

    outcome: str
    """``failed`` or ``refused``."""
    reason: str
    check: str | None


class _HelperFailed(Failed):
    """The helper says that an action failed, maybe in one of its checks."""

    def __init__(self, message: str, check: str | None) -> None:
        super().__init__(message)
        self.check = check


class _Stopped(Exception):
    """The visit is being ended, and so is this action: it has no outcome."""


def _wheel_of(result: Result) -> BuiltFile:
    if result.wheel is None:
        raise _reason(result)
    return result.wheel


def _reason(result: Result) -> Failed | Refused:
    failed = [str(check.get("name")) for check in result.checks if check.get("outcome") == "failed"]
    reason = result.reason or "the helper names neither a wheel nor a reason"
    return Refused(reason) if result.refused else _HelperFailed(reason, failed[-1] if failed else None)


def _size(row: tuple[Action, ...], sources: Mapping[str, Sources]) -> int:
    return sum(sources[action.key].sdist.stat().st_size for action in row)
