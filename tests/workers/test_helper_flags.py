"""The job's compiler flags are added to the interpreter's, whatever the backend makes of variables; paths stay out."""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest

from tests.workers.helper_jobs import UV, Outcome, backend, job_for, perform, sdist_of, write_sdist

if TYPE_CHECKING:
    from pathlib import Path

SETUP = (
    "from setuptools import Extension, setup\n"
    "c, cxx = Extension('spam', ['spam.c']), Extension('eggs', ['eggs.cpp'])\n"
    "setup(name='spam', version='1.0', ext_modules=[c, cxx])\n"
)
MODULE = (
    "#include <Python.h>\n"
    '#include "taste.h"\n'
    'static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", __FILE__ TASTE}};\n'
    "PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}\n"
)


def extension(folder: Path, setuptools: str) -> Path:
    """Write an sdist with a module in C and one in C++, which both need a header from elsewhere."""
    pyproject = (
        f'[build-system]\nrequires = ["setuptools{setuptools}", "wheel"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    files = {"spam.c": MODULE.format(name="spam"), "eggs.cpp": MODULE.format(name="eggs")}
    return write_sdist(folder, {"pyproject.toml": pyproject, "setup.py": SETUP, **files})


def elsewhere(folder: Path, name: str = "elsewhere") -> Path:
    """A directory with the header ``taste.h``."""
    made = folder / name
    made.mkdir()
    (made / "taste.h").write_text('#define TASTE " is hot"\n')
    return made


def compiled(outcome: Outcome, source: str) -> list[str]:
    """The words of the command that compiled a file."""
    (line,) = [line for line in outcome.log.splitlines() if re.search(rf" -c \S*{source}", line)]
    return line.split()


@pytest.mark.parametrize("setuptools", ["==65.5.1", "==72.1.0", "==75.3.0", "==80.9.0", ">=82"])
def test_flags_of_the_job_are_added_to_the_interpreter_s_own(tmp_path: Path, setuptools: str) -> None:
    env = {"CFLAGS": f"-I{elsewhere(tmp_path)} -fno-common", "CXXFLAGS": "-fno-rtti", "LDFLAGS": "-Wl,-z,relro"}
    job = job_for(extension(tmp_path, setuptools), tmp_path, env=env, check={"import": ["spam", "eggs"]})
    outcome = perform(job, tmp_path)
    assert outcome.status == 0, outcome.log
    own = sysconfig.get_config_var("CFLAGS").split()
    assert own
    c, cxx = compiled(outcome, "spam.c"), compiled(outcome, "eggs.cpp")
    assert set(own) | {"-fno-common", f"-I{tmp_path}/elsewhere"} <= set(c)
    assert set(own) | {f"-I{tmp_path}/elsewhere"} <= set(cxx)
    linked = [line for line in outcome.log.splitlines() if " -shared " in line]
    assert len(linked) == 2
    assert all(" -Wl,-z,relro " in line for line in linked)


def test_the_job_s_flags_come_last_so_that_they_win(tmp_path: Path) -> None:
    env = {"CFLAGS": f"-isystem {elsewhere(tmp_path)} -O1", "CXXFLAGS": "-O0"}
    outcome = perform(job_for(extension(tmp_path, ">=77"), tmp_path, env=env), tmp_path)
    assert outcome.status == 0, outcome.log
    for source, wanted in (("spam.c", "-O1"), ("eggs.cpp", "-O0")):
        assert [word for word in compiled(outcome, source) if word.startswith("-O")][-1] == wanted


def test_include_directories_may_have_blanks(tmp_path: Path) -> None:
    folder = elsewhere(tmp_path, "else where")
    outcome = perform(job_for(extension(tmp_path, ">=77"), tmp_path, env={"CFLAGS": f"-I'{folder}'"}), tmp_path)
    assert outcome.status == 0, outcome.log


def test_the_record_shows_the_flags_as_the_build_saw_them(tmp_path: Path) -> None:
    outcome = perform(
        job_for(extension(tmp_path, ">=77"), tmp_path, env={"CFLAGS": f"-I{elsewhere(tmp_path)}"}), tmp_path
    )
    seen = outcome.result["environment"]
    assert seen["CFLAGS"] == f"{sysconfig.get_config_var('CFLAGS')} -I{tmp_path}/elsewhere"
    assert seen["CPPFLAGS"].endswith(f" -I{tmp_path}/elsewhere")
    assert "CXXFLAGS" not in seen


def test_wheels_are_the_same_bytes_below_a_root_with_a_blank(tmp_path: Path) -> None:
    elsewhere(tmp_path)
    (tmp_path / "one").mkdir()
    sdist = extension(tmp_path / "one", ">=77")
    env = {"CFLAGS": f"-g -I{tmp_path}/elsewhere"}  # what debuggers read names directories
    wheels = []
    for name in ("plain", "has a blank"):
        folder = tmp_path / name
        folder.mkdir()
        outcome = perform(job_for(sdist, folder, env=env, root=str(folder / "ro ot"), check=None), folder)
        assert outcome.status == 0, outcome.log
        wheels.append((outcome.output / outcome.result["wheel"]["filename"]).read_bytes())
    assert wheels[0] == wheels[1]


def test_rust_s_flags_are_not_split_at_the_path_s_blanks(tmp_path: Path, wheelhouse: Path) -> None:
    tell = (
        "import json; print('told', json.dumps([os.environ.get(n) for n in ('RUSTFLAGS', 'CARGO_ENCODED_RUSTFLAGS')]))"
    )
    job = job_for(sdist_of(tmp_path, backend(tell)), tmp_path, env={"RUSTFLAGS": "-g -O"}, wheelhouse=str(wheelhouse))
    job["root"] = str(tmp_path / "ro ot")
    outcome = perform(job, tmp_path)
    path = tmp_path.resolve() / "ro ot" / job["key"][:16]
    encoded = f"--remap-path-prefix={path}=.\\u001f-g\\u001f-O"
    assert f'told ["-g -O", "{encoded}"]' in outcome.log.splitlines()


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cmake"), reason="CMake is not on PATH")
def test_cmake_adds_the_flags_too(tmp_path: Path) -> None:
    pyproject = '[build-system]\nrequires = ["scikit-build-core"]\nbuild-backend = "scikit_build_core.build"\n'
    pyproject += '[project]\nname = "spam"\nversion = "1.0"\n'
    lists = (
        "cmake_minimum_required(VERSION 3.18)\nproject(spam LANGUAGES C)\nset(CMAKE_VERBOSE_MAKEFILE ON)\n"
        "find_package(Python REQUIRED COMPONENTS Development.Module Interpreter)\n"
        "Python_add_library(spam MODULE spam.c)\ninstall(TARGETS spam DESTINATION .)\n"
    )
    files = {"pyproject.toml": pyproject, "CMakeLists.txt": lists, "spam.c": MODULE.format(name="spam")}
    env = {"CFLAGS": f"-I{elsewhere(tmp_path)}"}
    outcome = perform(job_for(write_sdist(tmp_path, files), tmp_path, env=env, installer=UV), tmp_path)
    assert outcome.status == 0, outcome.log
