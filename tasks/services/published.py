"""Which files an index of ours has, with their sha256: what is published there never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks.core.errors import BadInput
from tasks.core.index import LIST_PATH, ProjectPage, page_path
from tasks.core.project_list import ProjectList
from tasks.stores.places import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tasks.core.storage import Stored

_NO_LIST = (
    f"{{}}{LIST_PATH}: there is no such page; name an index of spare-tire's, or have publish -- --rebuild make one"
)


def published_files(index: str, names: Iterable[str], cache: Path) -> dict[str, str]:
    """Return the sha256 of all files that an index has of some projects, by their file names.

    An index that nothing was published to has none. Raises :class:`BadInput` for an index of another tool, which says
    nothing of this kind, and :class:`ServiceFailed`.
    """
    if index.lower().startswith(("http://", "https://")):
        from tasks.services.website import Website  # noqa: PLC0415 - it brings requests along, 0.1 s

        with Website(index, cache) as website:
            listed = website.get(LIST_PATH)
            if listed is None:
                raise BadInput(_NO_LIST.format(website.location))
            return _files(website.get, listed, names)
    store = open_store(index)
    listed = store.get(LIST_PATH)
    if listed is None:
        if any(store.list("packages/")):
            raise BadInput(_NO_LIST.format(f"{store.location}/"))
        return {}
    return _files(store.get, listed, names)


def _files(get: Callable[[str], Stored | None], listed: Stored, names: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    projects = {each.name for each in ProjectList.from_json(listed.data).projects}
    for name in sorted(projects & {canonicalize_name(each) for each in names}):
        page = get(page_path(name))
        if page is not None:
            files = ProjectPage.from_json(page.data, page_path(name)).files
            found |= {file.filename: file.sha256 for file in files}
    return found
