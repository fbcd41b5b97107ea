"""Makes an index whole from what lies in its ``packages/``: a generator of store operations, as publishing is.

It is restartable because it remembers nothing itself: a wheel that its project's state lists with the size and the
checksum that the store has for it is not read again. States are written as wheels are read, and the list of projects
last of all: until then an index that had none is planned for by what lies in ``packages/``.

Another tool's page is replaced only when no link is lost by that: when all that it links to is listed then, or is not
there any more.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urljoin

from tasks.core.attestations import UnfitAttestation, check_provenance
from tasks.core.candidates import Candidate, Outcome, Result
from tasks.core.errors import ServiceFailed, Unreadable
from tasks.core.index import ProjectPage, page_html_path, page_path, wheel_path
from tasks.core.projects import Project, commit, look
from tasks.core.protocol import bring_up, spoiled, unsettled
from tasks.core.provenance import UnfitRecord, recipe_of
from tasks.core.simple_page import linked_files
from tasks.core.stock import unlisted
from tasks.core.storage import Inspect, Look, Stored
from tasks.core.swaps import get, get_or_reason, together

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator, Iterator, Sequence

    from packaging.utils import NormalizedName

    from tasks.core.index_file import IndexFile
    from tasks.core.project_list import ListedProject
    from tasks.core.projects import Context
    from tasks.core.stock import Stock
    from tasks.core.storage import Operation

T = TypeVar("T")

BATCH = 64
"""Wheels of one project that are read before its state says so: at most so many are read again."""

_UNLISTED = "; meanwhile our list of projects does not name it"
"""Said of a project whose page is left alone: the list replaces another tool's as soon as it has a project."""


def rebuild(
    stock: Stock, context: Context, seen: Callable[[str], None] = lambda _: None
) -> Generator[Operation, Any, tuple[Result, ...]]:
    """Make every project of an index whole; return what became of each wheel, and what is wrong, sorted.

    ``seen`` is told each wheel when it has been looked at. Raises :class:`ServiceFailed` for a list of projects that
    cannot be read; of a damaged state it says so, and makes it anew.
    """
    opening = yield from look()
    listed = opening.listed
    serials = {project.name: project.serial for project in listed.projects}
    names = sorted({*stock.wheels, *stock.states, *unsettled(listed, context)})
    unread: list[NormalizedName] = []
    done = yield from together(
        _project(Project(name, context, serials.get(name, 0), rebuild=True), stock, seen, unread) for name in names
    )
    if opening.listing is not None or not unread:  # without a list all in packages/ counts, what is not read, too
        first = opening.home is not None and not stock.foreign  # a website alone: it was told to make way
        yield from commit(opening, [project for project, _ in done if project], context, first=first)
    left = (_left_alone(name) for name in sorted(stock.foreign - set(names)))
    results = chain(stock.problems, left, *(results for _, results in done))
    return tuple(sorted(results, key=lambda result: (result.filename, result.note)))


def _project(
    project: Project, stock: Stock, seen: Callable[[str], None], unread: list[NormalizedName]
) -> Generator[Operation, Any, tuple[ListedProject | None, list[Result]]]:
    """Bring one project up to what lies in ``packages/``, as far as its state and pages can be read."""
    results: list[Result] = []
    try:
        listed = yield from _batch_by_batch(project, stock, seen, results)
    except Unreadable as error:
        unread.append(project.name)
        note = f"{project.name} cannot be made whole: {error}"
        return None, [*results, Result(filename=page_path(project.name), outcome=Outcome.INVALID, note=note)]
    return listed, results


def _batch_by_batch(
    project: Project, stock: Stock, seen: Callable[[str], None], results: list[Result]
) -> Generator[Operation, Any, ListedProject | None]:
    """Bring one project up to what lies in ``packages/``, a batch after the other; return how it is listed."""
    state = yield from get(page_path(project.name))
    page = _sound(project, state, results)
    files = {file.filename: file for file in page.files}
    removed = yield from _missing(page, stock, results)
    theirs = state is None and project.name in stock.foreign
    for batch, last in _batches(stock.wheels.get(project.name, ()), whole=theirs):
        found = yield from together(
            _told(_wheel(name, files.get(name), page, project.context, stock), name, seen) for name in batch
        )
        results += [one for one in found if isinstance(one, Result)]
        candidates = [one for one in found if isinstance(one, Candidate)]
        names = {one.filename for one in candidates}
        if theirs and (yield from _keeps_foreign(project, stock, names, results)):
            return None
        if not candidates and not last:
            continue
        gone = removed if last else ()
        listed = yield from bring_up(project, candidates, state, results, removed=gone, derived=last)
        if last:
            return listed
        state = yield from get(page_path(project.name))
    raise AssertionError("the last batch is the last")


def _batches(wheels: Sequence[str], *, whole: bool) -> Iterator[tuple[Sequence[str], bool]]:
    """Yield a project's wheels in batches, at least one, and whether it is the last.

    A project of which another tool's page is to be replaced is one: its page must not lose links for a time.
    """
    size = BATCH if not whole else max(len(wheels), 1)
    for start in range(0, max(len(wheels), 1), size):
        yield wheels[start : start + size], start + size >= len(wheels)


def _told(
    steps: Generator[Operation, Any, T], filename: str, seen: Callable[[str], None]
) -> Generator[Operation, Any, T]:
    result = yield from steps
    seen(filename)
    return result


def _sound(project: Project, state: Stored | None, results: list[Result]) -> ProjectPage:
    """Return a project's page, an empty one where it is damaged."""
    path = page_path(project.name)
    try:
        return ProjectPage.from_json(state.data, path) if state else project.page(None)
    except ServiceFailed as error:
        note = f"it was damaged and is made anew; what only it knew is lost ({error})"
        results.append(Result(filename=path, outcome=Outcome.INVALID, note=note))
        return project.page(None)


def _missing(page: ProjectPage, stock: Stock, results: list[Result]) -> Generator[Operation, Any, set[str]]:
    """Return of the files that a page lists and ``packages/`` has not those to remove from it; tell of those lost.

    One that was yanked before it was taken away is to be removed; any other is a loss, unless it is there after all:
    put since ``packages/`` was listed.
    """
    there = set(stock.wheels.get(page.name, ()))
    removed = set()
    for file in page.files:
        if file.url or file.filename in there or (yield Look(wheel_path(file.filename))) is not None:
            continue
        if file.yanked is not None:
            removed.add(file.filename)
        else:
            results.append(_lost(page_path(page.name), file.filename))
    return removed


def _wheel(
    filename: str, listed: IndexFile | None, page: ProjectPage, context: Context, stock: Stock
) -> Generator[Operation, Any, Candidate | Result]:
    """Return a wheel that its page is to be told of, or what became of it: often, that the page knows it already."""
    path = wheel_path(filename)
    head = yield Look(path)
    if head is None or isinstance(head, str):
        return unlisted(filename, head or "it is gone")
    if listed and (listed.size not in {None, head.size} or head.sha256 not in {None, listed.sha256}):
        return Result(filename=filename, outcome=Outcome.INVALID, note=spoiled(filename, listed.sha256))
    known = (yield from _known(page, listed, stock)) if listed and listed.size else None
    found = known or (yield Inspect(path, head.sha256))
    if isinstance(found, str):
        return unlisted(filename, found)
    found = yield from _with_what_is_beside(found, listed, stock)
    if known and listed and listed.filled_in(found.entry(context.upload_time)) == listed:
        return Result(filename=filename, outcome=Outcome.UNCHANGED, note=found.note)
    return found


def _known(page: ProjectPage, listed: IndexFile, stock: Stock) -> Generator[Operation, Any, Candidate | None]:
    """Return what reading a wheel of the bytes that the page states would tell; None where it has to be read."""
    path = f"{wheel_path(listed.filename)}.metadata"
    release = page.releases.get(str(listed.version))
    if path not in stock.beside or release is None or not release.source:
        return None
    metadata = yield from get_or_reason(path)
    if not isinstance(metadata, Stored) or hashlib.sha256(metadata.data).hexdigest() != listed.core_metadata:
        return None
    return Candidate(
        filename=listed.filename,
        project=page.name,
        sha256=listed.sha256,
        size=listed.size or 0,
        metadata=metadata.data,
        source=None,
    )


def _with_what_is_beside(
    wheel: Candidate, listed: IndexFile | None, stock: Stock
) -> Generator[Operation, Any, Candidate]:
    """Return a wheel with the recipe key and the attestations that it has in the index and its page does not know.

    What cannot be read is said, and the wheel goes without.
    """
    record_path, provenance_path = f"records/{wheel.filename}.json", f"{wheel_path(wheel.filename)}.provenance"
    record = stored = recipe = provenance = None
    if record_path in stock.beside and not (listed and listed.recipe):
        record = yield from get_or_reason(record_path)
        with suppress(UnfitRecord):
            recipe = recipe_of(record.data, wheel.sha256) if isinstance(record, Stored) else None
    if provenance_path in stock.beside and not (listed and listed.attested):
        stored = yield from get_or_reason(provenance_path)
        with suppress(UnfitAttestation):
            provenance = (
                check_provenance(stored.data, wheel.filename, wheel.sha256) if isinstance(stored, Stored) else None
            )
    note = "; ".join(one for one in (record, stored) if isinstance(one, str))
    return wheel.beside(recipe=recipe, provenance=provenance, note=note and f"what is beside it was left out: {note}")


def _keeps_foreign(
    project: Project, stock: Stock, listed: Container[str], results: list[Result]
) -> Generator[Operation, Any, bool]:
    """Look at the links of another tool's page; tell what is wrong with them, return whether the page has to stay."""
    path = page_html_path(project.name)
    shown = yield from get(path)
    kept = False
    for url, filename in linked_files(shown.data if shown else b""):
        if filename in listed:
            continue
        if urljoin(f"/{path}", url) == f"/{wheel_path(quote(filename))}" and not stock.has(filename):
            results.append(_lost(path, filename))
            continue
        kept = True
        note = f"{path} was written by another tool and links to {url}, which our page could not list: left alone"
        advice = f"move that file to packages/ as a whole wheel, or take the link out, and rebuild again{_UNLISTED}"
        results.append(Result(filename=path, outcome=Outcome.INVALID, note=f"{note}; {advice}"))
    return kept


def _lost(path: str, filename: str) -> Result:
    note = f"{path} lists it, and packages/ has it not: restore it"
    return Result(filename=filename, outcome=Outcome.INVALID, note=note)


def _left_alone(name: NormalizedName) -> Result:
    path = page_html_path(name)
    note = f"{path} was written by another tool and nothing in packages/ is of {name}: left alone{_UNLISTED}"
    return Result(filename=path, outcome=Outcome.INVALID, note=note)
