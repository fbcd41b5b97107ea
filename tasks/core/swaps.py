"""The steps that publishing is made of: compare and swap a state, and bring what is derived from it up to it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tasks.core.errors import Refused, Unreadable
from tasks.core.storage import IF_ABSENT, Changed, Condition, Get, IfMatch, Kind, Operation, Put, Stored, Together

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

State = bytes | None
T = TypeVar("T")
_REMOVED = "{} was removed while it was published: run publish -- --rebuild"


class Writable(Protocol):
    """What a state is made from."""

    def to_json(self) -> bytes:
        """Return the state's bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Derived:
    """A document that is rendered from a state."""

    path: str
    kind: Kind
    state_path: str
    render: Callable[[bytes], bytes | None]
    """None: the state has nothing to show there."""
    token_of: Callable[[bytes], str | None]

    def expected(self, before: State, after: State) -> Condition:
        """Return what the document must still be if ``after`` has replaced ``before`` just now; None: find out."""
        if before == after:
            return None
        rendered = None if before is None else self.render(before)
        if rendered is None:
            return IF_ABSENT
        token = self.token_of(rendered)
        return None if token is None else IfMatch(token)


def swap(
    path: str, change: Callable[[State], Writable | None], read: Stored | None
) -> Generator[Operation, Any, tuple[State, State]]:
    """Compare and swap until it holds; return the state that was changed, and what it was changed to.

    ``change`` gives the new state, or None where the present one is as it should be: then nothing is written.
    """
    while True:
        before = data_of(read)
        changed = change(before)
        if changed is None:
            return before, before
        after = changed.to_json()
        condition = IF_ABSENT if read is None else IfMatch(read.token)
        if (yield from put(path, after, Kind.STATE, condition)) is not None:
            return before, after
        read = yield from get(path)


def derive(
    derived: Derived, before: State, after: bytes, *, behind: Sequence[Derived] = ()
) -> Generator[Operation, Any, None]:
    """Bring a document up to the state it is rendered from, and never back behind a newer one.

    A document tells its state's serial, so equal ones mean equal states. If it is still the one of the state that was
    just replaced, it is replaced at once. Else it is read, and the state *after* it: read the other way round,
    it could be overwritten with an older one.

    A document that goes ``behind`` others is never newer than any of them, so that it tells whether all are up to date.
    """
    condition = derived.expected(before, after)
    rendered = derived.render(after)
    if rendered is None:
        return
    if condition and (yield from put(derived.path, rendered, derived.kind, condition)) is not None:
        return
    while True:
        shown = yield from get(derived.path)
        state = yield from get(derived.state_path)
        if state is None:
            raise Refused(_REMOVED.format(derived.state_path))
        if behind and state.data != after:  # somebody else's, who may have died before this one's turn
            after = state.data
            yield from together(derive(each, after, after) for each in behind)
            continue
        rendered = derived.render(state.data)
        if rendered is None or (shown is not None and shown.data == rendered):
            return
        condition = IF_ABSENT if shown is None else IfMatch(shown.token)
        if (yield from put(derived.path, rendered, derived.kind, condition)) is not None:
            return


def derive_all(documents: Sequence[Derived], before: State, after: bytes) -> Generator[Operation, Any, list[str]]:
    """Bring all documents of one state up to it, as :func:`derive` does; return why some cannot be read.

    Where the state was not replaced just now all of them are read, and *after* them the state, once.
    """
    if before != after:
        return (yield from together(attempt(derive(each, before, after)) for each in documents))
    shown = yield from together(_glimpse(each.path) for each in documents)
    state = yield from get(documents[0].state_path)
    if state is None:
        raise Refused(_REMOVED.format(documents[0].state_path))
    found = zip(documents, shown, strict=True)
    return (yield from together(attempt(_replace(each, there, state.data)) for each, there in found))


@dataclass(frozen=True, slots=True)
class _Glimpse:
    """What is kept of a document while all those of its state are read."""

    token: str
    sha256: bytes


def _glimpse(path: str) -> Generator[Operation, Any, _Glimpse | str | None]:
    found = yield from get_or_reason(path)
    return _Glimpse(found.token, sha256(found.data).digest()) if isinstance(found, Stored) else found


def _replace(derived: Derived, shown: _Glimpse | str | None, state: bytes) -> Generator[Operation, Any, None]:
    """Replace a document that was read before its state was, where it differs."""
    if isinstance(shown, str):
        raise Unreadable(shown)
    rendered = derived.render(state)
    if rendered is None or (shown is not None and shown.sha256 == sha256(rendered).digest()):
        return
    condition = IF_ABSENT if shown is None else IfMatch(shown.token)
    if (yield from put(derived.path, rendered, derived.kind, condition)) is None:
        yield from derive(derived, state, state)


def attempt(steps: Generator[Operation, Any, None]) -> Generator[Operation, Any, str]:
    """Do what goes beside other things; return why it cannot be done where that is an object that cannot be read."""
    try:
        yield from steps
    except Unreadable as error:
        return str(error)
    return ""


def together(steps: Iterable[Generator[Operation, Any, T]]) -> Generator[Operation, Any, list[T]]:
    """Do what several generators ask for, side by side; return what they return, in their order."""
    answer: list[T] = yield Together(steps)
    return answer


def get(path: str) -> Generator[Operation, Any, Stored | None]:
    """Read an object. Raises :class:`Unreadable`."""
    answer = yield from get_or_reason(path)
    if isinstance(answer, str):
        raise Unreadable(answer)
    return answer


def get_or_reason(path: str) -> Generator[Operation, Any, Stored | str | None]:
    """Read an object; return the reason where it is one that cannot be read."""
    answer: Stored | str | None = yield Get(path)
    return answer


def put(
    path: str, data: bytes | Path, kind: Kind, condition: Condition, sha256: str | None = None
) -> Generator[Operation, Any, str | None]:
    """Put an object; return its token, or None where the condition did not hold."""
    answer = yield Put(path=path, data=data, kind=kind, condition=condition, sha256=sha256)
    if isinstance(answer, Changed):
        return None
    token: str = answer.token
    return token


def data_of(stored: Stored | None) -> State:
    """Return an object's bytes, None where there is none."""
    return None if stored is None else stored.data
