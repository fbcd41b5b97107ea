"""What lies in an index by the names of its objects alone, whatever its pages say."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from packaging.utils import canonicalize_name

from tasks.core.candidates import Outcome, Result
from tasks.core.index import page_html_path, page_path
from tasks.core.wheels import WheelName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

FOLDERS = ("packages/", "records/", "simple/")
"""Where what counts lies."""
_PACKAGES = "packages/"
_BESIDE_WHEELS = (".whl.metadata", ".whl.provenance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """The names in an index; a name alone costs little, so that all of a large index's fit into memory."""

    wheels: Mapping[NormalizedName, tuple[str, ...]]
    """By project, the file names that wheels may have."""
    beside: frozenset[str]
    """The paths of what lies beside wheels: metadata, attestations, records."""
    states: frozenset[NormalizedName]
    """The projects that have a state."""
    foreign: frozenset[NormalizedName]
    """The projects that have an HTML page and no state: another tool's."""
    problems: tuple[Result, ...]
    """What belongs nowhere; it is left alone."""

    @classmethod
    def of(cls, paths: Iterable[str]) -> Self:
        """Sort the paths in :data:`FOLDERS`, in any order."""
        wheels: dict[NormalizedName, list[str]] = defaultdict(list)
        beside: set[str] = set()
        pages: set[str] = set()
        problems: list[Result] = []
        for path in paths:
            if not path.startswith(_PACKAGES):
                (pages if path.startswith("simple/") else beside).add(path)
            elif path.endswith(_BESIDE_WHEELS):
                beside.add(path)
            else:
                filename = path.removeprefix(_PACKAGES)
                try:
                    wheels[_project_of(filename)].append(filename)
                except ValueError as error:
                    problems.append(unlisted(filename, str(error)))
        names = {canonicalize_name(path.split("/")[1]) for path in pages if path.count("/") == 2}  # noqa: PLR2004 simple/<project>/<file>
        states = frozenset(name for name in names if page_path(name) in pages)
        return cls(
            wheels={name: tuple(sorted(wheels[name])) for name in sorted(wheels)},
            beside=frozenset(beside),
            states=states,
            foreign=frozenset(name for name in names - states if page_html_path(name) in pages),
            problems=tuple(problems),
        )

    def has(self, filename: str) -> bool:
        """Whether a file is in ``packages/``, a wheel or not."""
        try:
            return filename in self.wheels.get(_project_of(filename), ())
        except ValueError:
            return any(problem.filename == filename for problem in self.problems)


def unlisted(filename: str, reason: str) -> Result:
    """Return the result for a file in ``packages/`` that cannot be listed."""
    return Result(
        filename=filename,
        outcome=Outcome.INVALID,
        note=f"{_PACKAGES}{filename} cannot be listed as it is: {reason}",
    )


def _project_of(filename: str) -> NormalizedName:
    if "/" in filename:
        raise ValueError("it does not lie directly in packages/")
    if not filename.endswith(".whl"):
        raise ValueError("it is no wheel")
    return WheelName.parse(filename).name
