"""Runs a protocol against a store: carries each operation out and hands its answer back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tasks.core.candidates import Candidate
from tasks.core.storage import Get, Inspect
from tasks.core.wheels import problems
from tasks.wheelfile import UnreadableWheel, read_open_wheel

if TYPE_CHECKING:
    from collections.abc import Generator

    from tasks.core.storage import Operation
    from tasks.stores import Store

T = TypeVar("T")


def drive(steps: Generator[Operation, Any, T], store: Store) -> T:
    """Carry out every operation that ``steps`` yields; return what it returns."""
    answer: Any = None
    while True:
        try:
            operation = steps.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        answer = perform(operation, store)


def perform(operation: Operation, store: Store) -> object:
    """Carry out one operation."""
    if isinstance(operation, Get):
        return store.get(operation.path)
    if isinstance(operation, Inspect):
        return inspect(operation.path, store)
    return store.put(
        operation.path,
        operation.data,
        kind=operation.kind,
        condition=operation.condition,
        sha256=operation.sha256,
    )


def inspect(path: str, store: Store) -> Candidate | str:
    """Read a stored wheel; return what it is, or why it is no wheel."""
    with store.open(path) as file:
        if file is None:
            return "it is gone"
        try:
            contents = read_open_wheel(file, path.rpartition("/")[2])
        except UnreadableWheel as error:
            return str(error)
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        found = list(problems(contents))
        return "; ".join(found) if found else Candidate.of(contents, None)
