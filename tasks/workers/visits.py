"""One visit: the host is prepared once, its actions run side by side, and a wheel is checked before it is kept."""

from __future__ import annotations

import hashlib
import threading
import time
import traceback
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.backends import config_settings
from tasks.core.errors import Failed, Refused, ServiceFailed
from tasks.core.jobs import Site, job, read_result
from tasks.core.records import ActionOutcome, Origin, record
from tasks.core.targets import ABI3
from tasks.core.wheels import mismatches, problems
from tasks.distdir import Log, read_log
from tasks.script import BUILD_HOST, render
from tasks.sdistfile import read_pyproject
from tasks.wheelfile import UnreadableWheel, read_wheel, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tasks.core.actions import Action
    from tasks.core.jobs import Result
    from tasks.core.wheels import WheelContents
    from tasks.distdir import DistDir
    from tasks.process import Ended, Running
    from tasks.progress import Display
    from tasks.services.sources import Sources
    from tasks.workers import Worker

HELPER = Path(__file__).with_name("helper.py")
CHECK = {
    "name": "wheel",
    "outcome": "passed",
    "detail": "name, version, build tag and tags are the action's; METADATA, WHEEL, RECORD and paths are sound",
}
"""The controller's own check, as a record has it."""


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

        What is raised here (an interruption, a full disk) ends every action that still runs.
        """
        with ThreadPoolExecutor(jobs, thread_name_prefix="action") as pool:
            futures = [pool.submit(lambda each: done(self._act(each, sources[each.key])), action) for action in actions]
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
        folder = means.staging / action.key
        folder.mkdir()
        started = means.clock()
        means.display.started(title)
        with Log(folder / "log.txt.gz") as log:
            made = self._attempt(action, sources, folder, log)
        finished, seconds = means.clock(), time.monotonic() - began
        outcome = ActionOutcome(action=action, outcome="failed", seconds=seconds, started=started, finished=finished)
        if isinstance(made, _Made):
            log_sha256 = sha256_of(log.path)
            origin = Origin(
                worker=self._worker.kind, tools=self._tools, log_sha256=log_sha256, started=started, finished=finished
            )
            outcome = self._keep(outcome, made, origin, folder, log.path)
        else:
            outcome = replace(outcome, outcome="refused" if isinstance(made, Refused) else "failed", reason=str(made))
        if outcome.outcome != "built":
            kept = means.dist.keep_log(action.key, log.path)
            outcome = replace(outcome, log=kept, tail=tuple(log.tail))
        means.display.finished(title, outcome, read_log(means.dist.root / str(outcome.log)))
        return outcome

    def _keep(self, outcome: ActionOutcome, made: _Made, origin: Origin, folder: Path, log: Path) -> ActionOutcome:
        """Put what was made into ``dist``; what cannot stand there beside another action's is a failure."""
        wheel, dist = made.wheel, self._means.dist
        try:
            kept = dist.keep(folder / wheel.filename, record(outcome.action, wheel, made.result, origin), log)
        except Failed as failure:
            return replace(outcome, reason=str(failure))
        dist.forget_log(outcome.action.key)
        return replace(outcome, outcome="built", wheel=wheel.filename, sha256=wheel.sha256, log=kept)

    def _attempt(self, action: Action, sources: Sources, folder: Path, log: Log) -> _Made | Failed | Refused:
        """Return what was made, or why nothing was."""
        try:
            return self._made(
                action, sources, folder, lambda line: self._means.display.line(action.wheel.filename, log.add(line))
            )
        except (Failed, Refused) as failure:
            if not (log.tail and log.tail[-1].endswith(str(failure))):  # the helper has said it already
                log.add(f"spare-tire: failed: {failure}")
            return type(failure)(self._explained(action, failure))
        except (OSError, _Stopped):  # the disk is full, or the visit is being ended: no action's fault
            raise
        except Exception as error:  # noqa: BLE001 - a package found a fault of ours: that costs no other package
            for line in traceback.format_exc().splitlines():
                log.add(line)
            return Failed(f"spare-tire itself failed here, please report it: {type(error).__name__}: {error}")

    def _made(self, action: Action, sources: Sources, folder: Path, on_line: Callable[[str], None]) -> _Made:
        """Have the helper build the wheel and fetch it. Raises :class:`Failed`."""
        python = self._worker.python_for(action.python)
        output = self._worker.directory(f"output/{action.key}")
        site = Site(
            sdist=self._sent[sources.sdist],
            python=python,
            root=self._worker.root,
            output=output,
            path=self._worker.path,
            patches=tuple(self._sent[patch] for patch in sources.patches),
            installer=self._worker.installer,
            index_url=self._means.index_url,
        )
        settings = config_settings(action, read_pyproject(sources.sdist) if action.wheel.abi == ABI3 else None)
        job_path = self._worker.put(job(action, site, settings), f"jobs/{action.key}.json")
        last = ""

        def keep_last(line: str) -> None:
            nonlocal last
            last = line.strip() or last
            on_line(line)

        ended = self._run(["sh", self._script, "action", python, job_path], keep_last)
        result = self._result(action, f"{output}/result.json", folder, f"exit code {ended.returncode}: {last}")
        if result.wheel is None:
            reason = result.reason or "the helper names neither a wheel nor a reason"
            raise Refused(reason) if result.refused else Failed(reason)
        wheel = folder / result.wheel.filename
        try:
            self._worker.get(f"{output}/{wheel.name}", wheel)
        except FileNotFoundError:
            raise Failed(f"the helper says that it built {wheel.name}, which is not there") from None
        contents = _checked(wheel, result.wheel.sha256, action)
        return _Made(result=replace(result, checks=(CHECK, *result.checks)), wheel=contents)

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
        return f"{failure} (the matrix names these system packages for it, which are yours to install: {named})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A wheel that passed every check, and how it came about."""

    result: Result
    wheel: WheelContents


class _Stopped(Exception):
    """The visit is being ended, and so is this action: it has no outcome."""


def _checked(path: Path, sha256: str, action: Action) -> WheelContents:
    """Return the contents of a wheel that is what the action was to yield. Raises :class:`Failed`."""
    try:
        contents = read_wheel(path)
    except UnreadableWheel as error:
        raise Failed(f"{path.name} is no wheel: {error}") from error
    if contents.sha256 != sha256:
        raise Failed(f"{path.name} arrived with the sha256 {contents.sha256}, the helper built {sha256}")
    found = list(problems(contents)) or list(mismatches(contents, action.wheel, native=action.native))
    if found:
        raise Failed(f"{path.name}: {'; '.join(found)}")
    return contents
