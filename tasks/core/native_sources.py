"""Whether an sdist holds what compiles to machine code, from its members' names and its build requirements."""

from __future__ import annotations

import tomllib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LANGUAGES = {
    "C": ".c",
    "C++": ".cc .cpp .cxx .c++",
    "CUDA": ".cu",
    "Cython": ".pyx",
    "Fortran": ".f .for .f77 .f90 .f95 .f03 .f08",
    "Go": ".go",
    "Nim": ".nim",
    "Objective-C": ".mm",
    "Rust": ".rs",
    "Zig": ".zig",
    "assembler": ".s .asm",
}
_SUFFIXES = {suffix: language for language, suffixes in _LANGUAGES.items() for suffix in suffixes.split()}
_TEMPLATES = {".in", ".src", ".tp", ".j2"}
"""Of a source that is made while building: ``loops.c.src``, ``hashtable.pyx.in``."""

_BESIDES = _words(
    "test tests testing testdata test_data test-data fixtures doc docs documentation example examples sample samples "
    "demo demos benchmark benchmarks bench fuzz fuzzing ci node_modules"
)
"""Directories whose sources are not the wheel's: what tests read, what documentation shows."""

_COMPILING = _words(
    "cffi cython hatch-cython hatch-mypyc maturin meson-python mypy mypyc nanobind py-build-cmake pybind11 "
    "pyqt-builder scikit-build scikit-build-core setuptools-golang setuptools-rust setuptools-zig sip swig "
    "ziggy-pydust ziglang"
)
"""Build requirements that nobody has who compiles nothing."""


def native_source(names: Iterable[str], pyproject: bytes | None) -> str | None:
    """Return what in an sdist compiles to machine code, in words for a message; ``None`` where nothing does.

    ``names`` are the members' paths, in any order, below one top directory: ``spam-1.0/src/_spam.c``. The answer is
    the first source by path, ``src/_spam.c (C)``; else ``the build requirement Cython``.
    """
    sources = sorted(filter(None, map(_source, names)))
    if sources:
        return sources[0]
    requirements = sorted(filter(None, map(_compiler, build_requires(pyproject))))
    return f"the build requirement {requirements[0]}" if requirements else None


def build_requires(pyproject: bytes | None) -> tuple[str, ...]:
    """Return ``build-system.requires`` (PEP 518); nothing where there is none, or the file is no TOML."""
    try:
        system = tomllib.loads((pyproject or b"").decode()).get("build-system", {})
    except ValueError:  # UnicodeDecodeError and TOMLDecodeError are both
        return ()
    wishes = system.get("requires", []) if isinstance(system, dict) else []
    return tuple(wish for wish in wishes if isinstance(wish, str)) if isinstance(wishes, list) else ()


def _source(name: str) -> str | None:
    _, *parts = PurePosixPath(name).parts or ("",)
    if not parts or any(part.lower() in _BESIDES or part.startswith(".") for part in parts[:-1]):
        return None
    path = PurePosixPath(*parts)
    stem = path.with_suffix("") if path.suffix.lower() in _TEMPLATES else path
    language = _SUFFIXES.get(stem.suffix.lower())
    return f"{path} ({language})" if language else None


def _compiler(wish: str) -> str | None:
    try:
        requirement = Requirement(wish)
    except InvalidRequirement:
        return None
    here = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    if requirement.marker and not requirement.marker.evaluate(here):
        return None
    return requirement.name if canonicalize_name(requirement.name) in _COMPILING else None
