"""In the sandbox a build sees the system, its own directories, and nothing else of the machine."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.test_build_requirements import factory_in
from tests.workers.conftest import real_sdists, wheelhouse
from tests.workers.helper_jobs import Outcome, backend, finish, job_for, perform, sdist_of, start, write_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["real_sdists", "wheelhouse"]  # fixtures that the tests of workers share with these

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap is Linux's")]
TELL = "\nimport json; print('told', json.dumps(seen), flush=True)"
CONNECT = """
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=5)
    seen = "connected"
except OSError as error:
    seen = type(error).__name__
"""


def sandboxed(folder: Path, wheels: Path, code: str, **changes: object) -> Outcome:
    job = job_for(sdist_of(folder, backend(code)), folder, sandbox="require", wheelhouse=str(wheels))
    return perform({**job, **changes}, folder)


def told(outcome: Outcome) -> Any:  # noqa: ANN401 - whatever the build tells
    lines = [line[5:] for line in outcome.log.splitlines() if line.startswith("told ")]
    assert lines, outcome.log
    return json.loads(lines[-1])


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine's loopback that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def processes_with(marker: str) -> list[int]:
    """The processes of this machine, however nested, on whose command line ``marker`` stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def test_the_result_names_the_sandbox(tmp_path: Path, wheelhouse: Path) -> None:
    outcome = sandboxed(tmp_path, wheelhouse, "pass")
    assert outcome.status == 0, outcome.log
    assert outcome.result["tools"]["sandbox"].startswith("bubblewrap ")


def test_a_build_cannot_read_the_user_s_files(tmp_path: Path, wheelhouse: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    job = tmp_path / "job.json"
    paths = [str(secret), str(job), str(tmp_path / "output"), "/etc/shadow", "/home", "/var/log", "/run", "/sys"]
    outcome = sandboxed(tmp_path, wheelhouse, f"seen = [path for path in {paths!r} if os.path.exists(path)]" + TELL)
    assert told(outcome) == []


def test_a_build_finds_an_empty_home_that_is_its_own(tmp_path: Path, wheelhouse: Path) -> None:
    code = "home = os.path.expanduser('~'); seen = [home, os.listdir(home)]; open(home + '/x', 'w').close()" + TELL
    outcome = sandboxed(tmp_path, wheelhouse, code)
    assert told(outcome) == [str(tmp_path.resolve() / "root" / outcome.result["key"][:16] / "home"), []]


def test_a_build_cannot_write_to_the_system(tmp_path: Path, wheelhouse: Path) -> None:
    code = """
    seen = []
    for folder in ("/usr", "/etc/ssl", os.path.dirname(os.path.realpath(sys.executable))):
        try:
            open(os.path.join(folder, "spam"), "w").close()
            seen.append(folder)
        except OSError:
            pass
    """
    assert told(sandboxed(tmp_path, wheelhouse, code + TELL.replace("\n", "\n    "))) == []


def test_a_build_cannot_write_to_an_environment_that_others_share(tmp_path: Path, wheelhouse: Path) -> None:
    code = """
    seen = []
    for name in ("spam.pth", "bin/python"):
        try:
            os.unlink(os.path.join(sys.prefix, name))
        except OSError as error:
            seen.append(error.strerror)
    """
    shared = str(tmp_path / "shared")
    outcome = sandboxed(tmp_path, wheelhouse, code + TELL.replace("\n", "\n    "), shared=shared, check=None)
    assert set(told(outcome)) == {"Read-only file system"}
    (made,) = (tmp_path / "shared").glob("*/env/bin/python")
    assert made.exists()


def test_scripts_of_a_shared_environment_start(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    script = write_wheel(wheels, "helped")
    with zipfile.ZipFile(script, "a") as archive:
        archive.writestr("helped-1.0.dist-info/entry_points.txt", "[console_scripts]\nhelp-me=helped:__name__.upper\n")
    code = "import subprocess; seen = subprocess.run(['help-me'], check=True).returncode" + TELL
    sdist = sdist_of(tmp_path, backend(code), requires='"helped"')
    for name in ("first", "second", "third"):
        job = job_for(sdist, tmp_path, sandbox="require", wheelhouse=str(wheels), shared=str(tmp_path / "shared"))
        key = {"key": hashlib.sha256(name.encode()).hexdigest()}
        assert told(perform({**job, **key, "check": None}, tmp_path)) == 0


def test_a_requirement_that_is_built_first_never_runs_out_of_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = factory_in(tmp_path, monkeypatch)
    marker = tmp_path / "ran"
    escape = f"print('trying')\ntry:\n    open({str(marker)!r}, 'w').close()\nexcept OSError:\n    pass"
    setup = f"{escape}\n"
    factory.publish("helped", before=escape, files={"setup.py": setup})
    factory.publish("spam", requires=("helped",), before="import helped", pure=False)
    assert factory.run({"spam": ["latest"]}) == 0
    assert factory.log("spam").count("trying") == 1
    assert not marker.exists()


def test_a_build_has_no_network(tmp_path: Path, wheelhouse: Path, port: int) -> None:
    assert told(sandboxed(tmp_path, wheelhouse, CONNECT.format(port=port) + TELL)) == "ConnectionRefusedError"


def test_a_build_has_the_network_that_its_job_asks_for(tmp_path: Path, wheelhouse: Path, port: int) -> None:
    outcome = sandboxed(tmp_path, wheelhouse, CONNECT.format(port=port) + TELL, network=True)
    assert told(outcome) == "connected"
    assert outcome.result["network"] is True


def test_a_check_has_no_network_and_no_user_s_files_either(tmp_path: Path, wheelhouse: Path, port: int) -> None:
    probe = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
    command = f'test ! -e {tmp_path}/job.json && ! python -c "{probe}" 2>/dev/null && echo apart'
    outcome = sandboxed(tmp_path, wheelhouse, "pass", check={"run": command})
    assert outcome.status == 0, outcome.log
    assert "apart" in outcome.log.splitlines()


def test_a_build_sees_its_own_processes_only(tmp_path: Path, wheelhouse: Path) -> None:
    code = "seen = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())" + TELL
    seen = told(sandboxed(tmp_path, wheelhouse, code))
    assert seen[0] == 1
    assert len(seen) <= 4  # bubblewrap's init, the front end, the hook
    assert os.getpid() not in seen


def test_a_daemon_dies_with_its_build(tmp_path: Path, wheelhouse: Path) -> None:
    marker = f"sleep-{tmp_path.name}-{os.getpid()}"
    code = f"import subprocess; subprocess.Popen(['sh', '-c', 'sleep 600; :', '{marker}'], start_new_session=True)"
    running: list[list[int]] = []
    watching = threading.Event()

    def watch() -> None:
        while not watching.wait(0.01):
            running.append(processes_with(marker))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert sandboxed(tmp_path, wheelhouse, code + "; time.sleep(1)").status == 0
    finally:
        watching.set()
        watcher.join()
    assert any(running), "the daemon never ran"
    give_up = time.monotonic() + 10
    while processes_with(marker) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert processes_with(marker) == []


def test_a_required_sandbox_that_is_not_there_fails_the_action(tmp_path: Path, wheelhouse: Path) -> None:
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, sandbox="require", wheelhouse=str(wheelhouse))
    outcome = perform(job, tmp_path, {"PATH": "/nowhere"})
    assert outcome.status == 1
    assert outcome.reason == "a sandbox is required, but bubblewrap is not installed"


def test_the_sandbox_changes_no_byte_of_the_wheel(tmp_path: Path, real_sdists: dict[str, Path]) -> None:
    wheels = []
    for sandbox in ("require", "never"):
        folder = tmp_path / sandbox
        folder.mkdir()
        outcome = perform(job_for(real_sdists["markupsafe"], folder, sandbox=sandbox), folder)
        assert outcome.status == 0, outcome.log
        wheels.append((outcome.output / outcome.result["wheel"]["filename"]).read_bytes())
    assert wheels[0] == wheels[1]


def kept(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "shared").iterdir() if not path.name.endswith(".lock"))


def helped_job(folder: Path, wheels: Path) -> dict[str, Any]:
    """Return a job for what requires ``helped``, in an environment that is kept; it tells what it found there."""
    sdist = sdist_of(folder, backend("import helped; seen = helped.WHICH" + TELL), requires='"helped"')
    return job_for(sdist, folder, sandbox="require", wheelhouse=str(wheels), shared=str(folder / "shared"), check=None)


def build_with_helped(folder: Path, wheels: Path) -> Outcome:
    return perform(helped_job(folder, wheels), folder)


def helped_in(wheels: Path, which: str) -> None:
    """Write a wheel whose name and version are always the same."""
    wheels.mkdir(exist_ok=True)
    write_wheel(wheels, "helped", module=f"WHICH = {which!r}\n")


def test_a_release_with_other_bytes_is_another_environment(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    for which in ("one", "other"):
        helped_in(wheels, which)
        assert [told(build_with_helped(tmp_path, wheels)) for _ in range(2)] == [which, which]
    assert len(kept(tmp_path)) == 2


def test_an_environment_is_used_for_a_week_and_removed_when_no_build_can_be_in_it(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    helped_in(wheels, "one")
    build_with_helped(tmp_path, wheels)
    (made,) = kept(tmp_path)
    week, _, digest = made.name.partition("-")
    last, before = (tmp_path / "shared" / f"{int(week) - weeks}-{digest}" for weeks in (1, 2))
    made.rename(last)
    build_with_helped(tmp_path, wheels)
    assert kept(tmp_path) == [last, made]
    last.rename(before)
    made.rename(last)
    build_with_helped(tmp_path, wheels)
    assert kept(tmp_path) == [last, made]


def test_two_builds_do_not_remove_old_environments_at_the_same_time(tmp_path: Path) -> None:
    wheels, shared = tmp_path / "wheels", tmp_path / "shared"
    helped_in(wheels, "one")
    (shared / "1-0123456789abcdef" / "env").mkdir(parents=True)
    with (shared / "old.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        job = helped_job(tmp_path, wheels)
        helper = start(job, tmp_path)
        assert helper.stdout is not None
        said = next(line for line in helper.stdout if "waiting" in line or "failed" in line or "building" in line)
        assert said == "spare-tire: waiting for another action that removes old environments\n"
        assert (shared / "1-0123456789abcdef" / "env").exists()
    assert told(finish(helper, job)) == "one"
    assert [path.name for path in kept(tmp_path) if path.name.startswith("1-")] == []


def test_an_environment_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    helped_in(wheels, "one")
    build_with_helped(tmp_path, wheels)
    (made,) = kept(tmp_path)
    (made / "made").unlink()
    next(made.glob("env/lib/*/site-packages/helped.py")).unlink()
    assert told(build_with_helped(tmp_path, wheels)) == "one"
