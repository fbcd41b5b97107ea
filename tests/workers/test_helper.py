"""The helper does one action: what it makes of a job, of a build's end, and of being stopped."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.workers.helper_jobs import HELPER, backend, finish, job_for, perform, sdist_of, start, write_sdist

if TYPE_CHECKING:
    from pathlib import Path

KEY = hashlib.sha256(b"spam-1.0.tar.gz").hexdigest()
FOREVER = """
import subprocess
children = [subprocess.Popen(["sleep", "600"]), subprocess.Popen(["sleep", "600"], start_new_session={apart})]
print("pids", *(child.pid for child in children), flush=True)
time.sleep(600)
"""


def pids_in(log: str) -> list[int]:
    return [int(word) for line in log.splitlines() if line.startswith("pids ") for word in line.split()[1:]]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def dies(pid: int) -> bool:
    """A killed process may take a moment to be gone."""
    give_up = time.monotonic() + 10
    while alive(pid) and time.monotonic() < give_up:
        time.sleep(0.02)
    return not alive(pid)


def read_until(helper: subprocess.Popen[str], beginning: str) -> str:
    assert helper.stdout is not None
    for line in helper.stdout:
        if line.startswith(beginning):
            return line
    raise AssertionError(f"the helper ended before it said {beginning}")


# --- a good build -----------------------------------------------------------------------------------------------------


def test_a_wheel_comes_out_with_its_result_beside_it(tmp_path: Path, wheelhouse: Path) -> None:
    outcome = perform(job_for(sdist_of(tmp_path, backend()), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    name = "spam-1.0-py3-none-any.whl"
    content = (outcome.output / name).read_bytes()
    assert outcome.status == 0
    assert outcome.result["outcome"] == "built"
    assert outcome.result["wheel"] == {
        "filename": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }
    assert [path.name for path in sorted(outcome.output.iterdir())] == ["result.json", name]
    assert list((tmp_path / "root").iterdir()) == []


def test_the_result_tells_what_built_the_wheel(tmp_path: Path, wheelhouse: Path) -> None:
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, wheelhouse=str(wheelhouse))
    result = perform(job, tmp_path).result
    assert {**result, "times": sorted(result["times"]), "wheel": None, "requirements": None, "tools": None} == {
        "format": "spare-tire/result",
        "version": 1,
        "key": KEY,
        "outcome": "built",
        "reason": None,
        "wheel": None,
        "lacking": None,
        "requirements": None,
        "environment": result["environment"],
        "interpreter": {
            "implementation": sys.implementation.name,
            "version": sys.version.split()[0],
            "platform": result["interpreter"]["platform"],
            "executable": sys.executable,
        },
        "tools": None,
        "times": ["build", "check", "environment", "unpack"],
        "checks": [
            {"name": "install", "outcome": "passed", "detail": "spam-1.0-py3-none-any.whl"},
            {"name": "import", "outcome": "passed", "detail": "spam"},
            {"name": "run", "outcome": "skipped", "detail": ""},
        ],
        "network": False,
    }
    assert result["requirements"] == []  # it asks for none, and gets nothing else
    assert sorted(result["tools"]) == ["cc", "installer", "sandbox"]
    assert result["tools"]["sandbox"] is None


def test_what_the_build_prints_is_streamed_line_by_line(tmp_path: Path, wheelhouse: Path) -> None:
    code = "print('first', flush=True)\nwhile not os.path.exists('{}'): time.sleep(0.01)".format(tmp_path / "go")
    helper = start(job := job_for(sdist_of(tmp_path, backend(code)), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    read_until(helper, "first")  # comes while the build waits
    (tmp_path / "go").touch()
    assert finish(helper, job).status == 0


def test_bytes_that_are_no_text_pass_through(tmp_path: Path, wheelhouse: Path) -> None:
    job = job_for(sdist_of(tmp_path, backend(r"os.write(1, b'\xff\xfe\n')")), tmp_path, wheelhouse=str(wheelhouse))
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = subprocess.run([sys.executable, str(HELPER), str(tmp_path / "job.json")], stdout=subprocess.PIPE, check=True)
    assert b"\xff\xfe\n" in done.stdout


@pytest.mark.parametrize("project", ["markupsafe", "lazy_object_proxy"])
def test_a_real_sdist_gives_the_same_bytes_below_another_root(
    tmp_path: Path, real_sdists: dict[str, Path], project: str
) -> None:
    wheels = []
    for name in ("here", "at/some/deeper/place"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        outcome = perform(job_for(real_sdists[project], folder), folder)
        assert outcome.status == 0, outcome.log
        wheels.append((outcome.output / outcome.result["wheel"]["filename"]).read_bytes())
    assert wheels[0] == wheels[1]


def test_pip_is_the_installer_where_no_uv_is_given(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = sdist_of(tmp_path, backend(), requires='"setuptools"')
    outcome = perform(job_for(sdist, tmp_path, installer=None, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 0, outcome.log
    assert outcome.result["tools"]["installer"].startswith("pip ")
    assert "pip" not in [item.split("==")[0] for item in outcome.result["requirements"]]


# --- a bad job --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a job; expected an object whose format is spare-tire/job"),
        ({"version": 2}, "version is 2; this helper knows version 1"),
        ({"surprise": 1}, "surprise: is no field of a job"),
        ({"key": "x"}, 'key: is "x"; expected 64 hex digits'),
        ({"package": {"name": "spam"}}, 'package: is {"name": "spam"}; expected an object with name and release'),
        ({"sdist": "spam.tar.gz"}, 'sdist: is "spam.tar.gz"; expected an absolute path'),
        ({"build_tag": "x2"}, 'build_tag: is "x2"; expected empty, or a digit and letters'),
        (
            {"constraints": ["-r other.txt"]},
            'constraints: is ["-r other.txt"]; expected a list of project names with versions',
        ),
        ({"env": {"A": 1}}, 'env: is {"A": 1}; expected an object of strings'),
        ({"timeout": 0}, "timeout: is 0; expected a number of seconds"),
        ({"timeout": True}, "timeout: is true; expected a number of seconds"),
        ({"network": "no"}, 'network: is "no"; expected true or false'),
        ({"sandbox": "maybe"}, 'sandbox: is "maybe"; expected auto, never or require'),
        (
            {"check": {"import": "spam"}},
            'check: is {"import": "spam"}; expected an object with import, requires and run, or null',
        ),
        (
            {"check": {"requires": ["eggs @ file:///etc"]}},
            'check: is {"requires": ["eggs @ file:///etc"]}; expected an object with import, requires and run, or null',
        ),
        ({"find_links": ["wheels"]}, 'find_links: is ["wheels"]; expected a list of absolute paths'),
        ({"shared": "."}, 'shared: is "."; expected an absolute path, or null'),
        ({"ours": ["eggs; x"]}, 'ours: is ["eggs; x"]; expected a list of normalized project names'),
        ({"wheels": ["/x/eggs"]}, 'wheels: is ["/x/eggs"]; expected a list of absolute paths of wheels'),
        (
            {"wheel": "eggs-1.0-py3-none-any.whl"},
            'wheel: is "eggs-1.0-py3-none-any.whl"; expected the absolute path of a wheel, or null',
        ),
    ],
)
def test_a_wrong_job_is_refused_before_anything_runs(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    job = {**job_for(sdist_of(tmp_path, backend()), tmp_path), **change}
    helper = start(job, tmp_path)
    log, _ = helper.communicate(timeout=60)
    assert helper.returncode == 2
    path = tmp_path / "job.json"
    assert log == (f"{path}: {message}\n")
    assert not (tmp_path / "root").exists()


def test_all_problems_of_a_job_are_told_at_once(tmp_path: Path) -> None:
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, timeout="long")
    del job["root"]
    helper = start(job, tmp_path)
    log, _ = helper.communicate(timeout=60)
    path = tmp_path / "job.json"
    assert log.splitlines() == [
        f"{path}: root: is missing; expected an absolute path",
        f'{path}: timeout: is "long"; expected a number of seconds',
    ]


def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    helper = start(job_for(sdist_of(tmp_path, backend()), tmp_path, output=str(tmp_path / "file" / "x")), tmp_path)
    log, _ = helper.communicate(timeout=60)
    assert helper.returncode == 2
    assert log == f"{tmp_path / 'job.json'}: output: {tmp_path / 'file' / 'x'} cannot be written: Not a directory\n"


@pytest.mark.parametrize("text", ["nonsense", "[]"])
def test_a_job_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "job.json"
    path.write_text(text)
    done = subprocess.run([sys.executable, str(HELPER), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{path}: ")
    assert done.stderr.count("\n") == 1


# --- how a build ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("raise SystemExit('no libspam here')", "the build failed: no libspam here"),
        ("raise ValueError('bad spam')", "the build failed: ValueError: bad spam"),
        ("os.kill(os.getpid(), 9)", "the build failed: the backend was killed by signal 9"),
        ("return 'spam-1.0-py3-none-any.whl'", "the build left no wheel, expected exactly one"),
        (
            "write_wheel(directory, 'eggs-1.0-py3-none-any.whl')",
            "the build left 2 wheels (eggs-1.0-py3-none-any.whl, spam-1.0-py3-none-any.whl), expected exactly one",
        ),
        ("return write_wheel(directory, 'spam.whl')", "the build left spam.whl, which is no wheel's file name"),
        (
            "os.symlink('/etc/passwd', directory + '/spam-1.0-py3-none-any.whl'); return 'spam-1.0-py3-none-any.whl'",
            "the build left spam-1.0-py3-none-any.whl, which is no zip archive",
        ),
        pytest.param(
            "os.write(os.open('/dev/full', 1), b'x')",
            "the build failed: the disk is full (No space left on device)",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's"),
        ),
    ],
)
def test_a_build_that_does_not_yield_one_wheel_says_why(
    tmp_path: Path, wheelhouse: Path, before: str, reason: str
) -> None:
    outcome = perform(job_for(sdist_of(tmp_path, backend(before)), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 1
    assert outcome.result["outcome"] == "failed"
    assert outcome.reason == reason
    assert outcome.log.endswith(f"spare-tire: failed: {reason}\n")
    assert [path.name for path in outcome.output.iterdir()] == ["result.json"]
    assert list((tmp_path / "root").iterdir()) == []


def test_a_backend_that_is_not_there_is_named(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = write_sdist(tmp_path, {"pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "nowhere"\n'})
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.reason == (
        "the build failed: ModuleNotFoundError: No module named 'nowhere'; "
        "add to the matrix: build: {build_requires: [nowhere]}"
    )


@pytest.mark.parametrize(
    ("pyproject", "reason"),
    [
        ("[build-system\n", "pyproject.toml cannot be read: Expected ']' at the end of a table declaration"),
        ('[build-system]\nbuild-backend = "backend"\n', "build-system.requires is missing, expected a list"),
        (
            '[build-system]\nrequires = []\nbuild-backend = "nowhere"\nbackend-path = ["."]\n',
            "the backend nowhere is not in the sdist's backend-path",
        ),
        (
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["../.."]\n',
            "pyproject.toml: backend-path leaves the sdist",
        ),
        (
            '[build-system]\nrequires = []\nbuild-backend = "empty"\nbackend-path = ["."]\n',
            "the backend has no hook build_wheel",
        ),
    ],
)
def test_a_pyproject_that_names_no_backend_is_told(
    tmp_path: Path, wheelhouse: Path, pyproject: str, reason: str
) -> None:
    sdist = write_sdist(tmp_path, {"pyproject.toml": pyproject, "empty.py": ""})
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 1
    assert outcome.reason.startswith("the build failed: ")
    assert reason in outcome.reason


def test_each_hook_has_a_process_of_its_own(tmp_path: Path, wheelhouse: Path) -> None:
    code = backend("assert not hasattr(os, 'spoilt'), 'spoilt'")
    code = code.replace("    return []", "    os.spoilt = True; os.chdir('/'); return []")
    assert "spoilt = True" in code
    assert perform(job_for(sdist_of(tmp_path, code), tmp_path, wheelhouse=str(wheelhouse)), tmp_path).status == 0


def test_a_backend_without_the_optional_hook_is_none_the_worse(tmp_path: Path, wheelhouse: Path) -> None:
    code = backend().replace("get_requires_for_build_wheel", "something_else")
    assert perform(job_for(sdist_of(tmp_path, code), tmp_path, wheelhouse=str(wheelhouse)), tmp_path).status == 0


def test_an_old_result_does_not_outlive_a_new_failure(tmp_path: Path, wheelhouse: Path) -> None:
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, wheelhouse=str(wheelhouse))
    assert perform(job, tmp_path).result["outcome"] == "built"
    assert perform({**job, "sha256": "0" * 64}, tmp_path).result["outcome"] == "refused"


# --- being stopped ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a daemon's parent is init"))])  # fmt: skip
def test_a_time_out_kills_the_build_and_what_it_started(tmp_path: Path, wheelhouse: Path, *, apart: bool) -> None:
    code = backend(FOREVER.format(apart=apart))
    outcome = perform(job_for(sdist_of(tmp_path, code), tmp_path, wheelhouse=str(wheelhouse), timeout=6), tmp_path)
    assert outcome.status == 1
    assert outcome.reason == "the action took longer than its time-out of 6 s and was stopped"
    assert len(pids_in(outcome.log)) == 2
    assert not any(map(alive, pids_in(outcome.log)))
    assert list((tmp_path / "root").iterdir()) == []


def test_a_build_that_ignores_sigterm_is_killed(tmp_path: Path, wheelhouse: Path) -> None:
    code = backend("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + FOREVER.format(apart=False))
    outcome = perform(job_for(sdist_of(tmp_path, code), tmp_path, wheelhouse=str(wheelhouse), timeout=6), tmp_path)
    assert outcome.reason == "the action took longer than its time-out of 6 s and was stopped"
    assert not any(map(alive, pids_in(outcome.log)))


def test_a_daemon_that_the_build_leaves_does_not_keep_the_helper(tmp_path: Path, wheelhouse: Path) -> None:
    code = backend("import subprocess\nprint('pids', subprocess.Popen(['sleep', '600']).pid, flush=True)")
    outcome = perform(job_for(sdist_of(tmp_path, code), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 0
    assert not alive(pids_in(outcome.log)[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_build_and_cleans_up(tmp_path: Path, wheelhouse: Path, number: signal.Signals) -> None:
    code = backend(FOREVER.format(apart=False))
    helper = start(job := job_for(sdist_of(tmp_path, code), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    pids = pids_in(read_until(helper, "pids"))
    helper.send_signal(number)
    outcome = finish(helper, job)
    assert outcome.status == 1
    assert outcome.reason == f"the helper was stopped by {number.name}"
    assert not any(map(alive, pids))
    assert list((tmp_path / "root").iterdir()) == []


def test_a_helper_that_nobody_listens_to_any_more_stops(tmp_path: Path, wheelhouse: Path) -> None:
    code = backend("print('begun', flush=True)\nfor _ in range(1000): print('more', flush=True); time.sleep(0.1)")
    job = job_for(sdist_of(tmp_path, code), tmp_path, wheelhouse=str(wheelhouse))
    helper = start(job, tmp_path)
    read_until(helper, "begun")
    assert helper.stdout is not None
    helper.stdout.close()
    assert helper.wait(60) == 1
    result = json.loads((tmp_path / "output" / "result.json").read_text())
    assert result["reason"] == "nobody reads the helper's output any more"
    assert list((tmp_path / "root").iterdir()) == []


def test_a_helper_that_nobody_listens_to_stops_a_build_that_says_nothing(tmp_path: Path, wheelhouse: Path) -> None:
    code = backend(FOREVER.format(apart=False))
    helper = start(job_for(sdist_of(tmp_path, code), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    pids = pids_in(read_until(helper, "pids"))
    assert helper.stdout is not None
    helper.stdout.close()
    assert helper.wait(10) == 1
    assert not any(map(alive, pids))
    assert list((tmp_path / "root").iterdir()) == []


def test_a_helper_that_waits_for_another_stops_when_nobody_listens(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = sdist_of(tmp_path, backend(FOREVER.format(apart=False)))
    job = job_for(sdist, tmp_path, wheelhouse=str(wheelhouse))
    first = start(job, tmp_path)
    read_until(first, "pids")
    second = start({**job, "output": str(tmp_path / "second")}, tmp_path)
    assert second.stdout is not None
    assert second.stdout.readline() == "spare-tire: waiting for another build of this recipe\n"
    second.stdout.close()
    assert second.wait(10) == 1
    first.terminate()
    assert finish(first, job).reason == "the helper was stopped by SIGTERM"


def test_a_killed_helper_takes_its_build_along_and_the_next_one_takes_over(tmp_path: Path, wheelhouse: Path) -> None:
    forever = sdist_of(tmp_path, backend(FOREVER.format(apart=False)))
    helper = start(job_for(forever, tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    pids = pids_in(read_until(helper, "pids"))
    helper.kill()
    helper.communicate()
    assert all(map(dies, pids))
    assert (tmp_path / "root" / KEY[:16]).exists()
    outcome = perform(job_for(sdist_of(tmp_path, backend()), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 0
    assert list((tmp_path / "root").iterdir()) == []


def test_a_second_build_of_a_recipe_waits_for_the_first(tmp_path: Path, wheelhouse: Path) -> None:
    go = tmp_path / "go"
    slow = sdist_of(
        tmp_path, backend(f"print('begun', flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)")
    )
    jobs = [job_for(slow, tmp_path, output=str(tmp_path / name), wheelhouse=str(wheelhouse)) for name in "ab"]
    first = start(jobs[0], tmp_path)
    read_until(first, "begun")
    second = start(jobs[1], tmp_path)
    read_until(second, "spare-tire: waiting for another build of this recipe")
    go.touch()
    assert finish(first, jobs[0]).status == 0
    assert finish(second, jobs[1]).status == 0


def test_left_overs_that_nobody_may_write_to_are_removed(tmp_path: Path, wheelhouse: Path) -> None:
    code = backend("os.makedirs('locked/deep'); open('locked/deep/file', 'w').close(); os.chmod('locked', 0o500)")
    outcome = perform(job_for(sdist_of(tmp_path, code), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 0
    assert list((tmp_path / "root").iterdir()) == []


def test_what_killed_builds_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path, wheelhouse: Path) -> None:
    killed, used, other = (tmp_path / "root" / name for name in ("0" * 16, "1" * 16, "environments"))
    for folder in (killed, used, other):
        (folder / "source").mkdir(parents=True)
    with (used.with_suffix(".lock")).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        outcome = perform(job_for(sdist_of(tmp_path, backend()), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 0, outcome.log
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == [
        used.name,
        f"{used.name}.lock",
        "environments",
    ]


# --- the build tag and patches ----------------------------------------------------------------------------------------


def test_a_build_tag_is_in_the_name_in_wheel_and_in_record(tmp_path: Path, wheelhouse: Path) -> None:
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, build_tag="2", wheelhouse=str(wheelhouse))
    outcome = perform(job, tmp_path)
    wheel = outcome.output / "spam-1.0-2-py3-none-any.whl"
    assert outcome.result["wheel"]["filename"] == wheel.name
    with zipfile.ZipFile(wheel) as archive:
        written = archive.read("spam-1.0.dist-info/WHEEL").decode()
        record = archive.read("spam-1.0.dist-info/RECORD").decode().splitlines()
    assert written == ("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\nBuild: 2\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(written.encode()).digest())
    assert record == [
        "spam/__init__.py,,",
        "spam-1.0.dist-info/METADATA,,",
        f"spam-1.0.dist-info/WHEEL,sha256={digest.rstrip(b'=').decode()},{len(written)}",
        "spam-1.0.dist-info/RECORD,,",
    ]


PATCH = "--- a/spam.txt\n+++ b/spam.txt\n@@ -1 +1 @@\n-old\n+new\n"


def test_patches_are_applied_before_the_build(tmp_path: Path, wheelhouse: Path) -> None:
    (tmp_path / "fix.patch").write_text(PATCH)
    sdist = sdist_of(tmp_path, backend("print('spam is', open('spam.txt').read())"), **{"spam.txt": "old\n"})
    job = job_for(sdist, tmp_path, patches=[str(tmp_path / "fix.patch")], wheelhouse=str(wheelhouse))
    assert "spam is new" in perform(job, tmp_path).log


def test_a_patch_that_does_not_fit_fails_the_action(tmp_path: Path, wheelhouse: Path) -> None:
    (tmp_path / "fix.patch").write_text(PATCH)
    sdist = sdist_of(tmp_path, backend(), **{"spam.txt": "other\n"})
    job = job_for(sdist, tmp_path, patches=[str(tmp_path / "fix.patch")], wheelhouse=str(wheelhouse))
    outcome = perform(job, tmp_path)
    assert outcome.status == 1
    assert outcome.reason.startswith("fix.patch does not apply: ")
