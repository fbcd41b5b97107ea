"""Extension modules that a real compiler made, for wheels of real machine code."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
INTERPRETER = f"cp{sys.version_info.major}{sys.version_info.minor}"
MODULE = """
#include <Python.h>
{declarations}
static PyObject *answer(PyObject *self, PyObject *none) {{ {statement}; return PyLong_FromLong(42); }}
static PyMethodDef methods[] = {{{{"answer", answer, METH_NOARGS, ""}}, {{NULL}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", "", -1, methods}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}
"""


def compile_module(
    folder: Path,
    name: str = "_spam",
    *,
    compiler: str = "cc",
    declarations: str = "",
    statement: str = "",
    options: Sequence[str] = (),
) -> bytes:
    """Return the bytes of an extension module for this interpreter; its function runs ``statement`` first."""
    source = MODULE.format(name=name, declarations=declarations, statement=statement)
    return compile_library(folder, name, source, compiler=compiler, options=options).read_bytes()


def compile_library(folder: Path, name: str, source: str, *, compiler: str = "cc", options: Sequence[str] = ()) -> Path:
    """Compile a shared library ``<name>.so`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.so"
    (folder / f"{name}.c").write_text(source)
    include = f"-I{sysconfig.get_path('include')}"
    argv = [compiler, "-shared", "-fPIC", include, f"{folder}/{name}.c", "-o", str(path), *options]
    subprocess.run(argv, check=True, capture_output=True)
    return path
