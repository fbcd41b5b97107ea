from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.core.backends import config_settings, uses_setuptools
from tasks.core.matrix import Rules
from tests.actions import action_of

if TYPE_CHECKING:
    from tasks.core.actions import Action

SETUPTOOLS = b'[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
MATURIN = b'[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"\n'


def action(abi: str, **settings: tuple[str, ...]) -> Action:
    named = {name.replace("_", "-"): values for name, values in settings.items()}
    return action_of("bcrypt", "5.0", abi=abi, rules=Rules(config_settings=named or None))


@pytest.mark.parametrize(
    ("pyproject", "answer"),
    [
        (None, True),
        (b"", True),
        (b'[project]\nname = "x"\n', True),
        (b'[build-system]\nrequires = ["setuptools"]\n', True),
        (SETUPTOOLS, True),
        (b'[build-system]\nbuild-backend = "setuptools.build_meta:__legacy__"\n', True),
        (MATURIN, False),
        (b'[build-system]\nbuild-backend = "setuptools.build_meta_of_mine"\n', False),
        (b'[build-system]\nbuild-backend = "own"\nbackend-path = ["."]\n', False),
        (b"[build-system", False),
        (b"\xff", False),
        (b"build-system = 1\n", False),
        (b"[build-system]\nbuild-backend = 1\n", False),
    ],
)
def test_setuptools_builds_what_names_it_or_names_nothing(pyproject: bytes | None, answer: bool) -> None:  # noqa: FBT001
    assert uses_setuptools(pyproject) is answer


def test_setuptools_is_asked_for_the_stable_abi() -> None:
    assert config_settings(action("abi3"), SETUPTOOLS) == {"--build-option": ("--py-limited-api", "cp312")}


def test_another_backend_and_another_abi_are_asked_for_nothing() -> None:
    assert config_settings(action("abi3"), MATURIN) == {}
    assert config_settings(action("cp312"), SETUPTOOLS) == {}


def test_what_the_matrix_says_stays() -> None:
    said = action("abi3", __build_option=("--verbose",), tag=("{other}",))
    assert config_settings(said, SETUPTOOLS) == {
        "--build-option": ("--verbose", "--py-limited-api", "cp312"),
        "tag": ("{other}",),
    }


def test_a_matrix_that_asks_for_it_itself_is_not_spoken_over() -> None:
    said = action("abi3", __build_option=("--py-limited-api=cp310",))
    assert config_settings(said, None) == {"--build-option": ("--py-limited-api=cp310",)}
