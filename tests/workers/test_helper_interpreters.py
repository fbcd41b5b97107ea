"""The helper runs on, and builds for, every Python from 3.8 on."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.workers.helper_jobs import finish, job_for, start, write_sdist

if TYPE_CHECKING:
    from pathlib import Path

SETUP = {
    "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n',
    "setup.py": (
        "from setuptools import Extension, setup\n"
        "setup(name='spam', version='1.0', ext_modules=[Extension('spam', ['spam.c'])])\n"
    ),
    "spam.c": (
        "#include <Python.h>\n"
        'static struct PyModuleDef spam = {PyModuleDef_HEAD_INIT, "spam"};\n'
        "PyMODINIT_FUNC PyInit_spam(void) { return PyModule_Create(&spam); }\n"
    ),
}


@pytest.fixture(params=[f"3.{minor}" for minor in range(8, 15)])
def interpreter(request: pytest.FixtureRequest) -> str:
    """The path of an interpreter of this machine; a pyenv shim counts only where its version is there."""
    found = shutil.which(f"python{request.param}")
    ask = [found or "", "-c", "import sys; print(sys.executable)"]
    told = subprocess.run(ask, capture_output=True, text=True, check=False) if found else None
    if told is None or told.returncode:
        pytest.skip(f"python{request.param} is not on PATH")
    return told.stdout.strip()


def test_an_extension_is_built(tmp_path: Path, interpreter: str) -> None:
    job = job_for(write_sdist(tmp_path, SETUP), tmp_path, python=interpreter)
    outcome = finish(start(job, tmp_path, interpreter=interpreter), job)
    assert outcome.status == 0, outcome.log
    assert outcome.result["interpreter"]["executable"] == interpreter
    assert outcome.result["checks"][1] == {"name": "import", "outcome": "passed", "detail": "spam"}


def test_a_hostile_sdist_gets_the_same_verdict(tmp_path: Path, interpreter: str) -> None:
    sdist = write_sdist(tmp_path, SETUP)
    with tarfile.open(sdist, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("spam-1.0/setup.py"), io.BytesIO())
        link = tarfile.TarInfo("spam-1.0/x")
        link.type, link.linkname = tarfile.SYMTYPE, "../../x"
        archive.addfile(link)
    job = job_for(sdist, tmp_path, python=interpreter)
    outcome = finish(start(job, tmp_path, interpreter=interpreter), job)
    assert outcome.reason == ("spam-1.0.tar.gz is refused: spam-1.0/x is a symbolic link out of the sdist, to ../../x")
