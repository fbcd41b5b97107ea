"""What the script says of a host that it has prepared: packages that are left to install, interpreters that came."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.services.interpreters import discovered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from tasks.services.interpreters import Discovered

MARK = "spare-tire-fact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The facts of ``build_host.sh prepare``."""

    left: frozenset[str] = frozenset()
    """The system packages that the matrix names, and that were not installed."""
    came: Discovered = field(default_factory=lambda: discovered(()))
    """Of the interpreters that were missing, those that are there now."""
    offers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Of those, by tag: the package manager, and the package that brings one, or nothing."""

    @classmethod
    def of(cls, lines: Iterable[str]) -> Self:
        """Read lines of the script; those that are no facts are passed over."""
        facts = [found for line in lines if (found := fact(line))]
        answers = [value.partition("\t") for name, value in facts if name == "python"]
        offers = [value.split(" ", 2) for name, value in facts if name == "package"]
        return cls(
            left=frozenset(value for name, value in facts if name == "left"),
            came=discovered((Path(path), text) for path, _, text in answers),
            offers={tag: (manager, package) for tag, manager, package in offers},
        )

    def how_to_get(self, tag: str) -> str:
        """Return a sentence's end that says where an interpreter is to be had; empty where nobody knows."""
        unusable = "".join(f"; {passed}" for passed in self.came.passed_over if passed.tag == tag)
        if tag not in self.offers:
            return unusable
        manager, package = self.offers[tag]
        if not package:
            return f"{unusable}; {manager} knows of no package that brings it"
        return f"{unusable}; {manager} has the package {package} for it: install that, or name it in system_packages"


def fact(line: str) -> tuple[str, str] | None:
    """Return the name and the value of a fact; ``None`` for any other line."""
    mark, _, rest = line.partition(" ")
    name, _, value = rest.partition(" ")
    return (name, value) if mark == MARK else None
