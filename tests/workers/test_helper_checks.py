"""A built wheel is installed afresh, imported and tried, before it is delivered."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tasks.workers.helper import importable
from tests.workers.helper_jobs import backend, job_for, perform, sdist_of, write_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("paths", "modules"),
    [
        (["spam/__init__.py", "spam/eggs.py", "spam-1.0.dist-info/METADATA"], ["spam"]),
        (["spam.py", "_spam.cpython-311-x86_64-linux-gnu.so", "spam.pth"], ["_spam", "spam"]),
        (["google/cloud/spam.py"], ["google"]),
        (["spam-1.0.data/platlib/spam/_c.abi3.so", "spam-1.0.data/scripts/run.py"], ["spam"]),
        (["spam.py", "tests/test_spam.py", "docs/conf.py", "examples/a.py"], ["spam"]),
        (["spam-stubs/__init__.py", "share/spam.txt"], []),
    ],
)
def test_modules_are_derived_from_the_wheel(paths: list[str], modules: list[str]) -> None:
    assert importable(paths) == modules


def test_a_module_that_cannot_be_imported_fails_the_action(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = sdist_of(tmp_path, backend(module="raise ImportError('libspam.so: cannot open')"))
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    why = "import spam: ImportError: libspam.so: cannot open"
    assert outcome.status == 1
    assert outcome.reason == f"the wheel's check failed (import): {why}"
    assert outcome.result["checks"] == [
        {"name": "install", "outcome": "passed", "detail": "spam-1.0-py3-none-any.whl"},
        {"name": "import", "outcome": "failed", "detail": why},
    ]
    assert outcome.result["wheel"] is None
    assert [path.name for path in outcome.output.iterdir()] == ["result.json"]


def test_a_module_that_leaves_while_imported_fails_the_action(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = sdist_of(tmp_path, backend(module="raise SystemExit(0)"))
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.reason == "the wheel's check failed (import): import spam: SystemExit: 0"


def test_the_job_says_what_to_import(tmp_path: Path, wheelhouse: Path) -> None:
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, wheelhouse=str(wheelhouse), check={"import": ["spam.eggs"]})
    assert perform(job, tmp_path).reason == (
        "the wheel's check failed (import): import spam.eggs: ModuleNotFoundError: No module named 'spam.eggs'"
    )


def test_nothing_to_import_is_skipped(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = sdist_of(tmp_path, backend(module="raise ImportError"))
    job = job_for(sdist, tmp_path, wheelhouse=str(wheelhouse), check={"import": []})
    assert perform(job, tmp_path).result["checks"][1] == {"name": "import", "outcome": "skipped", "detail": ""}


def test_the_job_s_own_check_runs_in_the_environment(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = sdist_of(tmp_path, backend(module="value = 42"))
    command = "python -c 'import spam; print(spam.value)' && test -z \"$CFLAGS$SOURCE_DATE_EPOCH\""
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse), check={"run": command}), tmp_path)
    assert outcome.status == 0, outcome.log
    assert "42" in outcome.log.splitlines()
    assert outcome.result["checks"][2] == {"name": "run", "outcome": "passed", "detail": command}


def test_the_job_s_own_check_may_fail(tmp_path: Path, wheelhouse: Path) -> None:
    job = job_for(
        sdist_of(tmp_path, backend()), tmp_path, wheelhouse=str(wheelhouse), check={"run": "echo not so; exit 3"}
    )
    outcome = perform(job, tmp_path)
    assert outcome.status == 1
    assert outcome.reason == "the wheel's check failed (run): not so (exit status 3)"


def test_the_build_environment_is_not_the_one_that_is_checked(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = sdist_of(tmp_path, backend(module="import setuptools"), requires='"setuptools"')
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.reason == (
        "the wheel's check failed (import): import spam: ModuleNotFoundError: No module named 'setuptools'"
    )


def test_what_the_wheel_requires_is_installed_with_it(tmp_path: Path, wheelhouse: Path) -> None:
    wheels = shutil.copytree(wheelhouse, tmp_path / "wheels")
    write_wheel(wheels, "eggs")
    sdist = sdist_of(tmp_path, backend(module="import eggs", metadata="Requires-Dist: eggs>=1\n"))
    assert perform(job_for(sdist, tmp_path, wheelhouse=str(wheels)), tmp_path).status == 0


def test_what_the_wheel_does_not_name_is_installed_where_the_job_does(tmp_path: Path, wheelhouse: Path) -> None:
    wheels = shutil.copytree(wheelhouse, tmp_path / "wheels")
    write_wheel(wheels, "eggs")
    sdist = sdist_of(tmp_path, backend(module="import eggs"))
    job = job_for(sdist, tmp_path, wheelhouse=str(wheels))
    assert perform(job, tmp_path).reason == (
        "the wheel's check failed (import): import spam: ModuleNotFoundError: No module named 'eggs'"
    )
    outcome = perform({**job, "check": {"requires": ["eggs>=1"]}}, tmp_path)
    assert outcome.status == 0, outcome.log


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ("nowhere-to-be-found", "nowhere-to-be-found"),
        ("eggs @ file:///etc", "its requirement eggs @ file:///etc is refused: expected a project name with versions"),
    ],
)
def test_a_requirement_that_cannot_be_installed_fails_the_check(
    tmp_path: Path, wheelhouse: Path, wish: str, reason: str
) -> None:
    sdist = sdist_of(tmp_path, backend(metadata=f"Requires-Dist: {wish}\n"))
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 1
    assert outcome.reason.startswith("the wheel's check failed (install): ")
    assert reason in outcome.reason


def test_a_requirement_of_an_extra_is_nobody_s_business(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = sdist_of(tmp_path, backend(metadata="Provides-Extra: x\nRequires-Dist: eggs @ file:///e ; extra == 'x'\n"))
    assert perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse)), tmp_path).status == 0
