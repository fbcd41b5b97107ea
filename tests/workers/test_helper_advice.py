"""What is said of a build that failed, beyond its last line. The endings are those that real packages' builds have."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.workers.helper_jobs import backend, job_for, perform, sdist_of

if TYPE_CHECKING:
    from pathlib import Path

PILLOW = """\
  File "<string>", line 1121, in <module>
RequiredDependencyException:\x20

The headers or library files could not be found for zlib,
a required dependency when compiling Pillow from source.

Please see the install instructions at:
   https://pillow.readthedocs.io/en/latest/installation/basic-installation.html

"""
PSYCOPG2 = """\
error: an earlier one, which was no hindrance
running build_ext

Error: pg_config executable not found.

pg_config is required to build psycopg2 from source.

For further information please check the 'doc/src/install.rst' file (also at
<https://www.psycopg.org/docs/install.html>).
"""


def reason(folder: Path, wheels: Path, output: str, **changes: object) -> str:
    """Return the reason that is given where a build prints this and fails."""
    job = job_for(sdist_of(folder, backend(f"sys.exit({output!r})")), folder, wheelhouse=str(wheels), **changes)
    outcome = perform(job, folder)
    assert outcome.status == 1
    return outcome.reason


@pytest.mark.parametrize(
    ("output", "why"),
    [
        pytest.param(
            PILLOW,
            "RequiredDependencyException: The headers or library files could not be found for zlib,",
            id="a message that begins a line below",
        ),
        pytest.param(PSYCOPG2, "Error: pg_config executable not found.", id="the last of several errors"),
        pytest.param("error: not this\nout of eggs\n", "out of eggs", id="no address"),
        pytest.param("see https://h.test/manual", "see https://h.test/manual", id="nothing but an address"),
    ],
)
def test_a_manual_s_address_is_not_the_reason_but_the_error_before_it_is(
    tmp_path: Path, wheelhouse: Path, output: str, why: str
) -> None:
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
    output = f"{said}\nno eggs"
    assert reason(tmp_path, wheelhouse, output, sandbox="require") == f"the build failed: no eggs; {line}"
    has_it = reason(tmp_path, wheelhouse, output, sandbox="require", network=True)
    assert has_it == "the build failed: no eggs"
    assert reason(tmp_path, wheelhouse, output) == "the build failed: no eggs"  # no sandbox: it had it
