"""Yanking as a generator of store operations (PEP 592): files are marked on their pages, and the mark can be taken off.

It goes the way that publishing goes: compare-and-swap of each project's state, its pages, the list; so it may run
beside publishers and other yanks, and a rerun completes one that died.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING, Any

from tasks.core.candidates import Outcome, Result
from tasks.core.errors import BadInput
from tasks.core.index import page_path
from tasks.core.project_list import ListedProject
from tasks.core.projects import Project, commit, look
from tasks.core.swaps import data_of, get, together
from tasks.core.wheels import WheelName

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from tasks.core.index import ProjectPage
    from tasks.core.project_list import ProjectList
    from tasks.core.projects import Context
    from tasks.core.storage import Operation, Stored


def yank(
    wheels: Collection[str], reason: str | None, context: Context
) -> Generator[Operation, Any, tuple[Result, ...]]:
    """Yank wheels, by file name, for a reason that may be empty; with None unyank them. Return what became of each.

    Raises :class:`BadInput` if the index lists one of them not, with names that are near; then nothing is changed.
    """
    opening = yield from look()
    listed = opening.listed
    by_project, unknown = _by_project(wheels)
    states = yield from together(get(page_path(name)) for name in by_project)
    read: list[tuple[Project, Stored | None]] = []
    for (name, filenames), state in zip(by_project.items(), states, strict=True):
        project = Project(name, context, listed.serial_of(name))
        read.append((project, state))
        known = [file.filename for file in project.page(data_of(state)).files]
        unknown += [_unknown(filename, known, name, listed) for filename in filenames if filename not in known]
    if unknown:
        raise BadInput(*unknown)
    marked = yield from together(
        _mark(project, state, dict.fromkeys(by_project[project.name], reason)) for project, state in read
    )
    yield from commit(opening, [project for project, _ in marked if project], context)
    return tuple(sorted(chain.from_iterable(found for _, found in marked), key=lambda result: result.filename))


def _mark(
    project: Project, state: Stored | None, marks: Mapping[str, str | None]
) -> Generator[Operation, Any, tuple[ListedProject | None, list[Result]]]:
    results = list(_outcomes(project.page(data_of(state)), marks))
    page, _ = yield from project.change(lambda now: now.marked(marks), state)
    return (ListedProject.of(page) if page else None), results


def _outcomes(page: ProjectPage, marks: Mapping[str, str | None]) -> Iterator[Result]:
    for filename, reason in marks.items():
        file = page.file(filename)
        done = Outcome.UNYANKED if reason is None else Outcome.YANKED
        same = file is not None and file.yanked == reason
        yield Result(filename=filename, outcome=Outcome.UNCHANGED if same else done)


def _by_project(wheels: Iterable[str]) -> tuple[dict[NormalizedName, list[str]], list[str]]:
    """Return the file names by project, in order, and what is wrong with those that are no wheel's."""
    found: dict[NormalizedName, list[str]] = {}
    wrong: list[str] = []
    for filename in sorted(set(wheels)):
        try:
            found.setdefault(WheelName.parse(filename).name, []).append(filename)
        except ValueError:
            wrong.append(f"{filename} is no wheel's file name, expected one as the index lists it (PEP 427)")
    return dict(sorted(found.items())), wrong


def _unknown(filename: str, known: Sequence[str], project: str, listed: ProjectList) -> str:
    projects = [each.name for each in listed.projects]
    near = get_close_matches(filename, known, n=3, cutoff=0.5) or get_close_matches(project, projects, n=3)
    of = "" if known else f", nor any wheel of {project}"
    return f"the index does not list {filename}{of}{'; did you mean ' + ', '.join(near) + '?' if near else ''}"
