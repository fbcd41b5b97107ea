"""What the matrix says of a monorepo's own packages: where they lie, and which conventions they may break."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

RULES = tuple(f"R{number}" for number in range(1, 12))
"""The conventions by their names, in order; ``docs/components.md`` explains each."""
TARGET = "components"
"""Where components are built: the target of that name, or else this machine."""
REQUIREMENTS = "3rdparty/python/requirements.txt"
"""The file of third-party requirements below the build root, where the matrix names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A convention that one component may break, and why."""

    component: str
    """Its dotted name; of a BUILD file elsewhere the folder, below the build root."""
    rule: str
    reason: str
    line: int
    """Where it stands in the matrix, counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """``components`` of the matrix; paths are relative to it, with ``/`` between their parts."""

    root: str
    version_file: str
    buildroot: str = "."
    """The folder that addresses in BUILD files are relative to, and ``get_buildroot()`` stands for."""
    requirements: str | None = None
    """``None`` for :data:`REQUIREMENTS`, which then may be missing."""
    dependants: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    def __post_init__(self) -> None:
        inside = {"root": self.root, "version_file": self.version_file, "requirements": self.requirements}
        inside |= {f"dependants[{number}]": path for number, path in enumerate(self.dependants)}
        for key, path in inside.items():
            if path is not None and not _is_below(path, self.buildroot):
                raise ValueError(f"{key}: '{path}' does not lie below the buildroot '{self.buildroot}'")
        if PurePosixPath(self.third_party).parent == PurePosixPath(self.buildroot):
            raise ValueError("requirements: the file has to lie in a folder, which is the address of what it lists")
        for number, path in enumerate(self.dependants):
            if _is_below(path, self.root) or _is_below(self.root, path):
                raise ValueError(f"dependants[{number}]: '{path}' and the root '{self.root}' must lie side by side")
        first: dict[tuple[str, str], int] = {}
        for waiver in self.waivers:
            line = first.setdefault((waiver.component, waiver.rule), waiver.line)
            if line != waiver.line:
                raise ValueError(f"{waiver.component} is waived {waiver.rule} twice, in lines {line} and {waiver.line}")

    @property
    def third_party(self) -> str:
        """The requirements file, named or not."""
        return self.requirements or str(PurePosixPath(self.buildroot, REQUIREMENTS))

    def address(self, path: str) -> str:
        """Return a path of the matrix as BUILD files name it: relative to the build root."""
        return str(PurePosixPath(path).relative_to(PurePosixPath(self.buildroot)))


def parse_path(text: str) -> str:
    """Return a relative path in its shortest form. Raises :class:`ValueError` where it is absolute or leads up."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text:
        raise ValueError("it has to lie in the folder of this file, with '/' between its parts")
    return str(path)


def _is_below(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(PurePosixPath(folder))
