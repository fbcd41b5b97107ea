"""A built wheel is installed afresh, imported and tried, before it is delivered."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest

from tasks.core.requirements import Need
from tasks.core.targets import PythonTag
from tasks.workers.helper import importable
from tests.workers.helper_jobs import UV, backend, job_for, perform, sdist_of, write_wheel

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


# --- wheels that are there already ------------------------------------------------------------------------------------


def test_a_wheel_that_is_there_is_checked_and_nothing_is_built(tmp_path: Path, wheelhouse: Path) -> None:
    wheel = write_wheel(tmp_path, "eggs")
    sdist = sdist_of(tmp_path, backend("raise SystemExit('built')"))
    job = job_for(sdist, tmp_path, wheel=str(wheel), wheelhouse=str(wheelhouse), env={"CC": "no-such-compiler"})
    outcome = perform({**job, "sdist": "/nowhere", "build_tag": "2"}, tmp_path)
    assert outcome.status == 0, outcome.log
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert outcome.result["wheel"] == {"filename": wheel.name, "sha256": digest, "size": wheel.stat().st_size}
    assert [check["outcome"] for check in outcome.result["checks"]] == ["passed", "passed", "skipped"]
    assert outcome.result["times"]["build"] == 0.0
    assert [path.name for path in outcome.output.iterdir()] == ["result.json"]


def test_a_wheel_that_is_there_may_fail_its_check(tmp_path: Path, wheelhouse: Path) -> None:
    wheel = write_wheel(tmp_path, "eggs")
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, wheel=str(wheel), wheelhouse=str(wheelhouse))
    outcome = perform({**job, "check": {"import": ["ham"]}}, tmp_path)
    assert outcome.status == 1
    assert outcome.reason == "the wheel's check failed (import): import ham: ModuleNotFoundError: No module named 'ham'"
    assert outcome.result["wheel"] is None


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_wheel_is_kept_while_what_it_requires_is_lacking(tmp_path: Path, wheelhouse: Path, installer: str) -> None:
    sdist = sdist_of(tmp_path, backend(metadata="Requires-Dist: eggs>=2\n"))
    job = job_for(sdist, tmp_path, wheelhouse=str(wheelhouse), installer=UV if installer == "uv" else None)
    outcome = perform(job, tmp_path)
    assert outcome.status == 1
    assert outcome.result["lacking"][0].startswith("eggs")
    assert "eggs>=2" in outcome.result["lacking"]
    assert outcome.result["wheel"]["filename"] == "spam-1.0-py3-none-any.whl"
    assert (outcome.output / "spam-1.0-py3-none-any.whl").is_file()


@pytest.mark.parametrize("installer", ["uv", "pip"])
@pytest.mark.parametrize("wish", ["eggs>=2", "eggs==3", "ham"])
def test_a_release_that_no_index_has_is_lacking(tmp_path: Path, wheelhouse: Path, installer: str, wish: str) -> None:
    wheels = shutil.copytree(wheelhouse, tmp_path / "wheels")
    write_wheel(wheels, "eggs", "1.0")
    write_wheel(wheels, "eggs", "1.5")
    write_wheel(wheels, "ham", metadata="Requires-Dist: eggs>=2\n")
    sdist = sdist_of(tmp_path, backend(metadata=f"Requires-Dist: {wish}\n"))
    job = job_for(sdist, tmp_path, wheelhouse=str(wheels), installer=UV if installer == "uv" else None)
    need = Need.parse(perform(job, tmp_path).result["lacking"], PythonTag.parse("cp312"))
    assert need.name == "eggs"
    assert not need.specifiers.contains("1.5")


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_wheel_of_ours_is_taken_and_no_higher_version_of_an_index(
    tmp_path: Path, wheelhouse: Path, installer: str
) -> None:
    wheels = shutil.copytree(wheelhouse, tmp_path / "wheels")
    write_wheel(wheels, "eggs", "9.0")
    (tmp_path / "of ours").mkdir()
    ours = write_wheel(tmp_path / "of ours", "eggs", "1.0")
    code = backend("import eggs", metadata="Requires-Dist: eggs\n")
    job = job_for(sdist_of(tmp_path, code, requires='"eggs"'), tmp_path, wheelhouse=str(wheels), wheels=[str(ours)])
    job["check"] = {
        "run": 'python -c \'import importlib.metadata as m; print(m.version("eggs")); assert m.version("eggs") == "1.0"\''
    }
    outcome = perform({**job, "installer": UV if installer == "uv" else None}, tmp_path)
    assert outcome.status == 0, outcome.log
    assert outcome.result["requirements"] == ["eggs==1.0"]
    assert outcome.result["checks"][0]["detail"] == "spam-1.0-py3-none-any.whl, with eggs-1.0-py3-none-any.whl"


def test_what_nothing_requires_is_not_installed(tmp_path: Path, wheelhouse: Path) -> None:
    ours = write_wheel(tmp_path, "eggs")
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, wheelhouse=str(wheelhouse), wheels=[str(ours)])
    job["check"] = {"run": "! python -c 'import eggs'"}
    outcome = perform(job, tmp_path)
    assert outcome.status == 0, outcome.log
    assert outcome.result["requirements"] == []


@pytest.mark.parametrize("installer", ["uv", "pip"])
@pytest.mark.parametrize("where", ["build", "wheel", "requirement of the wheel"])
def test_a_namesake_of_ours_is_taken_from_no_index(
    tmp_path: Path, wheelhouse: Path, installer: str, where: str
) -> None:
    wheels = shutil.copytree(wheelhouse, tmp_path / "wheels")
    write_wheel(wheels, "eggs", "9.0")
    write_wheel(wheels, "ham", metadata="Requires-Dist: eggs\n")
    metadata = {"build": "", "wheel": "Requires-Dist: eggs>=2\n"}.get(where, "Requires-Dist: ham\n")
    sdist = sdist_of(tmp_path, backend(metadata=metadata), requires='"eggs>=2"' if where == "build" else "")
    job = job_for(sdist, tmp_path, wheelhouse=str(wheels), ours=["eggs", "spam"])
    job["installer"] = UV if installer == "uv" else None
    outcome = perform(job, tmp_path)
    assert outcome.reason.endswith("the requirement eggs is ours, and no wheel of it is here")
    assert outcome.result["lacking"] == (["eggs"] if where == "requirement of the wheel" else ["eggs", "eggs>=2"])

    ours = write_wheel(tmp_path, "eggs", "2.0")
    outcome = perform({**job, "wheels": [str(ours)]}, tmp_path)
    assert outcome.status == 0, outcome.log
