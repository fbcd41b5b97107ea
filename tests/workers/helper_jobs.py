"""Sdists made in the test, and the helper run on them as a worker runs it: a file, an interpreter and a job."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HELPER = Path(__file__).parents[2] / "tasks" / "workers" / "helper.py"
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
PYPROJECT = '[build-system]\nrequires = [{requires}]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
BACKEND = """
import os, sys, time, zipfile

def get_requires_for_build_wheel(config_settings=None):
    return {dynamic!r}

def write_wheel(directory, name="spam-1.0-py3-none-any.whl"):
    info = "spam-1.0.dist-info/"
    files = {{
        "spam/__init__.py": {module!r},
        info + "METADATA": "Metadata-Version: 2.1\\nName: spam\\nVersion: 1.0\\n" + {metadata!r},
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n\\n",
        info + "RECORD": "spam/__init__.py,,\\n" + info + "METADATA,,\\n" + info + "WHEEL,,\\n" + info + "RECORD,,\\n",
    }}
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path in files:
            archive.writestr(zipfile.ZipInfo(path), files[path])
    return name

def build_wheel(directory, config_settings=None, metadata_directory=None):
{before}
    return write_wheel(directory)
"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the helper left: its exit status, its result and what it printed."""

    status: int
    result: dict[str, Any]
    log: str
    output: Path

    @property
    def reason(self) -> str:
        return str(self.result["reason"])


def backend(before: str = "pass", *, dynamic: tuple[str, ...] = (), module: str = "", metadata: str = "") -> str:
    """Return a backend in the sdist's own tree whose ``build_wheel`` runs ``before`` first."""
    lines = textwrap.indent(textwrap.dedent(before), "    ")
    return BACKEND.format(before=lines, dynamic=list(dynamic), module=module, metadata=metadata)


def sdist_of(folder: Path, code: str, *, requires: str = "", **files: str) -> Path:
    """Write the sdist of ``spam 1.0`` with this backend."""
    return write_sdist(folder, {"pyproject.toml": PYPROJECT.format(requires=requires), "backend.py": code, **files})


def write_sdist(folder: Path, files: Mapping[str, str], top: str = "spam-1.0", mtime: int = 1_700_000_000) -> Path:
    """Write a ``.tar.gz`` with one top directory."""
    path = folder / f"{top}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size, info.mtime = len(text.encode()), mtime
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def job_for(sdist: Path, folder: Path, **changes: object) -> dict[str, Any]:
    """Return a job that builds ``sdist`` below ``folder``, on PATH's compilers, without a sandbox."""
    job = {
        "format": "spare-tire/job",
        "version": 1,
        "key": hashlib.sha256(sdist.name.encode()).hexdigest(),
        "package": {"name": "spam", "release": "1.0"},
        "sdist": str(sdist),
        "sha256": hashlib.sha256(sdist.read_bytes()).hexdigest(),
        "python": sys.executable,
        "root": str(folder / "root"),
        "output": str(folder / "output"),
        "path": "/usr/local/bin:/usr/bin:/bin",
        "installer": UV,
        "sandbox": "never",
        "timeout": 300,
    }
    return {**job, **changes}


def start(
    job: Mapping[str, Any], folder: Path, variables: Mapping[str, str] | None = None, interpreter: str = sys.executable
) -> subprocess.Popen[str]:
    """Start the helper on a job, as a worker does."""
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    return subprocess.Popen(
        [interpreter, str(HELPER), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(variables or {})},
    )


def finish(helper: subprocess.Popen[str], job: Mapping[str, Any]) -> Outcome:
    """Wait for a helper and return what it left."""
    log, _ = helper.communicate(timeout=400)
    output = Path(job["output"])
    result = json.loads((output / "result.json").read_text())
    return Outcome(status=helper.returncode, result=result, log=log, output=output)


def perform(job: Mapping[str, Any], folder: Path, variables: Mapping[str, str] | None = None) -> Outcome:
    """Run the helper on a job to its end."""
    return finish(start(job, folder, variables), job)


def write_wheel(folder: Path, name: str, version: str = "1.0", metadata: str = "", module: str = "") -> Path:
    """Write the wheel of a project that is one module."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    contents = {
        f"{name}.py": module,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for where, text in contents.items():
            archive.writestr(zipfile.ZipInfo(where), text)  # without the time: equal contents are equal wheels
    return path
