from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tasks.core.matrix import Rules
from tasks.core.sharing import Made, Shelf, chains, names_limited_api
from tests.actions import action_of

if TYPE_CHECKING:
    from tasks.core.actions import Action

PURE = "spam-1.0-py3-none-any.whl"


def action(
    python: str = "cp311",
    platform: str = "linux_x86_64",
    *,
    name: str = "spam",
    native: bool = False,
    rules: Rules | None = None,
    sdist: str = "a" * 64,
) -> Action:
    return action_of(
        name,
        python=python,
        platforms=(platform,),
        sha256=sdist,
        target=platform,
        native=native,
        rules=rules or Rules(),
    )


FIRST = action()


@pytest.mark.parametrize(
    ("filename", "other", "does"),
    [
        (PURE, action("cp313"), True),
        (PURE, action("cp312", "freebsd_15_1_release_amd64"), True),
        (PURE, action("cp312", rules=Rules(system_packages=("gmake",))), True),
        (PURE, action("cp312", rules=Rules(timeout=7)), True),
        (PURE, action("cp312", native=True), False),
        (PURE, action("cp312", rules=Rules(env={"FLAVOUR": "smoked"})), False),
        (PURE, action("cp312", sdist="b" * 64), False),
        (PURE, action("cp312", name="eggs"), False),
        ("spam-1.0-py2-none-any.whl", action("cp312"), False),
        ("spam-1.0-cp311-abi3-linux_x86_64.whl", action("cp313", native=True), True),
        ("spam-1.0-cp311-abi3-linux_x86_64.whl", action("cp310", native=True), False),
        ("spam-1.0-cp311-abi3-linux_x86_64.whl", action("cp313", "linux_aarch64"), False),
        ("spam-1.0-cp311-abi3-linux_x86_64.whl", action("cp313", rules=Rules(system_packages=("x",))), False),
        ("spam-1.0-cp311-cp311-linux_x86_64.whl", action("cp312"), False),
    ],
)
def test_a_wheel_does_for_what_it_installs_on_out_of_the_same_source(filename: str, other: Action, does: bool) -> None:  # noqa: FBT001
    assert Made(action=FIRST, filename=filename, sha256="0" * 64).does_for(other) is does


def test_the_first_wheel_of_a_name_keeps_its_place() -> None:
    shelf = Shelf()
    first = Made(action=FIRST, filename=PURE, sha256="0" * 64)
    assert shelf.find(action("cp312")) is None
    assert shelf.put(first) is first
    assert shelf.put(replace(first, sha256="1" * 64)) is first
    assert shelf.find(action("cp312")) is first


def test_actions_whose_wheel_might_do_for_others_are_worked_off_one_after_the_other() -> None:
    old, new, fast, faster = action("cp311"), action("cp312"), action("cp312", name="f"), action("cp311", name="f")
    assert chains([new, fast, old, faster], lambda each: each.package == "spam") == ((old, new), (fast,), (faster,))


@pytest.mark.parametrize(
    ("pyproject", "named"),
    [
        (b'[tool.scikit-build]\nwheel.py-api = "cp312"\n', True),
        (b'[tool.distutils.bdist_wheel]\npy_limited_api = "cp39"\n', True),
        (b'features = ["pyo3/abi3-py39"]', True),
        (b'[build-system]\nrequires = ["setuptools"]\n', False),
        (None, False),
    ],
)
def test_a_pyproject_names_the_stable_abi(pyproject: bytes | None, named: bool) -> None:  # noqa: FBT001
    assert names_limited_api(pyproject) is named
