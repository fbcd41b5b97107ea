from __future__ import annotations

import pytest

from tasks.monorepo.globbing import found
from tasks.monorepo.values import Glob

PATHS = (
    ".hidden.py",
    "__init__.py",
    "a.py",
    "a[1].txt",
    "b.txt",
    "static/.keep",
    "static/css/x.css",
    "static/x.js",
    "sub/.cache/y.py",
    "sub/a.py",
    "sub/deep/b.py",
)


@pytest.mark.parametrize(
    ("function", "patterns", "paths"),
    [
        ("globs", ("*.py",), ("__init__.py", "a.py")),
        ("globs", ("sub/*.py", "?.txt"), ("b.txt", "sub/a.py")),
        ("globs", ("**/*.py",), ("sub/a.py",)),
        ("globs", (".*.py",), (".hidden.py",)),
        ("globs", ("[ab].*",), ("a.py", "b.txt")),
        ("globs", ("[!a].*",), ("b.txt",)),
        ("globs", ("a[[]1].txt",), ("a[1].txt",)),
        ("globs", ("a[1.txt",), ()),
        ("globs", ("a.p",), ()),
        ("globs", ("./a.py",), ("a.py",)),
        ("rglobs", ("*.py",), ("__init__.py", "a.py", "sub/a.py", "sub/deep/b.py")),
        ("rglobs", ("a.py",), ("a.py",)),
        ("rglobs", ("static/*",), ("static/css/x.css", "static/x.js")),
        ("zglobs", ("**/*.py",), ("__init__.py", "a.py", "sub/a.py", "sub/deep/b.py")),
        ("zglobs", ("static/**",), ("static/css/x.css", "static/x.js")),
        ("zglobs", ("*.py",), ("__init__.py", "a.py")),
        ("zglobs", ("**/css/*", "**/deep/*"), ("static/css/x.css", "sub/deep/b.py")),
    ],
)
def test_a_glob_finds(function: str, patterns: tuple[str, ...], paths: tuple[str, ...]) -> None:
    assert found(Glob(function=function, patterns=patterns), PATHS) == paths


def test_what_is_excluded_is_not_found() -> None:
    glob = Glob(
        function="rglobs",
        patterns=("*.py",),
        exclude=(Glob(function="globs", patterns=("a.py",)), Glob(function="rglobs", patterns=("sub/*",))),
    )
    assert found(glob, PATHS) == ("__init__.py",)
