"""Small sdists that really build, and plans to build them: what the tests of ``build`` start from."""

from __future__ import annotations

import io
import os
import sys
import sysconfig
import tarfile
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tasks.core.actions import Action, Sdist
from tasks.core.matrix import Check, Instance, Rules
from tasks.core.plan import Plan
from tasks.core.wheels import ExpectedWheel
from tasks.services.interpreters import this_machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.core.targets import Machine, PythonTag

# A PEP 517 backend that needs nothing: it writes one platform wheel by hand. `before` runs first, `after` has `path`.
BACKEND = """
import base64, hashlib, os, subprocess, sys, sysconfig, time, zipfile

NAME, VERSION, TAG = {name!r}, {version!r}, {tag!r}

def build_wheel(directory, config_settings=None, metadata_directory=None):
    tag = TAG or "cp{{0}}{{1}}-cp{{0}}{{1}}-".format(*sys.version_info) + sysconfig.get_platform().replace("-", "_").replace(".", "_")
    path = os.path.join(directory, "%s-%s-%s.whl" % (NAME, VERSION, tag))
{before}
    files = {{
        NAME + "/__init__.py": {module!r},
        "%s-%s.dist-info/METADATA" % (NAME, VERSION): "Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n" % (NAME, VERSION),
        "%s-%s.dist-info/WHEEL" % (NAME, VERSION): "Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: %s\\n" % tag,
    }}
    unrecorded = {{}}
{after}
    rows = [
        "%s,sha256=%s,%d" % (
            name, base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode(), len(text)
        )
        for name, text in files.items()
    ]
    record = "%s-%s.dist-info/RECORD" % (NAME, VERSION)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {{**files, **unrecorded, record: "\\n".join([*rows, record + ",,"]) + "\\n"}}.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return os.path.basename(path)
"""

SETUP = """
from setuptools import Extension, setup
setup(ext_modules=[Extension("{name}._fast", ["fast.c"], define_macros={macros}, py_limited_api={limited})])
"""
FAST = """
#include <Python.h>
#include <assert.h>
static PyObject *where(PyObject *self, PyObject *args) {{ assert(self); return PyUnicode_FromString(__FILE__); }}
static PyMethodDef methods[] = {{{{"where", where, METH_NOARGS, ""}}, {{NULL, NULL, 0, NULL}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "_fast", "", -1, methods, NULL, NULL, NULL, NULL}};
PyMODINIT_FUNC PyInit__fast(void) {{ return PyModule_Create(&module); }}
"""

PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@cache
def search_path() -> str:
    """Return a short ``PATH``, for speed: the interpreter of these tests and the system's programs, where that will do."""
    own = Path(sys.base_prefix, "bin")
    complete = Path(sysconfig.get_path("include"), "Python.h").exists() and any(own.glob("python3.*"))
    return f"{own}:/usr/bin:/bin" if complete else os.environ["PATH"]


@cache
def machine() -> Machine:
    """Return this machine as that path has it, looked at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", search_path())
        return this_machine()


def python_tag() -> PythonTag:
    """Return the newest interpreter of this machine."""
    return machine().pythons[-1]


def wheel_name(name: str, version: str = "1.0") -> str:
    """Return the file name of the wheel that the newest interpreter of this machine builds."""
    tag = python_tag()
    return f"{name}-{version}-{tag.interpreter}-{tag.abi}-{machine().platform}.whl"


def make_sdist(
    folder: Path,
    name: str = "spam",
    version: str = "1.0",
    *,
    before: str = "pass",
    after: str = "pass",
    module: str = "ANSWER = 42\n",
    tag: str | None = None,
) -> Path:
    """Write an sdist whose backend is its own; ``before`` and ``after`` are statements of its ``build_wheel``."""
    indented = {key: _indented(text) for key, text in (("before", before), ("after", after))}
    backend = BACKEND.format(name=name, version=version, module=module, tag=tag, **indented)
    return pack(folder, name, version, {"pyproject.toml": PYPROJECT, "backend.py": backend})


def pack(folder: Path, name: str, version: str, files: Mapping[str, str]) -> Path:
    """Write an sdist of these files; the same files give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}.tar.gz"
    everything = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", **files}
    with tarfile.open(path, "w:gz") as archive:
        for file, text in sorted(everything.items()):
            info = tarfile.TarInfo(f"{name}-{version}/{file}")
            info.size, info.mtime = len(text.encode()), 1_700_000_000
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def c_extension(folder: Path, name: str, *, limited: bool) -> Path:
    """Write an sdist with a C extension, which setuptools builds."""
    macros = [("Py_LIMITED_API", "0x030B0000")] if limited else []
    project = f'[project]\nname = "{name}"\nversion = "1.0"\n[tool.setuptools]\npackages = ["{name}"]\n'
    files = {
        "pyproject.toml": f'{project}[build-system]\nrequires = ["setuptools"]\n',  # the backend is the default one
        "setup.py": SETUP.format(name=name, macros=macros, limited=limited),
        "fast.c": FAST.format(),
        f"{name}/__init__.py": f"from {name}._fast import where\n",
    }
    return pack(folder, name, "1.0", files)


def action(
    sdist: Path,
    *,
    url: str | None = None,
    python: PythonTag | None = None,
    rules: Rules | None = None,
    check: Check | None = None,
    instance: str = "local",
    digest: str | None = None,
) -> Action:
    """Return the action that builds an sdist for an interpreter of this machine, fetched from a ``file:`` URL."""
    name, version = sdist.name.removesuffix(".tar.gz").rsplit("-", 1)
    tag = python or python_tag()
    return Action(
        package=name,
        target="host",
        instance=instance,
        arch=machine().arch,
        python=tag,
        wheel=ExpectedWheel(
            name=canonicalize_name(name),
            version=Version(version),
            build=(),
            interpreter=tag.interpreter,
            abi=tag.abi,
            platforms=(machine().platform,),
        ),
        sdist=Sdist(
            filename=sdist.name,
            url=url or sdist.absolute().as_uri(),
            sha256=digest or sha256(sdist.read_bytes()).hexdigest(),
        ),
        rules=rules or Rules(),
        check=check or Check(),
    )


def write_plan(file: Path, *actions: Action, workers: Mapping[str, str] | None = None) -> Path:
    """Write a plan of these actions; ``workers`` says of instances what kind of worker they need, if not local."""
    kinds = {each.instance: (workers or {}).get(each.instance, "local") for each in actions}
    instances = {name: Instance(name=name, worker=kind) for name, kind in sorted(kinds.items())}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(Plan(matrix="0" * 64, instances=instances, actions=actions).to_json())
    return file


def errors(said: str) -> list[str]:
    """Return the errors of what a stage has said; where there is no bubblewrap it warns besides."""
    return [line for line in said.splitlines() if line.startswith("error: ")]


def _indented(statements: str) -> str:
    return "\n".join(f"    {line}" for line in statements.splitlines())


def folder_to_build_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty directory that is the working one, with a scratch root of its own, and no CI around."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("PATH", search_path())
    for variable in ("TF_BUILD", "GITHUB_ACTIONS", "JOB_DATA", "SOURCE_DATE_EPOCH", "SPARE_TIRE_MATRIX"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path
