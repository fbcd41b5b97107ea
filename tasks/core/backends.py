"""What an sdist says of its build backend (PEP 517, PEP 518), and what follows from that for an action."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from tasks.core.targets import ABI3

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.core.actions import Action

_BUILD_OPTION = "--build-option"
_LIMITED_API = "--py-limited-api"


def uses_setuptools(pyproject: bytes | None) -> bool:
    """Whether setuptools builds the sdist with this ``pyproject.toml``: it is named, or nothing is (PEP 517).

    A file that is no TOML says nothing here: the front end refuses it, with its reason.
    """
    try:
        table = tomllib.loads((pyproject or b"").decode())
    except ValueError:  # UnicodeDecodeError and TOMLDecodeError are both
        return False
    system = table.get("build-system", {})
    backend = system.get("build-backend", "setuptools.build_meta") if isinstance(system, dict) else None
    return isinstance(backend, str) and backend.partition(":")[0] == "setuptools.build_meta"


def config_settings(action: Action, pyproject: bytes | None) -> Mapping[str, tuple[str, ...]]:
    """Return the action's config settings: the matrix's, and for abi3 wheels those that setuptools needs for them."""
    made = dict(sorted((action.rules.config_settings or {}).items()))
    said = made.get(_BUILD_OPTION, ())
    if action.wheel.abi == ABI3 and uses_setuptools(pyproject) and not any(_LIMITED_API in value for value in said):
        made[_BUILD_OPTION] = (*said, _LIMITED_API, action.python.interpreter)
    return made
