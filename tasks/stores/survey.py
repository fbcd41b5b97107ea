"""Looks through a whole index: what lies in ``packages/``, and which projects have pages."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, canonicalize_name

from tasks.core.attestations import UnfitAttestation, check_provenance
from tasks.core.candidates import Candidate, Outcome, Result
from tasks.core.errors import ServiceFailed
from tasks.core.index import ProjectPage, page_html_path, page_path, wheel_path
from tasks.core.provenance import UnfitRecord, recipe_of
from tasks.stores.driver import inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tasks.stores import Store

_BESIDE_WHEELS = (".whl.metadata", ".whl.provenance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What an index holds, whatever its pages say."""

    wheels: tuple[Candidate, ...]
    """Every readable wheel in ``packages/``."""
    projects: tuple[NormalizedName, ...]
    """Every project with a wheel or a state."""
    problems: tuple[Result, ...]
    """What could not be read, or belongs nowhere; all of it is left alone."""


def survey(store: Store, progress: Callable[[str], None]) -> Survey:
    """Read every wheel of an index and find its projects; ``progress`` is told each path before it is read."""
    stored = list(store.list("packages/"))
    wheels: list[Candidate] = []
    problems: list[Result] = []
    for path in stored:
        if path.endswith(_BESIDE_WHEELS):
            continue
        progress(path)
        filename = path.removeprefix("packages/")
        if "/" in filename:
            found: Candidate | str = "it does not lie directly in packages/"
        else:
            found = inspect(path, store) if filename.endswith(".whl") else "it is no wheel"
        if isinstance(found, Candidate):
            wheels.append(_with_what_is_beside(found, store))
        else:
            problems.append(_problem(filename, f"{path} cannot be listed as it is: {found}"))
    pages = [path for path in store.list("simple/") if path.count("/") == 2]  # noqa: PLR2004 simple/<project>/<file>
    names = {canonicalize_name(path.split("/")[1]) for path in pages if path.endswith("/index.json")}
    projects = tuple(sorted(names | {wheel.project for wheel in wheels}))
    problems += _lost(store, sorted(names), set(stored))
    problems += _foreign(pages, set(projects))
    return Survey(wheels=tuple(wheels), projects=projects, problems=tuple(problems))


def _with_what_is_beside(wheel: Candidate, store: Store) -> Candidate:
    record = store.get(f"records/{wheel.filename}.json")
    provenance = store.get(f"{wheel_path(wheel.filename)}.provenance")
    recipe = None
    with suppress(UnfitRecord):
        recipe = recipe_of(record.data, wheel.sha256) if record else None
    fit = None
    with suppress(UnfitAttestation):
        fit = check_provenance(provenance.data, wheel.filename, wheel.sha256) if provenance else None
    return wheel.beside(recipe=recipe, provenance=fit)


def _lost(store: Store, projects: list[NormalizedName], stored: set[str]) -> Iterator[Result]:
    for name in projects:
        state = store.get(page_path(name))
        try:
            files = ProjectPage.from_json(state.data, page_path(name)).files if state else ()
        except ServiceFailed as error:
            yield _problem(page_path(name), f"it was damaged and is made anew; what only it knew is lost ({error})")
            continue
        for file in files:
            if not file.url and wheel_path(file.filename) not in stored:
                yield _problem(file.filename, f"{page_path(name)} lists it, and packages/ has it not: restore it")


def _foreign(pages: list[str], projects: set[NormalizedName]) -> Iterator[Result]:
    for path in pages:
        name = canonicalize_name(path.split("/")[1])
        if name not in projects and path == page_html_path(name):
            yield _problem(
                path, f"{path} was written by another tool and nothing in packages/ is of {name}: left alone"
            )


def _problem(filename: str, note: str) -> Result:
    return Result(filename=filename, outcome=Outcome.INVALID, note=note)
