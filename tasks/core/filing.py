"""Filing the reports of build visits, as generators of store operations: plain writes, outside the invariants."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from tasks.core.storage import IF_ABSENT, Kind
from tasks.core.swaps import get, put, together

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from tasks.core.storage import Operation


def file_visits(visits: Iterable[tuple[str, bytes]]) -> Generator[Operation, Any, None]:
    """File each visit once, by its file's name; two of one name, as of two jobs in the same second, are two."""
    grouped: dict[str, list[bytes]] = {}
    for name, data in visits:
        grouped.setdefault(name, []).append(data)
    yield from together(_file(name, reports) for name, reports in sorted(grouped.items()))


def _file(name: str, reports: list[bytes]) -> Generator[Operation, Any, None]:
    for data in reports:
        for path in _names(f"visits/{name.removesuffix('.json')}"):
            stored = yield from get(path)
            if stored is None:
                if (yield from put(path, data, Kind.VISIT, IF_ABSENT)) is not None:
                    break
                stored = yield from get(path)  # somebody else has just filed one of that name
            if stored is not None and stored.data == data:
                break


def _names(stem: str) -> Iterator[str]:
    yield f"{stem}.json"
    yield from (f"{stem}-{number}.json" for number in itertools.count(2))
