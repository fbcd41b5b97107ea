"""Builds that go wrong in one run, and runs that are ended from outside: what is said, what is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.core.matrix import Check, Rules
from tasks.core.targets import PythonTag
from tests.builds import (
    action,
    c_extension,
    errors,
    machine,
    make_sdist,
    python_tag,
    search_path,
    wheel_name,
    write_plan,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.actions import Action

ROOT = Path(__file__).parent.parent
ONE_MORE_WHEEL = "open(os.path.join(directory, 'spare-1.0-py3-none-any.whl'), 'wb').close()"


def left_in(temporary: Path) -> list[str]:
    """Return what builds have left; environments are kept where bubblewrap is."""
    return sorted(path.name for path in temporary.glob("spare-tire-*/*") if path.name != "environments")


def build(folder: Path, *argv: str, through: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start the stage in a folder, with a scratch root in it."""
    dropped = ("TF_BUILD", "GITHUB_", "JOB_DATA", "SOURCE_DATE_EPOCH", "SPARE_TIRE_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    environment = {**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp"), "PATH": search_path()}
    return subprocess.Popen(
        [*through, sys.executable, "-m", "tasks.build", *argv],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wheels(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("dist/wheels/*"))}


def failing(sdists: Path) -> dict[str, tuple[Action, str]]:
    """Return an action for each way to fail, with the reason that has to be given."""
    missing = PythonTag.parse("cp399")
    hidden = "unrecorded[NAME + '/hidden.py'] = ''"
    pure = "eggs6-1.0-py3-none-any.whl"
    own = f"{python_tag().interpreter}-{python_tag().abi}-{machine().platform}"
    cases = [
        (
            action(make_sdist(sdists, "eggs1", before="raise SystemExit('out of eggs')")),
            "the build failed: out of eggs",
        ),
        (
            action(make_sdist(sdists, "eggs2", before="return 'eggs2-1.0-py3-none-any.whl'")),
            "the build left no wheel, expected exactly one",
        ),
        (
            action(make_sdist(sdists, "eggs3", before=ONE_MORE_WHEEL)),
            f"the build left 2 wheels ({wheel_name('eggs3')}, spare-1.0-py3-none-any.whl), expected exactly one",
        ),
        (
            action(make_sdist(sdists, "eggs4", before="time.sleep(60)"), rules=Rules(timeout=4)),
            "time-out of 4 s",
        ),
        (
            action(make_sdist(sdists, "eggs5", after=hidden)),
            f"{wheel_name('eggs5')}: eggs5/hidden.py is not in RECORD",
        ),
        (
            action(make_sdist(sdists, "eggs6", tag="py3-none-any")),
            f"{pure}: the wheel has tags py3-none-any; expected {own}",
        ),
        (
            action(make_sdist(sdists, "eggs7", module="raise ImportError('rotten')\n")),
            "import eggs7: ImportError: rotten",
        ),
        (
            action(make_sdist(sdists, "eggs8"), check=Check(run="python -c 'import sys; sys.exit(\"stale\")'")),
            "the wheel's check failed (run): stale",
        ),
        (
            action(
                make_sdist(
                    sdists, "eggs10", before="sys.exit('cannot fetch https://user:s3cret@h.test/x, http://[a@b')"
                )
            ),
            "the build failed: cannot fetch https://h.test/x, http://b",
        ),
        (
            action(
                make_sdist(
                    sdists,
                    "eggs11",
                    after="files['eggs11-1.0.dist-info/WHEEL'] = 'Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: garbage\\n'",
                )
            ),
            f"{wheel_name('eggs11')}: WHEEL has a tag that is none: Tag 'garbage' must have exactly three components",
        ),
        (
            action(make_sdist(sdists, "eggs9"), python=missing),
            "no interpreter for cp399 on PATH; there are: ",
        ),
    ]
    return {each.package: (each, reason) for each, reason in cases}


def test_every_failure_has_its_reason_and_none_costs_another_wheel(tmp_path: Path) -> None:
    expected = failing(tmp_path / "sdists")
    good = action(make_sdist(tmp_path / "sdists", "spam"))
    write_plan(tmp_path / "build/plan.json", *(each for each, _ in expected.values()), good)

    running = build(tmp_path, "--json", "--quiet", "--jobs=4")
    out, err = running.communicate(timeout=120)

    assert running.returncode == 1, err
    said = {each["package"]: each for each in json.loads(out)["actions"]}
    assert {name for name, each in said.items() if each["outcome"] == "built"} == {"spam"}
    assert list(wheels(tmp_path)) == [wheel_name("spam")]
    for name, (each, reason) in expected.items():
        assert reason in said[name]["reason"]
        assert (tmp_path / f"dist/logs/{each.key}.txt.gz").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_build_leaves_no_process_and_a_rerun_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    waiting = "print('waiting', flush=True); time.sleep(float(os.environ['NAP']))"
    first = action(make_sdist(tmp_path / "sdists", "spam"))
    slow = action(make_sdist(tmp_path / "sdists", "slow", before=waiting), rules=Rules(env={"NAP": "61.25"}))
    write_plan(tmp_path / "build/plan.json", first, slow)
    running = build(tmp_path, "--verbose", "--jobs=2")
    assert running.stderr is not None
    needed = {f"{wheel_name('slow')}: waiting", f"built {wheel_name('spam')}"}
    for line in running.stderr:
        needed -= {each for each in needed if line.startswith(each)}
        if not needed:
            break
    running.send_signal(number)
    _, err = running.communicate(timeout=30)

    assert running.returncode == 130, err
    assert err.endswith("error: interrupted; run the same command again to go on\n")
    assert list(wheels(tmp_path)) == [wheel_name("spam")]
    assert not processes_below(tmp_path)
    assert left_in(tmp_path / "tmp") == []
    quick = replace(slow, rules=Rules(env={"NAP": "0"}))
    write_plan(tmp_path / "build/plan.json", first, quick)
    again = build(tmp_path, "--json")
    out, err = again.communicate(timeout=60)
    assert {each["package"]: each["outcome"] for each in json.loads(out)["actions"]} == {
        "slow": "built",
        "spam": "kept",
    }


def test_a_build_that_nohup_has_started_outlives_its_terminal(tmp_path: Path) -> None:
    slow = action(make_sdist(tmp_path / "sdists", "slow", before="print('waiting', flush=True); time.sleep(2)"))
    write_plan(tmp_path / "build/plan.json", slow)
    running = build(tmp_path, "--verbose", through=["nohup"])
    assert running.stderr is not None
    next(line for line in running.stderr if line.endswith(": waiting\n"))

    running.send_signal(signal.SIGHUP)
    _, err = running.communicate(timeout=60)

    assert running.returncode == 0, err
    assert list(wheels(tmp_path)) == [wheel_name("slow")]


def test_a_termination_that_follows_an_interrupt_ends_no_tidying_up(tmp_path: Path) -> None:
    # A build tool that takes its time, and nox, which sends SIGTERM 0.3 s after a Ctrl-C.
    stubborn = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('waiting', flush=True); time.sleep(61)"
    )
    slow = action(make_sdist(tmp_path / "sdists", "slow", before=stubborn))
    write_plan(tmp_path / "build/plan.json", slow)
    running = build(tmp_path, "--verbose")
    assert running.stderr is not None
    next(line for line in running.stderr if line.endswith(": waiting\n"))

    running.send_signal(signal.SIGINT)
    while running.poll() is None:
        time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=30)

    assert running.returncode == 130, err
    assert err.endswith("error: interrupted; run the same command again to go on\n")
    assert not processes_below(tmp_path)
    assert left_in(tmp_path / "tmp") == []


def test_a_killed_controller_takes_its_builds_along_and_a_rerun_goes_on(tmp_path: Path) -> None:
    silent = "print('waiting', flush=True)\nwhile time.time() < float(os.environ['UNTIL']): time.sleep(0.1)"
    first = action(make_sdist(tmp_path / "sdists", "spam"))
    until = Rules(env={"UNTIL": str(time.time() + 25)})
    slow = action(make_sdist(tmp_path / "sdists", "slow", before=silent), rules=until)
    write_plan(tmp_path / "build/plan.json", first, slow)
    running = build(tmp_path, "--verbose", "--jobs=2")
    assert running.stderr is not None
    needed = {f"{wheel_name('slow')}: waiting", f"built {wheel_name('spam')}"}
    for line in running.stderr:
        needed -= {each for each in needed if line.startswith(each)}
        if not needed:
            break

    running.kill()
    running.communicate(timeout=10)

    assert not processes_below(tmp_path, seconds=5)
    assert [name for name in left_in(tmp_path / "tmp") if not name.startswith("visit-")] == []
    again = build(tmp_path, "--json")
    out, err = again.communicate(timeout=60)
    assert {each["package"]: each["outcome"] for each in json.loads(out)["actions"]} == {
        "slow": "built",
        "spam": "kept",
    }, err
    assert left_in(tmp_path / "tmp") == []


def test_a_full_disk_is_said_and_a_rerun_goes_on(tmp_path: Path) -> None:
    mounted = 'mount -t tmpfs -o size=4k none "$0" && printf %4096s >"$0/ballast" && exec "$@"'
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", mounted, str(tmp_path / "dist")]
    (tmp_path / "dist").mkdir()
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs a mount namespace of its own")
    write_plan(tmp_path / "build/plan.json", action(make_sdist(tmp_path / "sdists", "spam")))

    full = build(tmp_path, "--quiet", through=unshare)
    _, err = full.communicate(timeout=60)

    assert full.returncode == 3, err
    assert errors(err) == ["error: dist: No space left on device; what was built is kept, a rerun goes on"]
    again = build(tmp_path, "--quiet")
    out, err = again.communicate(timeout=60)
    assert (out, errors(err)) == ("", [])
    assert list(wheels(tmp_path)) == [wheel_name("spam")]


def processes_below(folder: Path, seconds: float = 1) -> list[str]:
    """Return the command lines of processes that work in a folder or name it, once they had a second to go."""
    deadline = time.monotonic() + seconds
    while (found := list(_working_in(folder))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _working_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cwd = str((process / "cwd").readlink())
        except OSError:
            continue
        if process.name != str(os.getpid()) and (str(folder) in command or cwd.startswith(str(folder))):
            found.append(command)
    return found


def test_two_runs_in_different_directories_give_the_same_bytes(tmp_path: Path) -> None:
    tag = python_tag()
    own = action(c_extension(tmp_path / "sdists", "fast", limited=False))
    abi3 = PythonTag(version=tag.version, abi="abi3")
    stable = action(c_extension(tmp_path / "sdists", "stable", limited=True), python=abi3)
    made = []
    for folder in (tmp_path / "one", tmp_path / "another" / "folder"):
        write_plan(folder / "build/plan.json", own, stable)
        running = build(folder)
        _, err = running.communicate(timeout=120)
        assert running.returncode == 0, err
        made.append(wheels(folder))
        shutil.rmtree(folder)

    interpreter = tag.interpreter
    platform = machine().platform
    assert list(made[0]) == [
        f"fast-1.0-{interpreter}-{tag.abi}-{platform}.whl",
        f"stable-1.0-{interpreter}-abi3-{platform}.whl",
    ]
    assert made[0] == made[1]
