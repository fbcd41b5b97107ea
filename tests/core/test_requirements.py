from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tasks.core.requirements import Need, newest_that_does, runs_on
from tests.actions import action_of

PARENT = action_of(python="cp312", platforms=("manylinux_2_28_x86_64",))


@pytest.mark.parametrize(
    ("asked", "files", "taken"),
    [
        ("", ["eggs-1.0-py3-none-any.whl", "eggs-2.0-py3-none-any.whl"], "eggs-2.0-py3-none-any.whl"),
        ("", ["eggs-9.0-py3-none-any.whl", "eggs-10.0-py3-none-any.whl"], "eggs-10.0-py3-none-any.whl"),
        ("<2", ["eggs-1.0-py3-none-any.whl", "eggs-2.0-py3-none-any.whl"], "eggs-1.0-py3-none-any.whl"),
        (">=3", ["eggs-1.0-py3-none-any.whl"], None),
        ("", ["eggs-1.0-1-py3-none-any.whl", "eggs-1.0-2-py3-none-any.whl"], "eggs-1.0-2-py3-none-any.whl"),
        ("", ["eggs-1.0-py3-none-any.whl", "eggs-2.0.dev1-py3-none-any.whl"], "eggs-1.0-py3-none-any.whl"),
        ("", ["eggs-2.0.dev1-py3-none-any.whl"], "eggs-2.0.dev1-py3-none-any.whl"),
        ("", ["eggs-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"], "eggs-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"),
        ("", ["eggs-1.0-cp39-abi3-manylinux_2_28_x86_64.whl"], "eggs-1.0-cp39-abi3-manylinux_2_28_x86_64.whl"),
        ("", ["eggs-1.0-cp312-cp312-manylinux_2_34_x86_64.whl"], None),
        ("", ["eggs-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"], None),
        ("", ["eggs-1.0-cp312-cp312-manylinux_2_28_aarch64.whl"], None),
        ("", ["ham-1.0-py3-none-any.whl", "eggs.whl", "eggs-1.0.tar.gz"], None),
    ],
)
def test_the_newest_wheel_that_does_is_taken(asked: str, files: list[str], taken: str | None) -> None:
    need = Need(name=canonicalize_name("eggs"), specifiers=SpecifierSet(asked))
    for order in (files, files[::-1]):
        assert next(iter(newest_that_does(need, PARENT, order)), None) == taken


@pytest.mark.parametrize(
    ("requires_python", "runs"), [(None, True), (">=3.12", True), (">=3.13", False), ("<3.12", False)]
)
def test_requires_python_of_a_wheel_counts(requires_python: str | None, *, runs: bool) -> None:
    assert runs_on(requires_python, PARENT) == runs
