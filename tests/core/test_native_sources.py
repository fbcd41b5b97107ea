from __future__ import annotations

import pytest

from tasks.core.native_sources import native_source


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["spam-1.0/src/_speedups.c"], "src/_speedups.c (C)"),
        (["spam-1.0/z.c", "spam-1.0/a.pyx"], "a.pyx (Cython)"),
        (["spam-1.0/spam.cpp"], "spam.cpp (C++)"),
        (["spam-1.0/src/lib.rs"], "src/lib.rs (Rust)"),
        (["spam-1.0/main.go"], "main.go (Go)"),
        (["spam-1.0/fft.F90"], "fft.F90 (Fortran)"),
        (["spam-1.0/fast.S"], "fast.S (assembler)"),
        (["spam-1.0/fast.zig"], "fast.zig (Zig)"),
        (["spam-1.0/kernel.cu"], "kernel.cu (CUDA)"),
        (["spam-1.0/core/loops.c.src"], "core/loops.c.src (C)"),
        (["spam-1.0/hashtable.pyx.in"], "hashtable.pyx.in (Cython)"),
        (["./spam-1.0/_spam.c"], "_spam.c (C)"),
        (["spam-1.0/spam.py", "spam-1.0/spam.h", "spam-1.0/style.css", "spam-1.0/README.in"], None),
        (["spam-1.0/tests/data/x.c", "spam-1.0/docs/y.cpp", "spam-1.0/.github/z.rs"], None),
        (["spam-1.0/spam/Testing/x.c", "spam-1.0/examples/ext/y.pyx"], None),
        (["spam-1.0/c/__init__.py", "spam.c"], None),
        ([], None),
    ],
)
def test_sources_that_compile_are_found_by_name(names: list[str], found: str | None) -> None:
    assert native_source(names, None) == found


@pytest.mark.parametrize(
    ("requires", "found"),
    [
        ('["setuptools", "Cython >= 3"]', "the build requirement Cython"),
        ('["setuptools_rust"]', "the build requirement setuptools_rust"),
        ('["maturin>=1,<2"]', "the build requirement maturin"),
        ('["mypy[mypyc]", "cffi"]', "the build requirement cffi"),
        ('["scikit-build-core", "meson-python"]', "the build requirement meson-python"),
        ("[\"cffi; platform_python_implementation == 'CPython'\"]", "the build requirement cffi"),
        ("[\"cffi; platform_python_implementation == 'PyPy'\"]", None),
        ('["setuptools", "wheel", "not a requirement !"]', None),
        ("[1, 2]", None),
        ('"cffi"', None),
    ],
)
def test_build_requirements_of_compilers_are_found(requires: str, found: str | None) -> None:
    assert native_source(["spam-1.0/spam.py"], f"[build-system]\nrequires = {requires}\n".encode()) == found


def test_a_source_says_more_than_a_requirement() -> None:
    assert native_source(["spam-1.0/s.pyx"], b'[build-system]\nrequires = ["cython"]\n') == "s.pyx (Cython)"


@pytest.mark.parametrize("pyproject", [None, b"", b"[", b"\xff", b"build-system = 1"])
def test_a_file_that_is_no_toml_says_nothing(pyproject: bytes | None) -> None:
    assert native_source([], pyproject) is None
