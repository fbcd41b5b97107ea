"""Publishing as a generator of store operations: yields what is asked of the store, receives what it answered.

At every instant, whatever runs beside it and wherever it is killed:

- I1  every link on every page resolves to bytes with the stated hash;
- I2  a wheel whose publish was reported as done is on its project's pages, and stays there;
- I3  a wheel's bytes never change: same name and bytes is a no-op, same name and other bytes is refused;
- I4  pages never go back to an older state;
- I5  rerunning a publish that died completes it, and rerunning one that finished changes nothing.

The order gives them: wheel (never over another) → metadata, record, log, attestations → the project's state by
compare-and-swap → its pages → the project's serial in the list by compare-and-swap → the list's page → the home page. A
project whose own serial is above the list's is unfinished, and so is a list whose home page is not what it renders to:
whoever meets one completes it.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from tasks.core.attestations import UnfitAttestation, check_provenance
from tasks.core.candidates import Candidate, Outcome, Result
from tasks.core.errors import Refused
from tasks.core.index import HOME_PATH, LIST_HTML_PATH, LIST_PATH, page_html_path, page_path, wheel_path
from tasks.core.projects import FOREIGN, Context, Project, Renderer, commit, foreign, list_of
from tasks.core.release_json import info_of
from tasks.core.storage import IF_ABSENT, Condition, IfMatch, Inspect, Kind
from tasks.core.swaps import data_of, get, put

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Sequence

    from packaging.utils import NormalizedName

    from tasks.core.index import ProjectPage
    from tasks.core.index_file import IndexFile
    from tasks.core.project_list import ProjectList
    from tasks.core.storage import Operation

__all__ = ["Context", "Renderer", "publish"]


def publish(
    candidates: Iterable[Candidate], context: Context, *, rebuild: Collection[NormalizedName] | None = None
) -> Generator[Operation, Any, tuple[Result, ...]]:
    """Put wheels on the index; return what became of each, sorted by file name.

    ``rebuild`` names projects that are made whole from what is stored, whether or not they look finished, and lets
    pages of other tools be replaced. Projects whose settings are not the policy's get those. No two candidates may have
    the same file name. Where nothing changes the requests are two, and one for each project, and nothing is written.

    Raises :class:`Refused` for an index of another tool, :class:`ServiceFailed` for a state that cannot be read.
    """
    home = yield from get(HOME_PATH)
    listing = yield from get(LIST_PATH)
    if listing is None and rebuild is None:
        listing, theirs = yield from foreign(LIST_PATH, LIST_HTML_PATH)
        if theirs:
            raise Refused(f"{LIST_HTML_PATH} {FOREIGN}")
    listed = list_of(data_of(listing))
    by_project = {name: tuple(group) for name, group in groupby(sorted(candidates, key=_order), lambda c: c.project)}
    results: list[Result] = []
    pages: list[ProjectPage] = []
    for name in sorted({*by_project, *(rebuild or ()), *_unsettled(listed, context)}):
        project = Project(name, context, listed.serial_of(name), rebuild is not None)
        page, outcomes = yield from _project(project, by_project.get(name, ()))
        results += outcomes
        pages += [page] if page else []
    yield from commit(listing, home, pages, context)
    return tuple(sorted(results, key=lambda result: result.filename))


def _unsettled(listed: ProjectList, context: Context) -> Iterator[NormalizedName]:
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
) -> Generator[Operation, Any, tuple[ProjectPage | None, list[Result]]]:
    """Bring one project's wheels, state and pages up to date; return its page, None where it has no state."""
    path, html_path = page_path(project.name), page_html_path(project.name)
    state = yield from get(path)
    if state is None and not project.rebuild:
        state, theirs = yield from foreign(path, html_path)
        if theirs:
            return None, [_result(candidate, Outcome.REFUSED, f"{html_path} {FOREIGN}") for candidate in candidates]
    read = project.page(data_of(state))
    page = read.set(project.settings(read))
    results: dict[str, Result] = {}
    entries: dict[str, tuple[IndexFile, Candidate]] = {}
    for candidate in candidates:
        results[candidate.filename], entry, stored = yield from _wheel(candidate, page, project.context)
        if entry:
            entries[candidate.filename] = (entry, stored)
    after, changed = yield from project.change(lambda now: _with(project, now, entries), state)
    if after is None:
        return None, list(results.values())
    for candidate in candidates:  # that is listed, unless somebody closed the project or changed a stored wheel
        found = after.file(candidate.filename)
        if results[candidate.filename].outcome is Outcome.PUBLISHED and found is None:
            results[candidate.filename] = _closed(candidate, after)
        elif results[candidate.filename].outcome is Outcome.PUBLISHED and found and found.sha256 != candidate.sha256:
            results[candidate.filename] = _other_bytes(candidate, found)
    settled = [Result(filename=path, outcome=Outcome.CHANGED)] if changed and read.settings != after.settings else []
    return after, [*results.values(), *settled]


def _with(project: Project, now: ProjectPage, entries: dict[str, tuple[IndexFile, Candidate]]) -> ProjectPage:
    """Return the page with its settings and the entries; to a project that was closed meanwhile none is added."""
    page = now.set(project.settings(now))
    fit = {name: pair for name, pair in entries.items() if page.file(name) or not page.settings.status.closed}
    made = page.merged(
        (entry for entry, _ in fit.values()), {name: info_of(w.metadata) for name, (_, w) in fit.items()}
    )
    return made if made.files or made.versions else now  # settings alone make no page


def _wheel(
    candidate: Candidate, page: ProjectPage, context: Context
) -> Generator[Operation, Any, tuple[Result, IndexFile | None, Candidate]]:
    """Put one wheel and what belongs to it, unless the page has it.

    Return its outcome, its entry on the page, and the wheel that the entry is of.
    """
    found = page.file(candidate.filename)
    if found is not None and found.sha256 != candidate.sha256:
        return _other_bytes(candidate, found), None, candidate
    if found is None and page.settings.status.closed:
        return _closed(candidate, page), None, candidate
    if found is not None and _complete(found, candidate) and candidate.source is not None:
        return _result(candidate, Outcome.UNCHANGED), None, candidate
    result = _result(candidate, Outcome.PUBLISHED if found is None else Outcome.UNCHANGED)
    path = wheel_path(candidate.filename)
    if found is None and candidate.source is not None:
        token = yield from put(path, candidate.source, Kind.WHEEL, IF_ABSENT, candidate.sha256)
        stored = candidate if token is not None else (yield Inspect(path))
        if not isinstance(stored, Candidate):
            note = f"{path} is in the index, listed nowhere, and not a whole wheel ({stored}): remove it by hand"
            return _result(candidate, Outcome.REFUSED, note), None, candidate
        if stored.sha256 != candidate.sha256:
            note = f"{path} was in the index already, listed nowhere, with other bytes: those were kept and listed"
            candidate, result = stored, _result(candidate, Outcome.ADOPTED, note)
    yield from _metadata(candidate)
    if candidate.record is not None:  # the first record of a wheel stands
        yield from put(f"records/{candidate.filename}.json", candidate.record, Kind.RECORD, IF_ABSENT)
    if candidate.log is not None:
        yield from put(f"logs/{candidate.filename}.txt.gz", candidate.log, Kind.LOG, IF_ABSENT)
    if candidate.provenance is not None:
        yield from _provenance(candidate, candidate.provenance)
    return result, candidate.entry(context.upload_time), candidate


def _complete(listed: IndexFile, candidate: Candidate) -> bool:
    """Whether the page knows all that the candidate has to say."""
    recipe = listed.recipe or not candidate.recipe
    return bool(listed.core_metadata and recipe and (listed.attested or candidate.provenance is None))


def _metadata(candidate: Candidate) -> Generator[Operation, Any, None]:
    """Put the wheel's metadata. They follow from the wheel's bytes, so other ones can only be wrong: replace those."""
    path = wheel_path(candidate.filename) + ".metadata"
    condition: Condition = IF_ABSENT
    while (yield from put(path, candidate.metadata, Kind.METADATA, condition)) is None:
        stored = yield from get(path)
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
    return Result(filename=candidate.filename, outcome=outcome, note=note)


def _other_bytes(candidate: Candidate, listed: IndexFile) -> Result:
    if candidate.source is None:
        note = f"{wheel_path(candidate.filename)} has not the bytes that its page states (sha256 {listed.sha256})"
        return _result(candidate, Outcome.INVALID, f"{note}: restore it from a backup")
    note = f"it is published with other bytes: sha256 {listed.sha256}, offered {candidate.sha256}"
    return _result(candidate, Outcome.REFUSED, f"{note}; raise its version or its build number")


def _closed(candidate: Candidate, page: ProjectPage) -> Result:
    note = f"{page.name} is {page.settings.status}, so that no new wheel of it is published (PEP 792)"
    return _result(candidate, Outcome.REFUSED, f"{note}; change its status in the matrix first")
