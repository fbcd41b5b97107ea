"""Actions as values, for tests that build nothing; ``tests.builds`` has those that do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from tasks.core.actions import Action, Sdist
from tasks.core.targets import PythonTag
from tasks.core.wheels import ExpectedWheel


def action_of(
    package: str = "spam",
    version: str = "1.0",
    *,
    python: str = "cp312",
    abi: str | None = None,
    platforms: tuple[str, ...] = ("linux_x86_64",),
    sha256: str = "0" * 64,
    **changes: Any,  # noqa: ANN401 - fields of any kind
) -> Action:
    """Return the action for a release on the target ``host``; ``changes`` are further fields of it."""
    tag, name = PythonTag.parse(python, abi), canonicalize_name(package)
    sdist = f"{name}-{version}.tar.gz"
    action = Action(
        package=package,
        target="host",
        instance="local",
        arch="x86_64",
        python=tag,
        wheel=ExpectedWheel(
            name=name,
            version=Version(version),
            build=(),
            interpreter=tag.interpreter,
            abi=tag.abi,
            platforms=platforms,
        ),
        sdist=Sdist(filename=sdist, url=f"https://x.test/{sdist}", sha256=sha256),
    )
    return replace(action, **changes)
