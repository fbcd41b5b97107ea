"""A failed compile is named by what the compiler said first, not by the program that it was."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tasks.workers.helper import diagnostic
from tests.workers.helper_jobs import backend, job_for, perform, sdist_of, write_sdist

if TYPE_CHECKING:
    from pathlib import Path

SETUP = """
from setuptools import Extension, setup
setup(name="spam", version="1.0", ext_modules=[Extension("spam", {sources}, libraries={libraries})])
"""
PYPROJECT = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
FINE = "int fine(void) { return 0; }\n"


def reason(
    folder: Path,
    wheelhouse: Path,
    *,
    libraries: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    **sources: str,
) -> str:
    """Return why setuptools cannot build an extension of these C files."""
    files = {f"{name}.c": text for name, text in sources.items()}
    setup = SETUP.format(sources=sorted(files), libraries=list(libraries))
    sdist = write_sdist(folder, {"pyproject.toml": PYPROJECT, "setup.py": setup, **files})
    outcome = perform(job_for(sdist, folder, wheelhouse=str(wheelhouse), env=env or {}), folder)
    assert outcome.status == 1
    return outcome.reason


def test_a_failed_compile_is_named_by_its_first_error(tmp_path: Path, wheelhouse: Path) -> None:
    wrong = "int answer(void) {\n  return missing;\n}\nint other(void) { return missing_too; }\n"
    assert reason(tmp_path, wheelhouse, a=FINE, b=wrong) == (
        "the build failed: b.c:2:10: error: ‘missing’ undeclared (first use in this function)"  # noqa: RUF001 - gcc's
    )


def test_a_header_that_is_not_there_is_an_error_of_the_compiler(tmp_path: Path, wheelhouse: Path) -> None:
    assert reason(tmp_path, wheelhouse, a="#include <no/such.h>\n") == (
        "the build failed: a.c:1:10: fatal error: no/such.h: No such file or directory; the header no/such.h is not there: "
        "add the system's package that has it to the matrix: build: {system_packages: [...]}"
    )


def test_a_library_that_is_not_there_is_an_error_of_the_linker(tmp_path: Path, wheelhouse: Path) -> None:
    said = reason(tmp_path, wheelhouse, libraries=("yolk_of_eggs",), a=FINE)
    assert said.startswith("the build failed: /usr/bin/ld: cannot find -lyolk_of_eggs: ")


@pytest.mark.skipif(not shutil.which("clang", path="/usr/bin:/bin"), reason="clang is not there")
def test_clang_is_understood_too(tmp_path: Path, wheelhouse: Path) -> None:
    wrong = "int answer(void) {\n  return missing;\n}\n"
    said = reason(tmp_path, wheelhouse, env={"CC": "clang"}, a=wrong)
    assert said == "the build failed: a.c:2:10: error: use of undeclared identifier 'missing'"


def test_a_trial_that_failed_before_is_not_the_reason(tmp_path: Path, wheelhouse: Path) -> None:
    trial = "print('conftest.c:1:10: error: no such thing'); raise ValueError('no eggs')"
    outcome = perform(job_for(sdist_of(tmp_path, backend(trial)), tmp_path, wheelhouse=str(wheelhouse)), tmp_path)
    assert outcome.reason == "the build failed: ValueError: no eggs"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["a.c:1:1: error: x", "ValueError: no eggs"], ""),
        (["nothing of note", "error: command '/usr/bin/gcc' failed with exit code 1"], ""),
        (
            [
                "gcc -c try.c",
                "try.c:1:1: error: a trial",
                "gcc -c a.c",
                "a.c:2:1: error: b",
                "a.c:3:1: error: c",
                "error: command '/usr/bin/gcc' failed with exit code 1",
            ],
            "a.c:2:1: error: b",
        ),
        (
            [
                "x86_64-linux-gnu-g++-12 -c a.cpp",
                "a.h:2:1: error: b",
                "a.cpp:3:1: note: here",
                "error: command '/usr/bin/gcc' failed with exit code 1",
            ],
            "a.h:2:1: error: b",
        ),
        (
            [
                "[1/2] cc a.c",
                "a.c:2:1: warning: w",
                "FAILED: b.o",
                "cc -c b.c",
                "b.c:9:9: fatal error: z",
                "ninja: build stopped: subcommand failed.",
            ],
            "b.c:9:9: fatal error: z",
        ),
        (
            [
                "error[E0425]: cannot find value `x` in this scope",
                " --> src/lib.rs:2:5",
                "error: aborting due to 1 previous error",
                "error: could not compile `spam` (lib) due to 1 previous error",
            ],
            "src/lib.rs:2:5: error[E0425]: cannot find value `x` in this scope",
        ),
        (
            ["error: linking with `cc` failed", "  = note: ...", "error: could not compile `spam` (lib)"],
            "error: linking with `cc` failed",
        ),
        (
            [
                "warning: spurious network error (1 try remaining): [6] Could not resolve hostname",
                "error: failed to get `base64` as a dependency of package `spam v0.1.0 (/build/spam)`",
                "",
                "Caused by:",
                "  [6] Could not resolve hostname",
                "error: `cargo metadata --format-version 1` failed with code 101",
                "-- Output captured from stdout:",
                "",
            ],
            "error: failed to get `base64` as a dependency of package `spam v0.1.0 (/build/spam)`",
        ),
        (
            [
                "cargo: error while loading shared libraries: libpcre.so.3: cannot open shared object file",
                "error: `cargo metadata --format-version 1` failed with code 127",
                "-- Output captured from stdout:",
            ],
            "cargo: error while loading shared libraries: libpcre.so.3: cannot open shared object file",
        ),
        (
            ['../meson.build:3:0: ERROR: Dependency "eggs" not found', "A full log can be found at meson-log.txt"],
            '../meson.build:3:0: ERROR: Dependency "eggs" not found',
        ),
        (
            [
                "CMake Error at CMakeLists.txt:3 (find_package):",
                "  Could not find Eggs",
                "",
                "*** CMake configuration failed",
            ],
            "CMake Error at CMakeLists.txt:3 (find_package): Could not find Eggs",
        ),
        (
            ["spam.pyx:3:5: undeclared name not builtin: x", "Cython.Compiler.Errors.CompileError: spam.pyx"],
            "spam.pyx:3:5: undeclared name not builtin: x",
        ),
        (
            [
                "/usr/bin/ld: a.o: in function `f':",
                "a.c:(.text+0x5): undefined reference to `eggs'",
                "error: command '/usr/bin/gcc' failed with exit code 1",
            ],
            "a.c:(.text+0x5): undefined reference to `eggs'",
        ),
    ],
)
def test_the_first_error_of_the_last_command_counts(lines: list[str], found: str) -> None:
    assert diagnostic(lines) == found
