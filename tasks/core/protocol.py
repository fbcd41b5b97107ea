"""Publishing as a generator of store operations: yields what is asked of the store, receives what it answered.

At every instant, whatever runs beside it and wherever it is killed:

- I1  every link on every page resolves to bytes with the stated hash;
- I2  a wheel whose publish was reported as done is on its project's pages, and stays there;
- I3  a wheel's bytes never change: same name and bytes is a no-op, same name and other bytes is refused;
- I4  pages never go back to an older state;
- I5  rerunning a publish that died completes it, and rerunning one that finished changes nothing.

The order gives them: wheel (never over another) → metadata, record, log → the project's state by compare-and-swap →
its page → the project's serial in the list by compare-and-swap → the list's page → the home page. A project whose own
serial is above the list's is unfinished, and so is a list whose home page is not what it renders to: whoever meets one
completes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from tasks.core.candidates import Candidate, Outcome, Result
from tasks.core.errors import Refused, ServiceFailed
from tasks.core.index import (
    HOME_PATH,
    LIST_HTML_PATH,
    LIST_PATH,
    IndexFile,
    ProjectList,
    ProjectPage,
    page_html_path,
    page_path,
    wheel_path,
)
from tasks.core.storage import IF_ABSENT, Changed, Condition, Get, IfMatch, Inspect, Kind, Operation, Put, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Sequence
    from pathlib import Path

    from packaging.utils import NormalizedName

State = bytes | None

_FOREIGN = "was written by another tool, and its links would be lost: run publish -- --rebuild first"


class Renderer(Protocol):
    """What is derived from the states: equal states give equal bytes, and other serials other ones."""

    def project(self, page: ProjectPage) -> bytes:
        """Render a project's PEP 503 page."""
        ...

    def projects(self, listed: ProjectList) -> bytes:
        """Render the PEP 503 list of projects."""
        ...

    def home(self, listed: ProjectList) -> bytes:
        """Render the page for people."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What publishing needs besides the wheels: all of it values and pure functions."""

    render: Renderer
    token_of: Callable[[bytes], str | None]
    """The store's token for an object of these bytes; None where only the store knows."""
    upload_time: str
    """What a file that is new on the index gets (PEP 700)."""


def publish(
    candidates: Iterable[Candidate], context: Context, *, rebuild: Collection[NormalizedName] | None = None
) -> Generator[Operation, Any, tuple[Result, ...]]:
    """Put wheels on the index; return what became of each, sorted by file name.

    ``rebuild`` names projects that are made whole from what is stored, whether or not they look finished, and lets
    pages of other tools be replaced. No two candidates may have the same file name. Where nothing changes the requests
    are two, and one for each project, and nothing is written.

    Raises :class:`Refused` for an index of another tool, :class:`ServiceFailed` for a state that cannot be read.
    """
    home = yield from _get(HOME_PATH)
    listing = yield from _get(LIST_PATH)
    if listing is None and rebuild is None:
        listing, foreign = yield from _foreign(LIST_PATH, LIST_HTML_PATH)
        if foreign:
            raise Refused(f"{LIST_HTML_PATH} {_FOREIGN}")
    listed = _list_of(_data(listing))
    by_project = {name: tuple(group) for name, group in groupby(sorted(candidates, key=_order), lambda c: c.project)}
    results: list[Result] = []
    pages: list[ProjectPage] = []
    for name in sorted({*by_project, *(rebuild or ())}):
        project = _Project(name, context, listed.serial_of(name), rebuild is not None)
        page, outcomes = yield from _project(project, by_project.get(name, ()))
        results += outcomes
        pages += [page] if page else []
    yield from _list(listing, home, pages, context)
    return tuple(sorted(results, key=lambda result: result.filename))


def _order(candidate: Candidate) -> tuple[str, str]:
    return candidate.project, candidate.filename


@dataclass(frozen=True, slots=True)
class _Project:
    """A project while it is published."""

    name: NormalizedName
    context: Context
    complete_serial: int
    """The serial that the list has for it: its pages are known to be up to that."""
    rebuild: bool

    def page(self, state: State) -> ProjectPage:
        """Return the state as a page; where there is none, an empty one that goes on from the list's serial."""
        if state is None:
            return ProjectPage(name=self.name, serial=self.complete_serial)
        try:
            return replace(ProjectPage.from_json(state, page_path(self.name)), name=self.name)
        except ServiceFailed:
            if not self.rebuild:
                raise
            return ProjectPage(name=self.name, serial=self.complete_serial)  # damaged: it is what is rebuilt

    def html(self, state: bytes) -> bytes:
        """Render the state."""
        return self.context.render.project(self.page(state))


def _project(
    project: _Project, candidates: Sequence[Candidate]
) -> Generator[Operation, Any, tuple[ProjectPage | None, list[Result]]]:
    """Bring one project's wheels, state and page up to date; return its page, None where it has no state."""
    path, html_path = page_path(project.name), page_html_path(project.name)
    state = yield from _get(path)
    if state is None and not project.rebuild:
        state, foreign = yield from _foreign(path, html_path)
        if foreign:
            return None, [_result(candidate, Outcome.REFUSED, f"{html_path} {_FOREIGN}") for candidate in candidates]
    page = project.page(_data(state))
    results: dict[str, Result] = {}
    entries: list[IndexFile] = []
    for candidate in candidates:
        entry, results[candidate.filename] = yield from _wheel(candidate, page, project.context)
        entries += [entry] if entry else []

    def change(state: State) -> ProjectPage | None:
        now = project.page(state)
        merged = now.merged(entries)
        return None if merged is now else merged

    before, after = yield from _swap(path, change, state)
    if after is None:
        return None, list(results.values())
    page = project.page(after)
    for candidate in candidates:  # equal, unless somebody changed a stored wheel behind our back
        found = page.file(candidate.filename)
        published = results[candidate.filename].outcome is Outcome.PUBLISHED
        if published and found is not None and found.sha256 != candidate.sha256:
            results[candidate.filename] = _other_bytes(candidate, found)
    if before != after or page.serial > project.complete_serial or project.rebuild:
        yield from _derive(_Derived(html_path, path, project.html, project.context.token_of), before, after)
    return page, list(results.values())


def _foreign(path: str, html_path: str) -> Generator[Operation, Any, tuple[Stored | None, bool]]:
    """Look again where there was no state: return the state there is by now, and whether another tool's page is there.

    We never write a page before its state, so a page without one is not ours; its links would be lost to our page.
    """
    if (yield from _get(html_path)) is None:
        return None, False
    state = yield from _get(path)
    return state, state is None


def _wheel(
    candidate: Candidate, page: ProjectPage, context: Context
) -> Generator[Operation, Any, tuple[IndexFile | None, Result]]:
    """Put one wheel and what belongs to it, unless the page has it; return its entry on the page and its outcome."""
    found = page.file(candidate.filename)
    if found is not None and found.sha256 != candidate.sha256:
        return None, _other_bytes(candidate, found)
    complete = found is not None and found.core_metadata and (found.recipe or not candidate.recipe)
    if complete and candidate.source is not None:
        return None, _result(candidate, Outcome.UNCHANGED)
    result = _result(candidate, Outcome.PUBLISHED if found is None else Outcome.UNCHANGED)
    path = wheel_path(candidate.filename)
    if found is None and candidate.source is not None:
        put = yield from _put(path, candidate.source, Kind.WHEEL, IF_ABSENT, candidate.sha256)
        stored = candidate if put is not None else (yield Inspect(path))
        if not isinstance(stored, Candidate):
            note = f"{path} is in the index, listed nowhere, and not a whole wheel ({stored}): remove it by hand"
            return None, _result(candidate, Outcome.REFUSED, note)
        if stored.sha256 != candidate.sha256:
            note = f"{path} was in the index already, listed nowhere, with other bytes: those were kept and listed"
            candidate, result = stored, _result(candidate, Outcome.ADOPTED, note)
    yield from _metadata(candidate)
    if candidate.record is not None:  # the first record of a wheel stands
        yield from _put(f"records/{candidate.filename}.json", candidate.record, Kind.RECORD, IF_ABSENT)
    if candidate.log is not None:
        yield from _put(f"logs/{candidate.filename}.txt.gz", candidate.log, Kind.LOG, IF_ABSENT)
    return candidate.entry(context.upload_time), result


def _metadata(candidate: Candidate) -> Generator[Operation, Any, None]:
    """Put the wheel's metadata. They follow from the wheel's bytes, so other ones can only be wrong: replace those."""
    path = wheel_path(candidate.filename) + ".metadata"
    condition: Condition = IF_ABSENT
    while (yield from _put(path, candidate.metadata, Kind.METADATA, condition)) is None:
        stored = yield from _get(path)
        if stored is not None and stored.data == candidate.metadata:
            return
        condition = IF_ABSENT if stored is None else IfMatch(stored.token)


def _list(
    listing: Stored | None, home: Stored | None, pages: Sequence[ProjectPage], context: Context
) -> Generator[Operation, Any, None]:
    """Commit the projects' serials, last of all that installers need, and bring up the pages that show the list."""

    def change(state: State) -> ProjectList | None:
        now = _list_of(state)
        merged = now.merged(pages)
        return None if merged is now else merged

    before, after = yield from _swap(LIST_PATH, change, listing)
    if after is None or (before == after and home is not None and home.data == context.render.home(_list_of(after))):
        return
    for path, render in ((LIST_HTML_PATH, context.render.projects), (HOME_PATH, context.render.home)):
        yield from _derive(_Derived(path, LIST_PATH, _of_list(render), context.token_of), before, after)


class _Writable(Protocol):
    def to_json(self) -> bytes: ...


def _swap(
    path: str, change: Callable[[State], _Writable | None], read: Stored | None
) -> Generator[Operation, Any, tuple[State, State]]:
    """Compare and swap until it holds; return the state that was changed, and what it was changed to.

    ``change`` gives the new state, or None where the present one is as it should be: then nothing is written.
    """
    while True:
        before = _data(read)
        changed = change(before)
        if changed is None:
            return before, before
        after = changed.to_json()
        condition = IF_ABSENT if read is None else IfMatch(read.token)
        if (yield from _put(path, after, Kind.STATE, condition)) is not None:
            return before, after
        read = yield from _get(path)


@dataclass(frozen=True, slots=True)
class _Derived:
    """A page that is rendered from a state."""

    path: str
    state_path: str
    render: Callable[[bytes], bytes]
    token_of: Callable[[bytes], str | None]

    def expected(self, before: State, after: State) -> Condition:
        """Return what the page must still be if ``after`` has replaced ``before`` just now; None: find out."""
        if before == after:
            return None
        if before is None:
            return IF_ABSENT
        token = self.token_of(self.render(before))
        return None if token is None else IfMatch(token)


def _derive(derived: _Derived, before: State, after: bytes) -> Generator[Operation, Any, None]:
    """Bring a page up to the state it is rendered from, and never back behind a newer one.

    A page tells its state's serial, so equal pages mean equal states. If it is still the one of the state that was
    just replaced, it is replaced at once. Else the page is read, and the state *after* it: read the other way round,
    a page could be overwritten with an older one.
    """
    condition = derived.expected(before, after)
    if condition and (yield from _put(derived.path, derived.render(after), Kind.PAGE, condition)) is not None:
        return
    while True:
        shown = yield from _get(derived.path)
        state = yield from _get(derived.state_path)
        if state is None:
            raise Refused(f"{derived.state_path} was removed while it was published: run publish -- --rebuild")
        rendered = derived.render(state.data)
        if shown is not None and shown.data == rendered:
            return
        condition = IF_ABSENT if shown is None else IfMatch(shown.token)
        if (yield from _put(derived.path, rendered, Kind.PAGE, condition)) is not None:
            return


def _get(path: str) -> Generator[Operation, Any, Stored | None]:
    answer: Stored | None = yield Get(path)
    return answer


def _put(
    path: str, data: bytes | Path, kind: Kind, condition: Condition, sha256: str | None = None
) -> Generator[Operation, Any, str | None]:
    """Put an object; return its token, or None where the condition did not hold."""
    answer = yield Put(path=path, data=data, kind=kind, condition=condition, sha256=sha256)
    if isinstance(answer, Changed):
        return None
    token: str = answer.token
    return token


def _data(stored: Stored | None) -> State:
    return None if stored is None else stored.data


def _list_of(state: State) -> ProjectList:
    return ProjectList() if state is None else ProjectList.from_json(state)


def _of_list(render: Callable[[ProjectList], bytes]) -> Callable[[bytes], bytes]:
    return lambda state: render(_list_of(state))


def _result(candidate: Candidate, outcome: Outcome, note: str = "") -> Result:
    return Result(filename=candidate.filename, outcome=outcome, note=note)


def _other_bytes(candidate: Candidate, listed: IndexFile) -> Result:
    if candidate.source is None:
        note = f"{wheel_path(candidate.filename)} has not the bytes that its page states (sha256 {listed.sha256})"
        return _result(candidate, Outcome.INVALID, f"{note}: restore it from a backup")
    note = f"it is published with other bytes: sha256 {listed.sha256}, offered {candidate.sha256}"
    return _result(candidate, Outcome.REFUSED, f"{note}; raise its version or its build number")
