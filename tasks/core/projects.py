"""A project of the index while it is changed: its state, what is rendered from it, and its place in the list."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol

from tasks.core.errors import ServiceFailed, Unreadable
from tasks.core.index import (
    HOME_PATH,
    LIST_HTML_PATH,
    LIST_JSON_PATH,
    LIST_PATH,
    ProjectPage,
    page_html_path,
    page_json_path,
    page_path,
)
from tasks.core.project_list import ProjectList
from tasks.core.release_json import files_by_version, project_json, release_path, version_json
from tasks.core.storage import Kind
from tasks.core.swaps import Derived, data_of, derive, derive_all, get, swap, together

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from tasks.core.project_list import ListedProject
    from tasks.core.release_json import ByVersion
    from tasks.core.settings import Policy, Settings
    from tasks.core.storage import Operation, Stored
    from tasks.core.swaps import State

FOREIGN = "was written by another tool, and its links would be lost: run publish -- --rebuild first"


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
    policy: Policy | None = None
    """What the matrix says of the projects; without one each keeps its settings."""
    list_meta: Mapping[str, Any] = field(default_factory=dict)
    """What the ``meta`` of the project list says besides, whenever it is written."""
    static_json: bool = False
    """Whether the JSON pages lie once more below ``json/``, for a static host, which cannot negotiate."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What is read before anything else: the page for people, and the list of projects."""

    home: Stored | None
    listing: Stored | None

    @property
    def listed(self) -> ProjectList:
        """The list of projects, an empty one where there is none."""
        return list_of(data_of(self.listing))


def look() -> Generator[Operation, Any, Opening]:
    """Read what tells whether an index is complete: two requests, however large it is."""
    home, listing = yield from together(get(path) for path in (HOME_PATH, LIST_PATH))
    return Opening(home, listing)


@dataclass(frozen=True, slots=True)
class Project:
    """A project, and how far the list knows it to be complete."""

    name: NormalizedName
    context: Context
    complete_serial: int
    """The serial that the list has for it: what is rendered from it is known to be up to that."""
    rebuild: bool = False
    _pages: dict[bytes, ProjectPage] = field(default_factory=dict, repr=False)
    _files: dict[bytes, ByVersion] = field(default_factory=dict, repr=False)

    def page(self, state: State) -> ProjectPage:
        """Return the state as a page; where there is none, an empty one that goes on from the list's serial."""
        if state is None:
            return ProjectPage(name=self.name, serial=self.complete_serial)
        if state not in self._pages:
            try:
                self._pages[state] = replace(ProjectPage.from_json(state, page_path(self.name)), name=self.name)
            except ServiceFailed:
                if not self.rebuild:
                    raise
                return ProjectPage(name=self.name, serial=self.complete_serial)  # damaged: it is what is rebuilt
        return self._pages[state]

    def settings(self, page: ProjectPage) -> Settings:
        """Return the settings that the page is to have."""
        policy = self.context.policy
        return policy.settings(self.name, page.settings) if policy else page.settings

    def change(
        self, change: Callable[[ProjectPage], ProjectPage], read: Stored | None, *, derived: bool = True
    ) -> Generator[Operation, Any, tuple[ProjectPage | None, bool]]:
        """Change the project's state and bring up what is rendered from it; return its page, and whether it changed.

        Without ``derived`` nothing is rendered yet: the project is unfinished, as if somebody had been killed.
        ``change`` gives the page itself where nothing is to be done. The page is None where the project has no state.
        Raises :class:`Unreadable`, when all the others are done, of what is rendered and cannot be read.
        """

        def changed(state: State) -> ProjectPage | None:
            read = now = self.page(state)
            if read.serial < self.complete_serial:  # somebody went back to an older state, and left the list as it was
                now = replace(read, serial=self.complete_serial)
            made = change(now)
            if made is now and now is not read and self.rebuild:
                return replace(now, serial=now.serial + 1)
            return None if made is now else made

        before, after = yield from swap(page_path(self.name), changed, read)
        if after is None:
            return None, False
        page = self.page(after)
        if derived and (before != after or page.serial > self.complete_serial or self.rebuild):
            wrong = yield from derive_all(tuple(self._derived(page)), before, after)
            if any(wrong):
                raise Unreadable(*filter(None, wrong))
        return page, before != after

    def _derived(self, page: ProjectPage) -> Iterator[Derived]:
        """Yield what is rendered from the state and may be older than it: of the versions, those changed since."""
        path, token_of = page_path(self.name), self.context.token_of
        yield Derived(page_html_path(self.name), Kind.PAGE, path, self._html, token_of)
        if self.context.static_json:
            yield Derived(page_json_path(self.name), Kind.JSON_PAGE, path, _verbatim, token_of)
        yield Derived(release_path(self.name), Kind.RELEASE, path, self._release, token_of)
        for version, release in sorted(page.releases.items()):
            if release.serial > self.complete_serial or self.rebuild:
                where = release_path(self.name, version)
                yield Derived(where, Kind.RELEASE, path, partial(self._version, version=version), token_of)

    def _html(self, state: bytes) -> bytes:
        return self.context.render.project(self.page(state))

    def _release(self, state: bytes) -> bytes:
        return project_json(self.page(state), self._by_version(state))

    def _version(self, state: bytes, version: str) -> bytes | None:
        page = self.page(state)
        return version_json(page, version, self._by_version(state)) if version in page.releases else None

    def _by_version(self, state: bytes) -> ByVersion:
        if state not in self._files:
            self._files[state] = files_by_version(self.page(state))
        return self._files[state]


def foreign(path: str, html_path: str) -> Generator[Operation, Any, tuple[Stored | None, bool]]:
    """Look again where there was no state: return the state there is by now, and whether another tool's page is there.

    We never write a page before its state, so a page without one is not ours; its links would be lost to our page.
    """
    if (yield from get(html_path)) is None:
        return None, False
    state = yield from get(path)
    return state, state is None


def commit(
    opening: Opening, projects: Sequence[ListedProject], context: Context, *, first: bool = False
) -> Generator[Operation, Any, None]:
    """Commit the projects' serials, last of all that installers need, and bring up the pages that show the list.

    As the ``first`` list one is written that has no projects, too.
    """
    home, token_of = opening.home, context.token_of

    def change(state: State) -> ProjectList | None:
        now = list_of(state)
        merged = now.with_projects(projects)
        return None if merged is now and not (first and state is None) else merged.saying(context.list_meta)

    before, after = yield from swap(LIST_PATH, change, opening.listing)
    if after is None or (before == after and home is not None and home.data == context.render.home(list_of(after))):
        return
    pages = [Derived(LIST_HTML_PATH, Kind.PAGE, LIST_PATH, _of_list(context.render.projects), token_of)]
    if context.static_json:
        pages.append(Derived(LIST_JSON_PATH, Kind.JSON_PAGE, LIST_PATH, _verbatim, token_of))
    people = Derived(HOME_PATH, Kind.PAGE, LIST_PATH, _of_list(context.render.home), token_of)
    yield from together(derive(page, before, after) for page in pages)
    yield from derive(people, before, after, behind=pages)


@lru_cache(maxsize=4)  # a list of many projects takes long to parse, and is asked for again and again
def list_of(state: State) -> ProjectList:
    """Return the list that a state holds, an empty one where there is none."""
    return ProjectList() if state is None else ProjectList.from_json(state)


def _of_list(render: Callable[[ProjectList], bytes]) -> Callable[[bytes], bytes]:
    return lambda state: render(list_of(state))


def _verbatim(state: bytes) -> bytes:
    return state
