"""A visit to a worker whose helper is broken or lies: a real process that answers what the test says."""

from __future__ import annotations

import json
import tempfile
import threading
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from tasks.console import Console
from tasks.core.errors import Failed, ServiceFailed
from tasks.core.matrix import Rules
from tasks.distdir import DistDir
from tasks.progress import display
from tasks.services.pip_config import PipSettings
from tasks.services.requirement_sdists import RequirementSdists
from tasks.services.sources import Sources
from tasks.workers.host import Host
from tasks.workers.local import LocalWorker
from tasks.workers.own_wheels import OwnWheels
from tasks.workers.visits import Means, Visit
from tests.builds import action, make_sdist, search_path, wheel_name
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.core.actions import Action
    from tasks.core.records import ActionOutcome

HELPER = """
import json, os, sys
job = json.load(open(sys.argv[1]))
result = {
    "format": "spare-tire/result", "version": 1, "key": job["key"], "outcome": "built", "reason": None, "wheel": None,
    "requirements": [], "environment": {}, "interpreter": None, "tools": {}, "times": {}, "checks": [], "network": False,
    "lacking": None,
}
def answer(**more):
    with open(os.path.join(job["output"], "result.json"), "w") as file:
        json.dump({**result, **more}, file)
def leave(name, data):
    with open(os.path.join(job["output"], name), "wb") as file:
        file.write(data)
"""


class Scripted(LocalWorker):
    """This machine with another helper."""

    def __init__(self, statements: str, *, may_install: bool = False) -> None:
        super().__init__(may_install=may_install)
        self._statements = statements

    def put(self, source: Path | bytes, name: str) -> str:
        """Send the other helper in the helper's place."""
        return super().put(f"{HELPER}\n{self._statements}\n".encode() if name == "helper.py" else source, name)


class Stage:
    """One action, and what a visit makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dist = DistDir(folder / "dist")
        self.sdist = make_sdist(folder / "sdists", "spam")

    def visit(
        self, statements: str, rules: Rules | None = None, *, may_install: bool = False, wanted: Action | None = None
    ) -> ActionOutcome:
        spam = wanted or action(self.sdist, rules=rules)
        outcomes: list[ActionOutcome] = []
        sources = {spam.key: Sources(sdist=self.sdist)}
        with self.dist.staging() as staging, Scripted(statements, may_install=may_install) as worker:
            visit = Visit(worker, self.means(staging, [spam]))
            visit.prepare([spam], sources, lambda _: None)
            visit.build([spam], sources, 1, outcomes.append)
        return outcomes[0]

    def means(self, staging: Path, actions: list[Action]) -> Means:
        return Means(
            dist=self.dist,
            staging=staging,
            display=display(Console(quiet=True), "local", len(actions), {}),
            clock=lambda: datetime(2026, 1, 31, tzinfo=UTC),
            index_url=None,
            own_wheels=OwnWheels(self.dist, None, staging / "ours"),
            requirement_sdists=RequirementSdists(
                url=(self.folder / "index").as_uri(), cache=self.folder / "cache", settings=PipSettings()
            ),
        )


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("PATH", search_path())
    return Stage(tmp_path)


def claim(data: bytes, **changed: str) -> dict[str, Any]:
    return {"filename": wheel_name("spam"), "sha256": sha256(data).hexdigest(), "size": len(data), **changed}


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        ("sys.exit('no such luck')", "the helper ended without a result (exit code 1: no such luck)"),
        ("leave('result.json', b'{')", "the helper's result cannot be read: Expecting property name"),
        ("answer(key='other')", "the helper's result cannot be read: it is another action's, or of another format"),
        ("answer()", "the helper's result contradicts itself: built without a wheel, or failed with one"),
        ("answer(outcome='failed', reason='out of eggs')", "out of eggs"),
        (
            "answer(outcome='failed', reason='lacking', lacking=['../helped'])",
            "the helper's result cannot be read: it lacks ../helped: Expected package name at the start of dependency",
        ),
        (
            "answer(outcome='failed', reason='lacking', lacking=['eggs', 'ham'])",
            "the helper's result cannot be read: it lacks eggs, ham: it is about eggs and ham",
        ),
        (
            f"answer(wheel={claim(b'', filename='../../x.whl')})",
            "the helper's result cannot be read: it names the wheel '../../x.whl'",
        ),
        (f"answer(wheel={claim(b'')})", f"the helper says that it built {wheel_name('spam')}, which is not there"),
        (
            f"answer(wheel={claim(b'')}); os.symlink('/etc/passwd', os.path.join(job['output'], {wheel_name('spam')!r}))",
            f"the helper says that it built {wheel_name('spam')}, which is not there",
        ),
        (
            f"leave({wheel_name('spam')!r}, b'no zip'); answer(wheel={claim(b'no zip')})",
            f"{wheel_name('spam')} is no wheel: File is not a zip file",
        ),
    ],
)
def test_a_helper_is_not_believed(stage: Stage, statements: str, reason: str) -> None:
    outcome = stage.visit(statements)
    assert outcome.outcome == "failed"
    assert outcome.reason is not None
    assert outcome.reason.startswith(reason)
    assert [path.name for path in stage.dist.root.iterdir()] == ["logs"]


def test_a_wheel_that_changed_on_its_way_is_not_kept(stage: Stage) -> None:
    code = f"""
import zipfile
with zipfile.ZipFile(os.path.join(job["output"], {wheel_name("spam")!r}), "w") as archive:
    for name in ("METADATA", "WHEEL", "RECORD"):
        archive.writestr("spam-1.0.dist-info/" + name, "")
answer(wheel={claim(b"other bytes")})
"""
    outcome = stage.visit(code)
    assert outcome.reason is not None
    assert outcome.reason.startswith(f"{wheel_name('spam')} arrived with the sha256 ")
    assert outcome.reason.endswith(f", the helper built {sha256(b'other bytes').hexdigest()}")


def test_a_helper_that_checked_another_wheel_is_not_believed(stage: Stage) -> None:
    """The wheel gets a second platform tag here, so it goes back to be tried in that form."""
    wheel = make_wheel(stage.folder, "spam", tag=wheel_name("spam").removeprefix("spam-1.0-").removesuffix(".whl"))
    built = f"shutil.copy({str(wheel)!r}, job['output']); answer(wheel={claim(wheel.read_bytes())})"
    spam = action(stage.sdist, rules=Rules(native=False))
    spam = replace(spam, wheel=replace(spam.wheel, platforms=(*spam.wheel.platforms, "linux_other")))
    outcome = stage.visit(f"import shutil\nanswer(wheel={claim(b'')}) if job['wheel'] else {built}", wanted=spam)
    assert outcome.outcome == "failed", outcome
    assert outcome.reason == f"the helper says that it checked another {spam.wheel.filename} than it was sent"


def test_a_host_that_cannot_be_prepared_is_a_failed_service(stage: Stage) -> None:
    rules = Rules(system_packages=("--an-option",))
    with pytest.raises(ServiceFailed) as caught:
        stage.visit("", rules, may_install=True)
    assert str(caught.value) == (
        "the local worker cannot be prepared (exit code 2): "
        "spare-tire: the system package '--an-option' is no package's name: "
        "it is empty, begins or ends with - or has control characters"
    )


def test_as_many_actions_run_side_by_side_as_are_allowed(stage: Stage) -> None:
    """Each waits for the other two, so fewer at a time would fail; the helper is this test's own."""
    meet = stage.folder / "meet"
    meet.mkdir()
    statements = f"""
import time
open(os.path.join({str(meet)!r}, job["key"]), "w").close()
for _ in range(600):
    if len(os.listdir({str(meet)!r})) == 3:
        break
    time.sleep(0.05)
answer(outcome="failed", reason="%d met" % len(os.listdir({str(meet)!r})))
"""
    actions = [action(stage.sdist, rules=Rules(env={"NUMBER": str(number)})) for number in range(3)]
    sources = {each.key: Sources(sdist=stage.sdist) for each in actions}
    outcomes: list[ActionOutcome] = []
    with stage.dist.staging() as staging, Scripted(statements) as worker:
        visit = Visit(worker, stage.means(staging, actions))
        visit.prepare(actions, sources, lambda _: None)
        visit.build(actions, sources, 3, outcomes.append)
    assert [each.reason for each in outcomes] == ["3 met"] * 3


def test_what_goes_wrong_in_the_controller_ends_every_action(stage: Stage) -> None:
    first = action(stage.sdist, rules=Rules(env={"NAP": "0"}))
    second = action(stage.sdist, rules=Rules(env={"NAP": "60"}))
    sources = {each.key: Sources(sdist=stage.sdist) for each in (first, second)}
    statements = 'import time; time.sleep(float(job["env"]["NAP"])); answer(outcome="failed", reason="it ran")'

    def full(_: ActionOutcome) -> None:
        raise OSError(28, "No space left on device", "dist/logs")

    threads = threading.active_count()
    with stage.dist.staging() as staging, Scripted(statements) as worker:
        visit = Visit(worker, stage.means(staging, [first, second]))
        visit.prepare([first, second], sources, lambda _: None)
        with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: 'dist/logs'$"):
            visit.build([first, second], sources, 2, full)
    assert threading.active_count() == threads


class Vanishing(Scripted):
    """A host that is lost when so many actions have begun there."""

    def __init__(self, begun: int) -> None:
        super().__init__("answer(outcome='failed', reason='it ran')")
        self._left = begun

    def directory(self, name: str) -> str:
        """Make a directory, as long as the host is there."""
        if not self._left:
            raise Failed("the host was lost")
        self._left -= 1
        return super().directory(name)


def test_a_host_that_is_lost_costs_what_had_not_begun_there_and_each_is_told(stage: Stage) -> None:
    actions = [action(stage.sdist, rules=Rules(env={"NUMBER": str(number)})) for number in range(3)]
    sources = {each.key: Sources(sdist=stage.sdist) for each in actions}
    outcomes: list[ActionOutcome] = []
    with stage.dist.staging() as staging, Vanishing(begun=1) as worker:
        visit = Visit(worker, stage.means(staging, actions))
        visit.prepare(actions, sources, lambda _: None)
        visit.build(actions, sources, 1, outcomes.append)
    assert [(each.outcome, each.reason) for each in outcomes] == [
        ("failed", "it ran"),
        ("failed", "the host was lost"),
        ("failed", "the host was lost"),
    ]
    assert [each.tail for each in outcomes[1:]] == [("spare-tire: failed: the host was lost",)] * 2


class Slow(LocalWorker):
    """A host to which files are sent slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.sending, self.stopped, self.sent = threading.Event(), threading.Event(), threading.Event()

    def put(self, source: Path | bytes, name: str) -> str:
        """Send a file, which takes until the test says so."""
        self.sending.set()
        return f"{name} in time" if self.sent.wait(20) else f"{source!r} too late"

    def stop(self) -> None:
        """End the visit."""
        self.stopped.set()


def test_the_end_of_a_visit_does_not_wait_for_a_file_that_is_sent(stage: Stage) -> None:
    there: list[str] = []
    with Slow() as worker:
        host = Host(worker, None, ())
        sender = threading.Thread(target=lambda: there.append(host.send(stage.sdist, "ours")))
        sender.start()
        assert worker.sending.wait(20)
        host.stop()
        assert worker.stopped.is_set()
        worker.sent.set()
        sender.join()
    assert there == ["ours/spam-1.0.tar.gz in time"]


def test_a_job_says_where_things_are_on_the_worker(stage: Stage) -> None:
    asked = "python sdist root output installer index_url"
    outcome = stage.visit(
        f"answer(outcome='failed', reason=json.dumps([job[name] for name in {asked.split()!r}] + [sys.executable]))"
    )
    python, sdist, root, output, installer, index_url, executable = json.loads(outcome.reason or "")
    assert python == executable
    assert sdist.startswith(f"{root}/visit-")
    assert output.startswith(f"{root}/visit-")
    assert installer.endswith("/uv")
    assert index_url is None
