"""What an index has of some projects, read as sparingly as can be: one small page for each that has changed.

The pages are kept on disk in parsed form with the serial and the digest that the project list had for them. Equal ones
in the list mean an equal page, so of what did not change nothing is read and nothing is parsed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from packaging.tags import Tag

from tasks.core.addresses import without_credentials
from tasks.core.index import LIST_PATH, ProjectPage, digest_of, page_path
from tasks.core.presence import Shelf, ShelfWheel, shelves
from tasks.core.project_list import ProjectList
from tasks.threads import Later, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from packaging.utils import NormalizedName

    from tasks.core.project_list import ListedProject
    from tasks.core.storage import Stored
    from tasks.stores import Store

FORMAT = 1
"""Raised with every change of what is written here, or of what is taken out of a page."""

THREADS = 8
"""Pages that are read at the same time."""
_PACKAGES = "packages/"


@dataclass(frozen=True, slots=True)
class _Kept:
    """A page as it was read last, still encoded."""

    serial: int
    state: str
    wheels: Mapping[str, list[list[Any]]]

    def is_of(self, listed: ListedProject) -> bool:
        """Whether the page is still that; a list that another version wrote has serials alone."""
        return self.serial == listed.serial and listed.state in {None, self.state}


@dataclass(slots=True)
class _Cache:
    """The pages of one index."""

    listing: str = ""
    """The sha256 of the project list that all of them agree with."""
    pages: dict[NormalizedName, _Kept] = field(default_factory=dict)
    tags: list[list[str]] = field(default_factory=list)
    """Every set of tags once: ten thousand wheels have a handful."""


class Readable(Protocol):
    """An index as far as planning reads it."""

    @property
    def location(self) -> str:
        """Where it is."""
        ...

    def get(self, path: str) -> Stored | None:
        """Return an object, None where there is none."""
        ...

    def unlisted(self, names: AbstractSet[NormalizedName]) -> dict[NormalizedName, Shelf]:
        """Return the wheels of some projects where there is no project list, as other tools leave an index."""
        ...


@dataclass(frozen=True, slots=True)
class InStore:
    """An index in a store, where what other tools left is listed once: every wheel in its ``packages/`` counts."""

    store: Store

    @property
    def location(self) -> str:
        """Where the store is."""
        return self.store.location

    def get(self, path: str) -> Stored | None:
        """Return an object, None where there is none."""
        return self.store.get(path)

    def unlisted(self, names: AbstractSet[NormalizedName]) -> dict[NormalizedName, Shelf]:
        """Take what lies in ``packages/``, whoever put it there."""
        files = (path.removeprefix(_PACKAGES) for path in self.store.list(_PACKAGES))
        found = shelves((name, None, None, None) for name in files if name.endswith(".whl"))
        return {name: found[name] for name in sorted(names & found.keys())}


class Ahead:
    """An index whose project list is being read already, while the caller does something else."""

    def __init__(self, index: Readable) -> None:
        self._index = index
        self._list = Later(lambda: index.get(LIST_PATH))

    @property
    def location(self) -> str:
        """Where it is."""
        return self._index.location

    def get(self, path: str) -> Stored | None:
        """Return an object, None where there is none."""
        return self._list.result() if path == LIST_PATH else self._index.get(path)

    def unlisted(self, names: AbstractSet[NormalizedName]) -> dict[NormalizedName, Shelf]:
        """Return the wheels of some projects where there is no project list."""
        return self._index.unlisted(names)


def read_shelves(index: Readable, names: Iterable[NormalizedName], cache: Path) -> dict[NormalizedName, Shelf]:
    """Return the wheels of those projects that the index has; ``cache`` is a directory.

    Costs one read of the project list and one of each page that is not in the cache; an index without a list is asked
    for what is not listed. Never asks for a single wheel.
    """
    wanted = set(names)
    stored = index.get(LIST_PATH)
    if stored is None:
        return index.unlisted(wanted)
    path = cache / f"{hashlib.sha256(_address(index.location).encode()).hexdigest()[:16]}.json"
    kept = _read(path)
    listing = hashlib.sha256(stored.data).hexdigest()
    if kept.listing != listing or not wanted <= kept.pages.keys():
        projects = {project.name: project for project in ProjectList.from_json(stored.data).projects}
        current = {name: page for name, page in kept.pages.items() if name in projects and page.is_of(projects[name])}
        missing = sorted((wanted & projects.keys()) - current.keys())
        read = _pages(index, missing)
        fresh = {name: _encode(page, digest_of(data), kept.tags) for name, (page, data) in read.items()}
        current |= {name: page for name, page in fresh.items() if page.is_of(projects[name])}
        if kept.listing != listing or current.keys() != kept.pages.keys():
            _write(path, _Cache(listing, current, kept.tags))
        kept.pages = current | fresh  # a page that a publisher has not finished is used, and not kept
    tags = [frozenset(_tag(text) for text in texts) for texts in kept.tags]
    return {name: _decode(kept.pages[name], tags) for name in sorted(wanted & kept.pages.keys())}


def _pages(index: Readable, names: list[NormalizedName]) -> dict[NormalizedName, tuple[ProjectPage, bytes]]:
    """Read pages, at the same time where there are several."""
    found = zip(names, side_by_side(index.get, [page_path(name) for name in names], THREADS), strict=True)
    return {name: (ProjectPage.from_json(page.data, page_path(name)), page.data) for name, page in found if page}


def _address(location: str) -> str:
    """Return a text for the place that a location means, wherever planning runs."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", location):
        return without_credentials(location)
    return str(Path(location).resolve())


def _encode(page: ProjectPage, state: str, tags: list[list[str]]) -> _Kept:
    wheels: dict[str, list[list[Any]]] = {}
    for version, found in Shelf.of_page(page).wheels.items():
        wheels[version] = [_row(wheel, tags) for wheel in found]
    return _Kept(page.serial, state, wheels)


def _row(wheel: ShelfWheel, tags: list[list[str]]) -> list[Any]:
    texts = sorted(map(str, wheel.tags))
    if texts not in tags:
        tags.append(texts)
    number = tags.index(texts)
    return [wheel.filename, list(wheel.build), number, wheel.recipe, wheel.yanked, wheel.requires_python]


def _decode(kept: _Kept, tags: list[frozenset[Tag]]) -> Shelf:
    return Shelf(
        {
            version: tuple(
                ShelfWheel(filename, tuple(build), tags[number], recipe, yanked, requires_python)
                for filename, build, number, recipe, yanked, requires_python in rows
            )
            for version, rows in kept.wheels.items()
        }
    )


def _tag(text: str) -> Tag:
    return Tag(*text.split("-"))


def _read(path: Path) -> _Cache:
    """Return what the file holds; one of another format, or a damaged one, is no cache at all."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        fields = json.loads(head)
        if fields["format"] != FORMAT or fields["body"] != hashlib.sha256(body).hexdigest():
            return _Cache()
        document = json.loads(body)
        return _Cache(fields["list"], {name: _Kept(*row) for name, row in document["pages"].items()}, document["tags"])
    except (OSError, ValueError, KeyError, TypeError):
        return _Cache()


def _write(path: Path, cache: _Cache) -> None:
    """Replace the file, at once and whole; where that cannot be done there is just no cache."""
    pages = {name: [page.serial, page.state, page.wheels] for name, page in cache.pages.items()}
    body = json.dumps({"pages": pages, "tags": cache.tags}, separators=(",", ":")).encode()
    fields = {"format": FORMAT, "list": cache.listing, "body": hashlib.sha256(body).hexdigest()}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(json.dumps(fields).encode() + b"\n" + body)
        part.replace(path)
