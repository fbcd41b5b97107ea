"""A worker that was made ready for a visit: files are sent to it, and the helper runs there, several at a time."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.backends import config_settings
from tasks.core.errors import Failed, Refused, ServiceFailed
from tasks.core.jobs import Site, job, read_result
from tasks.core.matrix import LOCAL
from tasks.core.targets import ABI3, PythonTag
from tasks.script import BUILD_HOST, render
from tasks.sdistfile import read_pyproject
from tasks.services.interpreters import PROBE
from tasks.wheelfile import sha256_of
from tasks.workers.bootstrap import Prepared, fact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tasks.core.actions import Action
    from tasks.core.jobs import Result
    from tasks.process import Ended
    from tasks.services.sources import Sources
    from tasks.workers import Run, Worker

HELPER = Path(__file__).with_name("helper.py")


class HelperFailed(Failed):
    """The helper says that an action failed, maybe in one of its checks."""

    def __init__(self, message: str, check: str | None) -> None:
        super().__init__(message)
        self.check = check


class Stopped(Exception):
    """The visit is being ended, and so is this action: it has no outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One run of the helper for an action: to build its wheel, or to check one that is there."""

    name: str
    """The job's name, of its own for each run that may go on at the same time."""
    folder: Path
    """Where its result is put, on this machine."""
    output: str
    """Where the helper leaves its result and the wheel."""
    with_check: bool
    find_links: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    wheel: str | None = None
    """The wheel to check; ``None`` to build one."""


class Host:
    """An entered worker and what this visit has sent to it. Threads may share it once it is prepared."""

    def __init__(self, worker: Worker, index_url: str | None, own_projects: Sequence[str]) -> None:
        self._own_projects = tuple(own_projects)
        self.worker = worker
        self.tools: dict[str, str] = {}
        """Our own files that run there, with their sha256."""
        self.prepared = Prepared()
        self._index_url = index_url
        self._script = ""
        self._sent: dict[Path, str] = {}
        self._sending = threading.Lock()
        self._running: set[Run] = set()
        self.stopping = False
        self._lock = threading.Lock()

    def prepare(self, actions: Sequence[Action], sources: Mapping[str, Sources], say: Callable[[str], None]) -> None:
        """Send what the actions need and let the script get the host ready. Raises :class:`ServiceFailed`."""
        try:
            self._prepare(actions, sources, say)
        except Failed as error:  # what is sent: nothing has been asked of an action yet
            raise ServiceFailed(*error.messages) from error

    def _prepare(self, actions: Sequence[Action], sources: Mapping[str, Sources], say: Callable[[str], None]) -> None:
        worker = self.worker
        files = sorted({path for each in sources.values() for path in (each.sdist, *each.patches)})
        named = [(path, f"sources/{number}/{path.name}") for number, path in enumerate(files)]  # two may have one name
        helper, *sent = worker.put_all([(HELPER, "helper.py"), *named])
        self._sent = dict(zip(files, sent, strict=True))
        wished = "must" if worker.kind == LOCAL else "can"  # this machine's are installed where the user says so
        values = {
            "root": worker.root,
            "helper": helper,
            "path": worker.path,
            "may_install": wished if worker.may_install else "no",
            "system_packages": sorted({name for action in actions for name in action.rules.system_packages or ()}),
            "pythons": list(worker.pythons()),
            "missing": sorted({action.python.tag for action in actions if not self._has(action.python)}),
            "probe": PROBE,
        }
        script = render(BUILD_HOST, values)
        self._script = worker.put(script.encode(), "build_host.sh")
        self.tools = {"helper.py": sha256_of(HELPER), "build_host.sh": hashlib.sha256(script.encode()).hexdigest()}
        lines: list[str] = []

        def on_line(line: str) -> None:
            lines.append(line)
            if fact(line) is None:
                say(line)

        ended = self._run(["sh", self._script, "prepare"], on_line)
        while ended.lost:
            lines.clear()
            ended = self._run(["sh", self._script, "prepare"], on_line)
        if ended.returncode:
            last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
            raise ServiceFailed(f"the {worker.kind} worker cannot be prepared (exit code {ended.returncode}): {last}")
        self.prepared = Prepared.of(lines)
        for tag in values["missing"]:
            try:
                say(f"spare-tire: interpreter: {self.python_for(PythonTag.parse(tag))}")
            except Failed as failure:
                say(f"spare-tire: the plan needs an interpreter that is missing: {failure}")

    def _has(self, python: PythonTag) -> bool:
        try:
            self.worker.python_for(python)
        except Failed:
            return False
        return True

    def python_for(self, python: PythonTag) -> str:
        """Return an interpreter's path, also of one that came with a system package. Raises :class:`Failed`."""
        came = self.prepared.came.get(python.tag)
        if came is not None:
            return str(came.executable)
        try:
            return self.worker.python_for(python)
        except Failed as failure:
            raise Failed(f"{failure}{self.prepared.how_to_get(python.tag)}") from None

    def send(self, path: Path, folder: str) -> str:
        """Send a file, once; return where it is there. ``folder`` tells files of one name apart."""
        with self._sending:
            if path not in self._sent:
                self._sent[path] = self.worker.put(path, f"{folder}/{path.name}")
            return self._sent[path]

    def stop(self) -> None:
        """End all that runs there; nothing else begins."""
        self.stopping = True
        self.worker.stop()  # before the lock, which is held while a connection is waited for
        with self._lock:
            for running in self._running:
                running.stop()

    def help(self, action: Action, sources: Sources, errand: Errand, on_line: Callable[[str], None]) -> Result:
        """Run the helper once. Raises :class:`Failed` where it has no result, or for no requirement's sake none."""
        worker = self.worker
        python = self.python_for(action.python)
        site = Site(
            sdist=self._sent[sources.sdist],
            python=python,
            root=worker.root,
            output=errand.output,
            path=worker.path,
            patches=tuple(self._sent[patch] for patch in sources.patches),
            installer=worker.installer,
            index_url=self._index_url,
            find_links=errand.find_links,
            wheels=errand.wheels,
            ours=self._own_projects,
            wheel=errand.wheel,
            shared=worker.environments,
        )
        settings = config_settings(action, read_pyproject(sources.sdist) if action.wheel.abi == ABI3 else None)
        document = job(action, site, settings, with_check=errand.with_check)
        job_path = worker.put(document, f"jobs/{errand.name}.json")
        last = ""

        def keep_last(line: str) -> None:
            nonlocal last
            last = line.strip() or last
            on_line(line)

        command = ["sh", self._script, "action", python, job_path]
        ended = self._run(command, keep_last)
        while ended.lost:
            on_line("spare-tire: the connection to the worker was lost, and is there again")
            done = self._finished(action, errand)
            if done is not None:
                return done
            ended = self._run(command, keep_last)
        result = self._result(action, errand, f"exit code {ended.returncode}: {last}")
        if not result.built and not result.lacking:
            raise reason_of(result)
        return result

    def _run(self, argv: Sequence[str], on_line: Callable[[str], None]) -> Ended:
        with self._lock:
            if self.stopping:
                raise Stopped
            running = self.worker.start(argv, on_line)
            self._running.add(running)
        try:
            ended = running.wait()
        finally:
            with self._lock:
                self._running.discard(running)
        if ended.stopped:
            raise Stopped
        return ended

    def _finished(self, action: Action, errand: Errand) -> Result | None:
        """Return the result of a build that was over when its connection was lost; any other is begun again."""
        if errand.wheel is not None:  # a check builds nothing
            return None
        try:
            result = self._result(action, errand, "")
        except Failed:
            return None
        return result if result.wheel is not None else None

    def _result(self, action: Action, errand: Errand, ending: str) -> Result:
        local = errand.folder / "result.json"
        try:
            self.worker.get(f"{errand.output}/result.json", local)
            result = read_result(local.read_bytes(), action.key)
        except FileNotFoundError:
            raise Failed(f"the helper ended without a result ({ending})") from None
        except ValueError as error:
            raise Failed(f"the helper's result cannot be read: {error}") from error
        if result.built != (result.wheel is not None) and not result.lacking:
            raise Failed("the helper's result contradicts itself: built without a wheel, or failed with one")
        return result


def reason_of(result: Result) -> Failed | Refused:
    """Return why there is no wheel."""
    failed = [str(check.get("name")) for check in result.checks if check.get("outcome") == "failed"]
    reason = result.reason or "the helper names neither a wheel nor a reason"
    return Refused(reason) if result.refused else HelperFailed(reason, failed[-1] if failed else None)
