"""An action: one build of one wheel, and the recipe key that names it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from tasks.core.matrix import DEFAULT_TIMEOUT, Check, Rules
from tasks.core.targets import PythonTag
from tasks.core.wheels import ExpectedWheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RECIPE_VERSION = 2
RULES_DIGITS = 16
"""How many hex digits at the end of a recipe key are the digest of the rules alone: see :func:`rules_digest`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdist:
    """The source of a wheel: where it is, and what its bytes are."""

    filename: str
    url: str
    sha256: str
    size: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"filename": self.filename, "url": self.url, "sha256": self.sha256, "size": self.size}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A change to the source, applied with ``patch -p1``."""

    path: str
    """As the planning stage reads it: the matrix's directory joined with what the matrix says."""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One build of one wheel on one instance."""

    package: str
    """The project's name as the matrix writes it."""
    target: str
    instance: str
    arch: str
    python: PythonTag
    wheel: ExpectedWheel
    sdist: Sdist
    rules: Rules = Rules()
    """The rules that apply, merged."""
    patches: tuple[Patch, ...] = ()
    """The files that ``rules.patches`` names, with their digests."""
    check: Check = Check()
    native: bool = True
    """Whether the wheel is for its platform alone; of a package that need not be, a ``none-any`` wheel is welcome."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """The properties that its executor must have: see ``tasks.core.placement``. Where it runs is no part of the key."""

    @property
    def version(self) -> Version:
        """The version that is built."""
        return self.wheel.version

    @property
    def timeout(self) -> int:
        """Seconds that the build may take."""
        return self.rules.timeout or DEFAULT_TIMEOUT

    @property
    def key(self) -> str:
        """The recipe key: 64 hex digits, a digest of what the matrix and the public index say of this build.

        The last :data:`RULES_DIGITS` are of the rules alone, so that a plan which asks the public index nothing can
        still tell whether a wheel was built by other rules.
        """
        return _digest(self._recipe())[:-RULES_DIGITS] + rules_digest(self.rules, self.patches)

    def _recipe(self) -> dict[str, Any]:
        rules = self.rules.to_dict()
        rules.pop("timeout", None)  # it cannot change what comes out
        rules.pop("patches", None)  # named by digest below: where they lie does not matter
        return {
            "recipe": RECIPE_VERSION,
            "name": self.wheel.name,
            "version": str(self.version),
            "sdist": self.sdist.sha256,
            "wheel": {"build": list(self.wheel.build), "tags": sorted(map(str, self.wheel.tags))},
            "rules": rules,
            "patches": [patch.sha256 for patch in self.patches],
        }

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for ``plan.json``."""
        return {
            "key": self.key,
            "package": self.package,
            "version": str(self.version),
            "target": self.target,
            "instance": self.instance,
            "arch": self.arch,
            "python": self.python.tag,
            "abi": self.python.abi,
            "platforms": list(self.wheel.platforms),
            "build_tag": list(self.wheel.build),
            "wheel": self.wheel.filename,
            "sdist": self.sdist.to_dict(),
            "rules": self.rules.to_dict(),
            "patches": [{"path": patch.path, "sha256": patch.sha256} for patch in self.patches],
            "check": self.check.to_dict(),
            "native": self.native,
            "needs": dict(self.needs),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Action:
        """Read what :meth:`to_dict` wrote. Raises ``ValueError`` where it was changed since."""
        python = PythonTag.parse(data["python"], data["abi"])
        build = data["build_tag"]
        action = cls(
            package=data["package"],
            target=data["target"],
            instance=data["instance"],
            arch=data["arch"],
            python=python,
            wheel=ExpectedWheel(
                name=canonicalize_name(data["package"]),
                version=Version(data["version"]),
                build=(int(build[0]), str(build[1])) if build else (),
                interpreter=python.interpreter,
                abi=python.abi,
                platforms=tuple(data["platforms"]),
            ),
            sdist=Sdist(**data["sdist"]),
            rules=Rules.from_dict(data["rules"]),
            patches=tuple(Patch(**patch) for patch in data["patches"]),
            check=_check(data["check"]),
            native=bool(data["native"]),
            needs={
                str(name): str(text) for name, text in data.get("needs", {}).items()
            },  # a plan of version 1 has none
        )
        if action.key != data["key"]:
            raise ValueError(f"its key is {data['key']}, but what it says has the key {action.key}")
        return action


def _check(said: Mapping[str, Any]) -> Check:
    return Check(imports=tuple(said["import"]), run=said["run"], requires=tuple(said["requires"]))


def rules_digest(rules: Rules, patches: Iterable[Patch]) -> str:
    """Return :data:`RULES_DIGITS` hex digits that say by which rules a wheel is built, whatever it is built from.

    ``revision`` is not among them: it is in the wheel's name.
    """
    said = rules.to_dict()
    for name in ("timeout", "native", "patches", "revision"):  # the first two cannot change what comes out
        said.pop(name, None)
    return _digest({"rules": said, "patches": [patch.sha256 for patch in patches]})[:RULES_DIGITS]


def _digest(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
