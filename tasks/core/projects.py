"""A project of the index while it is changed: its state, what is rendered from it, and its place in the list."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from tasks.core.errors import ServiceFailed
from tasks.core.index import HOME_PATH, LIST_HTML_PATH, LIST_PATH, ProjectPage, page_html_path, page_path
from tasks.core.project_list import ProjectList
from tasks.core.release_json import project_json, release_path, version_json
from tasks.core.storage import Kind
from tasks.core.swaps import Derived, derive, get, swap

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from packaging.utils import NormalizedName

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


@dataclass(frozen=True, slots=True)
class Project:
    """A project, and how far the list knows it to be complete."""

    name: NormalizedName
    context: Context
    complete_serial: int
    """The serial that the list has for it: what is rendered from it is known to be up to that."""
    rebuild: bool = False
    _pages: dict[bytes, ProjectPage] = field(default_factory=dict, repr=False)

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
        self, change: Callable[[ProjectPage], ProjectPage], read: Stored | None
    ) -> Generator[Operation, Any, tuple[ProjectPage | None, bool]]:
        """Change the project's state and bring up what is rendered from it; return its page, and whether it changed.

        ``change`` gives the page itself where nothing is to be done. The page is None where the project has no state.
        """

        def changed(state: State) -> ProjectPage | None:
            now = self.page(state)
            made = change(now)
            return None if made is now else made

        before, after = yield from swap(page_path(self.name), changed, read)
        if after is None:
            return None, False
        page = self.page(after)
        if before != after or page.serial > self.complete_serial or self.rebuild:
            for derived in self._derived(page):
                yield from derive(derived, before, after)
        return page, before != after

    def _derived(self, page: ProjectPage) -> Iterator[Derived]:
        """Yield what is rendered from the state and may be older than it: of the versions, those changed since."""
        path, token_of = page_path(self.name), self.context.token_of
        yield Derived(page_html_path(self.name), Kind.PAGE, path, self._html, token_of)
        yield Derived(release_path(self.name), Kind.RELEASE, path, self._release, token_of)
        for version, release in sorted(page.releases.items()):
            if release.serial > self.complete_serial or self.rebuild:
                where = release_path(self.name, version)
                yield Derived(where, Kind.RELEASE, path, partial(self._version, version=version), token_of)

    def _html(self, state: bytes) -> bytes:
        return self.context.render.project(self.page(state))

    def _release(self, state: bytes) -> bytes:
        return project_json(self.page(state))

    def _version(self, state: bytes, version: str) -> bytes | None:
        page = self.page(state)
        return version_json(page, version) if version in page.releases else None


def foreign(path: str, html_path: str) -> Generator[Operation, Any, tuple[Stored | None, bool]]:
    """Look again where there was no state: return the state there is by now, and whether another tool's page is there.

    We never write a page before its state, so a page without one is not ours; its links would be lost to our page.
    """
    if (yield from get(html_path)) is None:
        return None, False
    state = yield from get(path)
    return state, state is None


def commit(
    listing: Stored | None, home: Stored | None, pages: Sequence[ProjectPage], context: Context
) -> Generator[Operation, Any, None]:
    """Commit the projects' serials, last of all that installers need, and bring up the pages that show the list."""

    def change(state: State) -> ProjectList | None:
        now = list_of(state)
        merged = now.merged(pages)
        return None if merged is now else merged

    before, after = yield from swap(LIST_PATH, change, listing)
    if after is None or (before == after and home is not None and home.data == context.render.home(list_of(after))):
        return
    page = Derived(LIST_HTML_PATH, Kind.PAGE, LIST_PATH, _of_list(context.render.projects), context.token_of)
    people = Derived(HOME_PATH, Kind.PAGE, LIST_PATH, _of_list(context.render.home), context.token_of)
    yield from derive(page, before, after)
    yield from derive(people, before, after, behind=page)


def list_of(state: State) -> ProjectList:
    """Return the list that a state holds, an empty one where there is none."""
    return ProjectList() if state is None else ProjectList.from_json(state)


def _of_list(render: Callable[[ProjectList], bytes]) -> Callable[[bytes], bytes]:
    return lambda state: render(list_of(state))
