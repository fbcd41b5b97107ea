"""What one build starts, counted by the kernel: every process is a few milliseconds of every wheel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.workers.conftest import wheelhouse
from tests.workers.helper_jobs import HELPER, UV, backend, job_for, sdist_of, write_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["wheelhouse"]  # a fixture that the tests of workers share with these

pytestmark = [pytest.mark.needs("strace"), pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")]


def programs(folder: Path, **changes: object) -> tuple[list[str], int]:
    """Build an sdist that requires a wheel; return the programs that were started, in order, and how many forks."""
    assert UV is not None
    subprocess.run(
        [UV, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder / "known")], check=True
    )  # and cached
    wheels = folder / "wheels"
    wheels.mkdir(exist_ok=True)
    write_wheel(wheels, "helped")
    job = job_for(sdist_of(folder, backend("import helped"), requires='"helped"'), folder, wheelhouse=str(wheels))
    (folder / "job.json").write_text(json.dumps({**job, "check": None, **changes}))
    argv = [sys.executable, "-I", "-S", str(HELPER), str(folder / "job.json")]
    trace = ["strace", "-f", "-e", "trace=execve,clone,clone3,fork,vfork", "-o", str(folder / "trace")]
    done = subprocess.run([*trace, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (folder / "trace").read_text().splitlines()
    forks = sum("CLONE_CHILD_SETTID|SIGCHLD" in line for line in lines)  # as the C library's fork() has it
    return [re.sub(r"[\d.]+$", "", Path(path).name) for path in _started(lines)], forks


def _started(lines: list[str]) -> Iterator[str]:
    """Yield the paths of programs that did start; a line of strace may be finished by a later one of that process."""
    tried: dict[str, str] = {}
    for line in lines:
        pid, call = line.split(maxsplit=1)
        if found := re.match(r'execve\("([^"]*)"', call):
            tried[pid] = found[1]
        if "execve" in call and call.endswith(" = 0"):
            yield tried[pid]


def test_one_build_starts_these_programs_and_no_other(tmp_path: Path) -> None:
    started, forks = programs(tmp_path)
    assert started == [
        "python",
        "gcc",
        "uv",
        "uv",
        "uv",
        "python",
        "python",
    ]  # itself, then uv's question, then the front end
    assert forks == 3  # the guardian, and the backend's two hooks


def test_a_check_of_a_wheel_that_is_there_asks_no_compiler(tmp_path: Path) -> None:
    ready = write_wheel(tmp_path, "eggs")
    started, forks = programs(tmp_path, wheel=str(ready), check={})
    assert started == ["python", "uv", "uv", "uv", "python", "python"]  # itself, uv's question, then the import
    assert forks == 1  # the guardian


@pytest.mark.needs("bwrap")
def test_the_sandbox_adds_its_trial_and_itself(tmp_path: Path) -> None:
    started, _ = programs(tmp_path, sandbox="require")
    assert started == ["python", "gcc", "bwrap", "bwrap", "sh", "uv", "uv", "uv", "python", "bwrap", "python"]


@pytest.mark.needs("bwrap")
def test_a_second_build_with_equal_requirements_makes_no_environment(tmp_path: Path) -> None:
    shared = str(tmp_path / "shared")
    first, second = (programs(tmp_path, sandbox="require", shared=shared)[0] for _ in range(2))
    trial = ["python", "gcc", "bwrap", "bwrap", "sh", "uv"]
    install, build = ["uv", "uv", "python"], ["bwrap", "python"]
    assert first == [*trial, "uv", *install, *build, *build]  # resolved, made for all, compiled
    assert second == [*trial, "uv", *build]
