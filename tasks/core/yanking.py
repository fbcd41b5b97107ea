"""Yanking as a generator of store operations (PEP 592): files are marked on their pages, and the mark can be taken off.

It goes the way that publishing goes: compare-and-swap of each project's state, its pages, the list; so it may run
beside publishers and other yanks, and a rerun completes one that died.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tasks.core.candidates import Outcome, Result
from tasks.core.errors import BadInput
from tasks.core.index import HOME_PATH, LIST_PATH, page_path
from tasks.core.projects import Project, commit, list_of
from tasks.core.swaps import data_of, get
from tasks.core.wheels import WheelName

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence

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
    home = yield from get(HOME_PATH)
    listing = yield from get(LIST_PATH)
    listed = list_of(data_of(listing))
    by_project, unknown = _by_project(wheels)
    read: list[tuple[Project, Stored | None]] = []
    for name, filenames in by_project.items():
        project = Project(name, context, listed.serial_of(name))
        state = yield from get(page_path(name))
        read.append((project, state))
        known = [file.filename for file in project.page(data_of(state)).files]
        unknown += [_unknown(filename, known, name, listed) for filename in filenames if filename not in known]
    if unknown:
        raise BadInput(*unknown)
    results: list[Result] = []
    pages: list[ProjectPage] = []
    for project, state in read:
        marks = dict.fromkeys(by_project[project.name], reason)
        results += _outcomes(project.page(data_of(state)), marks)
        page, _ = yield from project.change(_marking(marks), state)
        pages += [page] if page else []
    yield from commit(listing, home, pages, context)
    return tuple(sorted(results, key=lambda result: result.filename))


def _marking(marks: Mapping[str, str | None]) -> Callable[[ProjectPage], ProjectPage]:
    return lambda page: page.marked(marks)


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
