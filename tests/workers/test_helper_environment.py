"""What a build gets to work with: its requirements, its variables, its settings, and nothing else."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.core.requirements import Need
from tasks.core.targets import PythonTag
from tasks.workers.helper import PLAIN
from tests.workers.helper_jobs import (
    PYPROJECT,
    UV,
    Outcome,
    backend,
    job_for,
    perform,
    sdist_of,
    write_sdist,
    write_wheel,
)

TELL = "import json; print('told', json.dumps({what}))"
EXTENSION = {
    "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n',
    "setup.py": (
        "from setuptools import Extension, setup\n"
        "setup(name='spam', version='1.0', ext_modules=[Extension('spam', ['spam.c'])])\n"
    ),
    "spam.c": (
        "#include <Python.h>\n"
        'static struct PyModuleDef spam = {PyModuleDef_HEAD_INIT, "spam", __FILE__};\n'
        "PyMODINIT_FUNC PyInit_spam(void) { return PyModule_Create(&spam); }\n"
    ),
}


def told(outcome: Outcome) -> Any:  # noqa: ANN401 - whatever the build tells
    lines = [line[5:] for line in outcome.log.splitlines() if line.startswith("told ")]
    assert lines, outcome.log
    return json.loads(lines[-1])


# --- variables --------------------------------------------------------------------------------------------------------


def test_a_build_sees_these_variables_and_no_other(tmp_path: Path, wheelhouse: Path) -> None:
    code = backend(TELL.format(what="dict(os.environ)"))
    job = job_for(sdist_of(tmp_path, code), tmp_path, env={"MAKE": "gmake"}, wheelhouse=str(wheelhouse))
    secrets = {
        "UV_PUBLISH_TOKEN": "secret",
        "PIP_PASSWORD": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "PYTHONPATH": "/nowhere",
        "SSH_AUTH_SOCK": "/nowhere",
        "RUSTUP_HOME": "/nowhere",
        "PYTHON_COLORS": "1",
    }
    outcome = perform(job, tmp_path, secrets)
    scratch = tmp_path.resolve() / "root" / job["key"][:16]
    path_map = f"-ffile-prefix-map={scratch}=."
    seen = told(outcome)
    hooks_own = {name: seen.pop(name) for name in list(seen) if name.startswith(("PEP517_", "_PYPROJECT_HOOKS_"))}
    assert all("secret" not in value for value in hooks_own.values())
    assert seen == {
        "CFLAGS": path_map,
        "CPPFLAGS": path_map,
        "CXXFLAGS": path_map,
        "HOME": str(scratch / "home"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "MAKE": "gmake",
        "PATH": f"{scratch / 'env' / 'bin'}:{job['path']}",
        "PYTHONHASHSEED": "0",
        "RUSTFLAGS": f"--remap-path-prefix={scratch}=.",
        "SOURCE_DATE_EPOCH": "1700000000",
        "TMPDIR": str(scratch / "tmp"),
        "TZ": "UTC",
    }


def test_the_result_names_the_variables_that_matter(tmp_path: Path, wheelhouse: Path) -> None:
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, env={"MAKE": "gmake"}, wheelhouse=str(wheelhouse))
    environment = perform(job, tmp_path).result["environment"]
    assert environment["MAKE"] == "gmake"
    assert environment["SOURCE_DATE_EPOCH"] == "1700000000"
    assert {"PATH", "HOME", "TMPDIR"}.isdisjoint(environment)


def test_the_job_s_variables_win_and_its_flags_are_joined(tmp_path: Path, wheelhouse: Path) -> None:
    code = backend(TELL.format(what="[os.environ[n] for n in ('SOURCE_DATE_EPOCH', 'TZ', 'CFLAGS', 'RUSTFLAGS')]"))
    env = {"SOURCE_DATE_EPOCH": "1600000000", "TZ": "Asia/Tokyo", "CFLAGS": "-O1 -Da=b", "RUSTFLAGS": "-g"}
    job = job_for(sdist_of(tmp_path, code), tmp_path, env=env, wheelhouse=str(wheelhouse))
    scratch = tmp_path.resolve() / "root" / job["key"][:16]
    assert told(perform(job, tmp_path)) == [
        "1600000000",
        "Asia/Tokyo",
        f"-ffile-prefix-map={scratch}=. -O1 -Da=b",
        f"--remap-path-prefix={scratch}=. -g",
    ]


def test_setuptools_keeps_the_interpreter_s_own_compiler_flags(tmp_path: Path, wheelhouse: Path) -> None:
    outcome = perform(job_for(write_sdist(tmp_path, EXTENSION), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 0, outcome.log
    (compiled,) = [line for line in outcome.log.splitlines() if " -c spam.c" in line]
    assert " -DNDEBUG " in compiled
    assert f" -ffile-prefix-map={tmp_path.resolve() / 'root'}/" in compiled
    assert "CFLAGS" not in outcome.result["environment"]


def test_the_build_path_is_in_no_binary(tmp_path: Path, wheelhouse: Path) -> None:
    files = {
        **EXTENSION,
        "setup.py": EXTENSION["setup.py"].replace("'spam.c'", "__import__('os').path.abspath('spam.c')"),
    }
    job = job_for(write_sdist(tmp_path, files), tmp_path, wheelhouse=str(wheelhouse))
    job["check"] = {"run": "python -c 'import spam; print(spam.__doc__)'"}
    outcome = perform(job, tmp_path)
    assert outcome.status == 0, outcome.log
    assert "./source/spam-1.0/spam.c" in outcome.log.splitlines()


# --- requirements -----------------------------------------------------------------------------------------------------


def test_requirements_of_file_job_and_backend_are_installed(tmp_path: Path, wheelhouse: Path) -> None:
    code = backend("import setuptools, helped, wished", dynamic=("wished>=1",))
    for name in ("helped", "wished"):
        write_wheel(wheelhouse_of(tmp_path, wheelhouse), name, "1.0")
    sdist = sdist_of(tmp_path, code, requires='"setuptools"')
    job = job_for(sdist, tmp_path, build_requires=["helped"], wheelhouse=str(tmp_path / "wheels"))
    outcome = perform(job, tmp_path)
    assert outcome.status == 0, outcome.log
    names = [item.split("==")[0] for item in outcome.result["requirements"]]
    assert names == ["helped", "setuptools", "wished"]
    assert names == sorted(names, key=str.lower)


def test_constraints_are_honoured(tmp_path: Path, wheelhouse: Path) -> None:
    wheels = wheelhouse_of(tmp_path, wheelhouse)
    for version in ("1.0", "2.0"):
        write_wheel(wheels, "helped", version)
    sdist = sdist_of(tmp_path, backend(), requires='"helped"')
    outcome = perform(job_for(sdist, tmp_path, constraints=["helped<2"], wheelhouse=str(wheels)), tmp_path)
    assert "helped==1.0" in outcome.result["requirements"]


def test_constraints_that_cannot_be_met_are_told(tmp_path: Path, wheelhouse: Path) -> None:
    wheels = wheelhouse_of(tmp_path, wheelhouse)
    write_wheel(wheels, "helped", "2.0")
    sdist = sdist_of(tmp_path, backend(), requires='"helped>=2"')
    outcome = perform(job_for(sdist, tmp_path, constraints=["helped<2"], wheelhouse=str(wheels)), tmp_path)
    assert outcome.status == 1
    assert outcome.reason.startswith("the requirements cannot be installed: Because you require helped")


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_requirement_without_a_wheel_is_named_and_its_sdist_never_run(
    tmp_path: Path, wheelhouse: Path, installer: str
) -> None:
    wheels = wheelhouse_of(tmp_path, wheelhouse)
    write_sdist(wheels, {"setup.py": f"open({str(tmp_path / 'ran')!r}, 'w')"}, top="helped-1.0")
    job = job_for(sdist_of(tmp_path, backend(), requires='"helped"'), tmp_path, wheelhouse=str(wheels))
    outcome = perform({**job, **({"installer": None} if installer == "pip" else {})}, tmp_path)
    assert outcome.status == 1
    assert outcome.reason == "the requirement helped has no wheel for this interpreter and platform"
    assert outcome.result["lacking"][0] == "helped"
    assert not (tmp_path / "ran").exists()


def test_a_requirement_without_a_wheel_that_is_asked_for_by_python_is_named(tmp_path: Path, wheelhouse: Path) -> None:
    """uv then says which Pythons it means: ``helped{python_full_version < '3.99'}``."""
    wheels = wheelhouse_of(tmp_path, wheelhouse)
    write_sdist(wheels, {"setup.py": ""}, top="helped-1.0")
    asked = ["helped; python_version < '3.99'", "helped>=3; python_version >= '3.99'"]
    sdist = sdist_of(tmp_path, backend(), requires=", ".join(f'"{each}"' for each in asked))
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheels)), tmp_path)
    assert outcome.reason == "the requirement helped has no wheel for this interpreter and platform"
    assert set(outcome.result["lacking"]) == {"helped", *asked}


def test_what_a_built_requirement_requires_is_named_rather_than_that_itself(tmp_path: Path, wheelhouse: Path) -> None:
    """The index has no wheel of either."""
    wheels, made = wheelhouse_of(tmp_path, wheelhouse), tmp_path / "made"
    made.mkdir()
    for top in ("helped-1.0", "helped-2.0", "wished-1.0"):
        write_sdist(wheels, {"setup.py": ""}, top=top)
    write_wheel(made, "helped", "2.0", "Requires-Dist: wished>=1\n")
    sdist = sdist_of(tmp_path, backend(), requires='"helped"')
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheels), find_links=[str(made)]), tmp_path)
    assert outcome.reason == "the requirement wished has no wheel for this interpreter and platform"
    assert outcome.result["lacking"][0] == "wished"


@pytest.mark.parametrize(
    "wish",
    ["helped @ file:///x", "helped @ https://localhost/x.tar.gz", "/x/y", "./x", "-r x", "git+https://localhost/x"],
)
def test_a_requirement_that_is_no_name_is_refused(tmp_path: Path, wheelhouse: Path, wish: str) -> None:
    sdist = sdist_of(tmp_path, backend(), requires=f'"{wish}"')
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 1
    assert wish in outcome.reason
    if not outcome.reason.startswith("the build failed"):  # an older Python has no tomllib; build itself says no then
        assert outcome.reason == (
            f"the build requirement {wish} is refused: expected a project name with versions, no URL"
        )


@pytest.mark.parametrize(
    ("wish", "plain"),
    [
        ("setuptools", True),
        ("setuptools>=61,!=72.*", True),
        ("setuptools (>=61)", True),
        ("coverage[toml] ~= 7.0 ; python_version < '3.11'", True),
        ("Cython==3.0.0+local", True),
        ("setuptools\n--index-url x", False),
        ("setuptools @ x", False),
        ("setuptools; x\n-r y", False),
        ("--index-url", False),
        ("", False),
    ],
)
def test_only_names_with_versions_are_plain(wish: str, *, plain: bool) -> None:
    assert (PLAIN.fullmatch(wish) is not None) == plain


def test_a_project_without_pyproject_is_built_with_setuptools(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = write_sdist(tmp_path, {"setup.py": "__import__('setuptools').setup(name='spam', version='1.0')\n"})
    outcome = perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.status == 0, outcome.log
    assert outcome.log.count("spare-tire: installing") == 1


def test_settings_reach_the_backend(tmp_path: Path, wheelhouse: Path) -> None:
    settings = {"--build-option": ["a", "b"], "debug": "x"}
    sdist = sdist_of(tmp_path, backend(TELL.format(what="config_settings")))
    job = job_for(sdist, tmp_path, config_settings=settings, wheelhouse=str(wheelhouse))
    assert told(perform(job, tmp_path)) == settings


def test_files_of_the_sdist_do_not_shadow_the_front_end(tmp_path: Path, wheelhouse: Path) -> None:
    sdist = sdist_of(tmp_path, backend(), **{"build.py": "raise SystemExit('shadow')", "json.py": ""})
    job = job_for(sdist, tmp_path, wheelhouse=str(wheelhouse))
    pyproject = PYPROJECT.format(requires="")
    assert "backend-path" in pyproject
    assert perform(job, tmp_path).status == 0


def test_the_sdist_does_not_configure_the_installer(tmp_path: Path, wheelhouse: Path) -> None:
    files = {"uv.toml": "nonsense = true\n", "pip.conf": "[global]\nindex-url = nowhere\n"}
    sdist = sdist_of(tmp_path, backend(), **files)
    assert perform(job_for(sdist, tmp_path, wheelhouse=str(wheelhouse)), tmp_path).status == 0


# --- interpreter and compiler -----------------------------------------------------------------------------------------


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path, wheelhouse: Path) -> None:
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, python="/no/python", wheelhouse=str(wheelhouse))
    assert perform(job, tmp_path).reason == "the interpreter /no/python is not there; install it on the worker"


def test_an_interpreter_that_does_not_start_is_named(tmp_path: Path, wheelhouse: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho libpython is missing >&2\nexit 127\n")
    broken.chmod(0o755)
    job = job_for(sdist_of(tmp_path, backend()), tmp_path, python=str(broken), wheelhouse=str(wheelhouse))
    assert perform(job, tmp_path).reason == f"the interpreter {broken} does not start: libpython is missing"


def test_an_interpreter_without_headers_is_said_to_lack_them(tmp_path: Path, wheelhouse: Path) -> None:
    bare = tmp_path / "bare"  # an interpreter as distributions package it, without its development files
    prefix = Path(sys.base_prefix)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (bare / "bin").mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), bare / "bin" / name)
    (bare / "lib" / name).mkdir(parents=True)
    for path in (prefix / "lib" / name).iterdir():
        if path.name.startswith("_sysconfigdata"):
            (bare / "lib" / name / path.name).write_text(path.read_text().replace(str(prefix), str(bare)))
        else:
            (bare / "lib" / name / path.name).symlink_to(path)
    job = job_for(
        write_sdist(tmp_path, EXTENSION), tmp_path, python=str(bare / "bin" / name), wheelhouse=str(wheelhouse)
    )
    reason = perform(job, tmp_path).reason
    assert reason.startswith("the build failed: ")
    assert reason.endswith(
        f" (the interpreter lacks its headers: no Python.h in {bare}/include/{name}; install its development files)"
    )


def test_a_missing_compiler_is_said_to_be_missing(tmp_path: Path, wheelhouse: Path) -> None:
    (tmp_path / "bin").mkdir()
    job = job_for(write_sdist(tmp_path, EXTENSION), tmp_path, path=str(tmp_path / "bin"), wheelhouse=str(wheelhouse))
    outcome = perform(job, tmp_path)
    assert outcome.status == 1
    assert outcome.reason.startswith("the build failed: ")
    assert outcome.reason.endswith("on PATH; install one, gcc or clang)")
    assert "(no C compiler is there: looked for " in outcome.reason
    assert outcome.result["tools"]["cc"] is None


def test_the_compiler_that_the_job_names_is_the_one_looked_for(tmp_path: Path, wheelhouse: Path) -> None:
    env = {"CC": "spam-gcc -m64"}
    job = job_for(write_sdist(tmp_path, EXTENSION), tmp_path, env=env, wheelhouse=str(wheelhouse))
    assert perform(job, tmp_path).reason.endswith(
        "(no C compiler is there: looked for spam-gcc on PATH; install one, gcc or clang)"
    )


def test_wheels_of_other_directories_are_installed_too(tmp_path: Path, wheelhouse: Path) -> None:
    (tmp_path / "built first").mkdir()
    write_wheel(tmp_path / "built first", "helped")
    job = job_for(sdist_of(tmp_path, backend(), requires='"helped"'), tmp_path, wheelhouse=str(wheelhouse))
    for installer in (UV, None):
        outcome = perform({**job, "find_links": [str(tmp_path / "built first")], "installer": installer}, tmp_path)
        assert outcome.result["requirements"] == ["helped==1.0"], outcome.log


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_all_that_is_asked_of_a_requirement_without_a_wheel_is_told(
    tmp_path: Path, wheelhouse: Path, installer: str
) -> None:
    wheels = wheelhouse_of(tmp_path, wheelhouse)
    for version in ("1.0", "1.5", "2.0"):
        write_sdist(wheels, {"setup.py": ""}, top=f"helped-{version}")
    write_wheel(wheels, "asking", metadata="Requires-Dist: helped<2\n")
    sdist = sdist_of(tmp_path, backend(), requires='"asking", "Helped>=1"')
    job = job_for(sdist, tmp_path, wheelhouse=str(wheels), constraints=["helped!=1.2", "other<3"])
    outcome = perform({**job, **({"installer": None} if installer == "pip" else {})}, tmp_path)
    need = Need.parse(outcome.result["lacking"], PythonTag.parse("cp311"))
    assert need.name == "helped"
    assert not need.specifiers.contains("1.2")
    assert need.specifiers.contains("1.5")


# --- wheels to require ------------------------------------------------------------------------------------------------


def wheelhouse_of(folder: Path, wheelhouse: Path) -> Path:
    """Copy the wheelhouse, so that a test may add to it."""
    return Path(shutil.copytree(wheelhouse, folder / "wheels", dirs_exist_ok=True))
