"""Why a build failed, in the words of the tool that knows: the endings are those that real packages' builds have."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.workers.conftest import wheelhouse
from tests.workers.helper_jobs import backend, job_for, perform, sdist_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["wheelhouse"]

CMAKE = """\
-- Looking for libzmq - libzmq not found
CMake Error at CMakeLists.txt:168 (message):
  aborting because bundled libzmq is disabled


-- Configuring incomplete, errors occurred!
See also "CMakeFiles/CMakeOutput.log".

*** CMake configuration failed
"""
MESON = """\
Run-time dependency openblas found: NO (tried pkgconfig)

../numpy/meson.build:185:4: ERROR: Problem encountered: No BLAS library detected!

A full log can be found at meson-logs/meson-log.txt
"""
PILLOW = """\
  File "<string>", line 1121, in <module>
RequiredDependencyException:\x20

The headers or library files could not be found for zlib,
a required dependency when compiling Pillow from source.

Please see the install instructions at:
   https://pillow.readthedocs.io/en/latest/installation/basic-installation.html

"""
PSYCOPG2 = """\
running build_ext

Error: pg_config executable not found.

pg_config is required to build psycopg2 from source.

For further information please check the 'doc/src/install.rst' file (also at
<https://www.psycopg.org/docs/install.html>).
"""
COMPILER = """\
error: an earlier one, which was no hindrance
spam.c: In function 'spam':
spam.c:1:20: error: 'eggs' undeclared (first use in this function)
    1 | int spam() {return eggs;}
      |                    ^~~~
error: command '/usr/bin/gcc' failed with exit code 1
"""
NINJA = """\
FAILED: spam.o
../src/spam.cc:3:10: error: 'eggs' was not declared in this scope
compilation terminated.
ninja: build stopped: subcommand failed.
"""
DOWNLOAD = "CMake Error at FetchContent.cmake:1616 (message):\n  Build step failed: 1\n\n*** CMake configuration failed\n"


def reason(folder: Path, wheels: Path, output: str, **changes: object) -> str:
    """Return the reason that is given where a build prints this and fails."""
    job = job_for(sdist_of(folder, backend(f"sys.exit({output!r})")), folder, wheelhouse=str(wheels), **changes)
    outcome = perform(job, folder)
    assert outcome.status == 1
    return outcome.reason


@pytest.mark.parametrize(
    ("output", "why"),
    [
        pytest.param(CMAKE, "aborting because bundled libzmq is disabled", id="CMake"),
        pytest.param(MESON, "Problem encountered: No BLAS library detected!", id="Meson"),
        pytest.param(
            PILLOW,
            "RequiredDependencyException: The headers or library files could not be found for zlib,",
            id="a message that begins a line below",
        ),
        pytest.param(PSYCOPG2, "Error: pg_config executable not found.", id="a manual's address"),
        pytest.param(COMPILER, "spam.c:1:20: error: 'eggs' undeclared (first use in this function)", id="setuptools"),
        pytest.param(NINJA, "../src/spam.cc:3:10: error: 'eggs' was not declared in this scope", id="ninja"),
        pytest.param("error: not this\nout of eggs\n", "out of eggs", id="a last line that says why"),
        pytest.param("see https://h.test/manual", "see https://h.test/manual", id="nothing else is said"),
    ],
)
def test_the_reason_is_the_line_that_says_why(tmp_path: Path, wheelhouse: Path, output: str, why: str) -> None:
    assert reason(tmp_path, wheelhouse, output) == f"the build failed: {why}"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap (bwrap) is not on PATH")
@pytest.mark.parametrize(
    "said",
    [
        "Could not resolve host: download.h.test",
        "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
        "dns error: failed to lookup address information",
        "connect: Network is unreachable",
    ],
)
def test_a_build_that_misses_the_network_is_told_how_to_have_it(tmp_path: Path, wheelhouse: Path, said: str) -> None:
    line = "it tried to download something: add to the matrix: build: {network: true}, or what makes it unnecessary"
    output = f"{said}\n{DOWNLOAD}"
    assert reason(tmp_path, wheelhouse, output, sandbox="require") == f"the build failed: Build step failed: 1; {line}"
    has_it = reason(tmp_path, wheelhouse, output, sandbox="require", network=True)
    assert has_it == "the build failed: Build step failed: 1"
    assert reason(tmp_path, wheelhouse, output) == "the build failed: Build step failed: 1"  # no sandbox: it had it
