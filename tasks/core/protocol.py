"""Publishing as a generator of store operations: yields what is asked of the store, receives what it answered.

At every instant, whatever runs beside it and wherever it is killed:

- I1  every link on every page resolves to bytes with the stated hash;
- I2  a wheel whose publish was reported as done is on its project's pages, and stays there;
- I3  a wheel's bytes never change: same name and bytes is a no-op, same name and other bytes is refused;
- I4  pages never go back to an older state;
- I5  rerunning a publish that died completes it, and rerunning one that finished changes nothing.

The order gives them: wheel (never over another) → metadata, record, log, attestations → the project's state by
compare-and-swap → its pages → the project's serial in the list by compare-and-swap → the list's pages → the home page.
A project whose own serial is above the list's is unfinished, and so is a list whose home page is not what it renders
to: whoever meets one completes it. Within a step, wheels, projects and pages go side by side: no order among them
matters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from tasks.core.attestations import UnfitAttestation, check_provenance
from tasks.core.candidates import Candidate, Outcome, Result
from tasks.core.errors import Refused, Unreadable
from tasks.core.index import HOME_PATH, LIST_HTML_PATH, LIST_PATH, page_html_path, page_path, wheel_path
from tasks.core.project_list import ListedProject
from tasks.core.projects import FOREIGN, Context, Opening, Project, Renderer, commit, foreign, look
from tasks.core.release_json import info_of
from tasks.core.storage import IF_ABSENT, Condition, IfMatch, Inspect, Kind
from tasks.core.swaps import data_of, get, get_or_reason, put, together

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Sequence

    from packaging.utils import NormalizedName

    from tasks.core.index import ProjectPage
    from tasks.core.index_file import IndexFile
    from tasks.core.project_list import ProjectList
    from tasks.core.storage import Operation, Stored

__all__ = ["Context", "Opening", "Renderer", "Settled", "bring_up", "look", "publish", "spoiled", "unsettled"]


@dataclass(frozen=True, slots=True)
class Settled:
    """A wheel of which is known what becomes of it, once its project's state is written."""

    result: Result
    offered: Candidate
    stored: Candidate
    """The wheel that the index has under the name: the offered one, or another one that was there before."""
    entry: IndexFile | None = None
    """What the page is to list; None where there is nothing to add."""


def publish(
    candidates: Iterable[Candidate], context: Context, *, opening: Opening | None = None
) -> Generator[Operation, Any, tuple[Result, ...]]:
    """Put wheels on the index; return what became of each, sorted by file name.

    Projects whose settings are not the policy's get those. No two candidates may have the same file name. Where nothing
    changes the requests are two, and one for each project, and nothing is written; the two are not made where the
    ``opening`` is given.

    Raises :class:`Refused` for an index of another tool, :class:`ServiceFailed` for a state that cannot be read.
    """
    if opening is None:
        opening = yield from look()
    by_project = {name: tuple(group) for name, group in groupby(sorted(candidates, key=_order), lambda c: c.project)}
    if opening.listing is None and by_project:
        shown = LIST_HTML_PATH if opening.home is None else HOME_PATH
        listing, theirs = yield from foreign(LIST_PATH, shown)
        if theirs:
            raise Refused(f"{shown} {FOREIGN}")
        opening = replace(opening, listing=listing)
    listed = opening.listed
    serials = {project.name: project.serial for project in listed.projects}
    names = sorted({*by_project, *unsettled(listed, context)})
    done = yield from together(
        _project(Project(name, context, serials.get(name, 0)), by_project.get(name, ())) for name in names
    )
    yield from commit(opening, [project for project, _ in done if project], context)
    return tuple(sorted(chain.from_iterable(results for _, results in done), key=lambda result: result.filename))


def unsettled(listed: ProjectList, context: Context) -> Iterator[NormalizedName]:
    """Yield the projects of the list that the policy names and that have other settings."""
    policy = context.policy
    for project in listed.projects:
        settings = policy.of(project.name) if policy else None
        if settings is not None and settings.digest != project.settings:
            yield project.name


def _order(candidate: Candidate) -> tuple[str, str]:
    return candidate.project, candidate.filename


def _project(
    project: Project, candidates: Sequence[Candidate]
) -> Generator[Operation, Any, tuple[ListedProject | None, list[Result]]]:
    """Bring one project up to date, unless it is another tool's; return how it is listed, None where it is not."""
    path, html_path = page_path(project.name), page_html_path(project.name)
    state = yield from get(path)
    if state is None:
        state, theirs = yield from foreign(path, html_path)
        if theirs:
            return None, [_result(candidate, Outcome.REFUSED, f"{html_path} {FOREIGN}") for candidate in candidates]
    results: list[Result] = []
    listed = yield from bring_up(project, candidates, state, results)
    return listed, results


def bring_up(
    project: Project,
    candidates: Sequence[Candidate],
    state: Stored | None,
    results: list[Result],
    *,
    removed: Collection[str] = (),
    derived: bool = True,
) -> Generator[Operation, Any, ListedProject | None]:
    """Bring one project's wheels, state and pages up to date; return how it is listed, None where it has no state.

    ``state`` is what was read of it; ``results`` gets what becomes of each wheel. Of files that are ``removed`` the
    yanked ones are taken off the page. Without ``derived`` its pages are left for a later time. Raises
    :class:`Unreadable` of a page that cannot be read: then no wheel is done, and what is wrong with some is told.
    """
    read = project.page(data_of(state))
    page = read.set(project.settings(read))
    files = {file.filename: file for file in page.files}
    settled = yield from together(
        _wheel(candidate, files.get(candidate.filename), page, project.context) for candidate in candidates
    )
    try:
        after, changed = yield from project.change(
            lambda now: _with(project, now, settled, removed), state, derived=derived
        )
    except Unreadable:
        results += [one.result for one in settled if one.result.outcome in {Outcome.REFUSED, Outcome.INVALID}]
        raise
    if after is None:
        results += [one.result for one in settled]
        return None
    listed, files = ListedProject.of(after), {file.filename: file for file in after.files}
    results += [_final(one, after, files.get(one.offered.filename), listed) for one in settled]
    gone = sorted(set(removed) - files.keys())
    results += [Result(filename=filename, outcome=Outcome.REMOVED) for filename in gone]
    if changed and read.settings != after.settings:
        results.append(Result(filename=page_path(project.name), outcome=Outcome.CHANGED))
    return listed


def _with(project: Project, now: ProjectPage, settled: Iterable[Settled], removed: Collection[str]) -> ProjectPage:
    """Return the page with its settings and the entries; to a project that was closed meanwhile none is added."""
    page = now.set(project.settings(now))
    page = page.without({file.filename for file in page.files if file.filename in removed and file.yanked is not None})
    closed, names = page.settings.status.closed, {file.filename for file in page.files}
    fit = [(one.entry, one.stored) for one in settled if one.entry and (one.entry.filename in names or not closed)]
    made = page.merged((entry for entry, _ in fit), {wheel.filename: info_of(wheel.metadata) for _, wheel in fit})
    return made if made.files or made.versions else now  # settings alone make no page


def _final(one: Settled, page: ProjectPage, found: IndexFile | None, listed: ListedProject) -> Result:
    """Return a wheel's result, which its page may have changed: somebody closed the project, or was there first."""
    outcome = one.result.outcome
    if outcome is Outcome.PUBLISHED and found is None:
        return _closed(one.offered, page)
    if outcome is Outcome.PUBLISHED and found and found.sha256 != one.offered.sha256:
        return _other_bytes(one.offered, found)
    return replace(one.result, listed=listed)


def _wheel(
    candidate: Candidate, found: IndexFile | None, page: ProjectPage, context: Context
) -> Generator[Operation, Any, Settled]:
    """Put one wheel and what belongs to it, unless the page lists it, as ``found``."""

    def settled(result: Result) -> Settled:
        return Settled(result, candidate, candidate)

    if found is not None and found.sha256 != candidate.sha256:
        return settled(_other_bytes(candidate, found))
    if found is None and page.settings.status.closed:
        return settled(_closed(candidate, page))
    if found is not None and _complete(found, candidate) and candidate.source is not None:
        return settled(_result(candidate, Outcome.UNCHANGED))
    result, stored = _result(candidate, Outcome.PUBLISHED if found is None else Outcome.UNCHANGED), candidate
    path = wheel_path(candidate.filename)
    if found is None and candidate.source is not None:
        token = yield from put(path, candidate.source, Kind.WHEEL, IF_ABSENT, candidate.sha256)
        there = candidate if token is not None else (yield Inspect(path))
        if not isinstance(there, Candidate):
            note = f"{path} is in the index, listed nowhere, and not a whole wheel ({there}): remove it by hand"
            return settled(_result(candidate, Outcome.REFUSED, note))
        if there.sha256 != candidate.sha256:
            note = f"{path} was in the index already, listed nowhere, with other bytes: those were kept and listed"
            result, stored = _result(candidate, Outcome.ADOPTED, note), there
    yield from together(_beside(stored))
    return Settled(result, candidate, stored, stored.entry(context.upload_time))


def _beside(wheel: Candidate) -> Iterator[Generator[Operation, Any, Any]]:
    """Yield what puts the wheel's metadata, and its record, log and attestations, where it has some."""
    yield _metadata(wheel)
    if wheel.record is not None:  # the first record of a wheel stands
        yield put(f"records/{wheel.filename}.json", wheel.record, Kind.RECORD, IF_ABSENT)
    if wheel.log is not None:
        yield put(f"logs/{wheel.filename}.txt.gz", wheel.log, Kind.LOG, IF_ABSENT)
    if wheel.provenance is not None:
        yield _provenance(wheel, wheel.provenance)


def _complete(listed: IndexFile, candidate: Candidate) -> bool:
    """Whether the page knows all that the candidate has to say."""
    recipe = listed.recipe or not candidate.recipe
    return bool(listed.core_metadata and recipe and (listed.attested or candidate.provenance is None))


def _metadata(candidate: Candidate) -> Generator[Operation, Any, None]:
    """Put the wheel's metadata. They follow from the wheel's bytes, so other ones can only be wrong: replace those."""
    path = wheel_path(candidate.filename) + ".metadata"
    condition: Condition = IF_ABSENT
    while (yield from put(path, candidate.metadata, Kind.METADATA, condition)) is None:
        stored = yield from get_or_reason(path)
        if isinstance(stored, str):  # nor can an installer read it
            condition = None
            continue
        if stored is not None and stored.data == candidate.metadata:
            return
        condition = IF_ABSENT if stored is None else IfMatch(stored.token)


def _provenance(candidate: Candidate, provenance: bytes) -> Generator[Operation, Any, None]:
    """Put the wheel's attestations. Those that are there already stand, unless they are of something else."""
    path = wheel_path(candidate.filename) + ".provenance"
    condition: Condition = IF_ABSENT
    while (yield from put(path, provenance, Kind.PROVENANCE, condition)) is None:
        stored = yield from get(path)
        if stored is not None:
            try:
                check_provenance(stored.data, candidate.filename, candidate.sha256)
            except UnfitAttestation:
                condition = IfMatch(stored.token)
            else:
                return


def _result(candidate: Candidate, outcome: Outcome, note: str = "") -> Result:
    return Result(filename=candidate.filename, outcome=outcome, note=note or candidate.note)


def _other_bytes(candidate: Candidate, listed: IndexFile) -> Result:
    if candidate.source is None:
        return _result(candidate, Outcome.INVALID, spoiled(candidate.filename, listed.sha256))
    note = f"it is published with other bytes: sha256 {listed.sha256}, offered {candidate.sha256}"
    return _result(candidate, Outcome.REFUSED, f"{note}; raise its version or its build number")


def spoiled(filename: str, sha256: str) -> str:
    """Return what is said of a stored wheel that is not the one its page lists."""
    return f"{wheel_path(filename)} has not the bytes that its page states (sha256 {sha256}): restore it from a backup"


def _closed(candidate: Candidate, page: ProjectPage) -> Result:
    note = f"{page.name} is {page.settings.status}, so that no new wheel of it is published (PEP 792)"
    return _result(candidate, Outcome.REFUSED, f"{note}; change its status in the matrix first")
