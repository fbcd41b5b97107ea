"""Finds out, before the first write to a bucket, whether it honours conditional writes: publishing rests on them.

What was found is remembered in the project list, under a key for each address that the bucket has been reached by, so
that it is asked once. A bucket that was copied to another server has not been asked there. Until there is a list, the
probe's own object says it to those who probe at the same time.
"""

from __future__ import annotations

import secrets
import threading
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tasks.core.errors import Refused, ServiceFailed
from tasks.core.index import LIST_PATH
from tasks.core.project_list import ProjectList
from tasks.core.storage import IF_ABSENT, Absent, Changed, Condition, Head, IfMatch, Kind, Stored, Written
from tasks.stores.s3_errors import Unconditional
from tasks.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from tasks.stores import Store

PROBE_PATH = "conditional-writes.txt"
"""The one object that is written to find out. It stays: who removed it could make another one's probe fail."""
WRITERS = 8
"""How many write at the same time, of whom one may be told that it did."""
_ROUNDS = 10
_NOBODYS = IfMatch('"00000000000000000000000000000000"')


@runtime_checkable
class Unproven(Protocol):
    """A store whose conditions are another program's promise."""

    proof_key: str
    """What a proof is remembered by."""


def memory(store: Store) -> dict[str, bool]:
    """Return what the list of an index that we have written to says of the store, in its ``meta``."""
    return {f"_conditional-{store.proof_key}": True} if isinstance(store, Unproven) else {}


def guarded(store: Store, *, one_publisher: bool, warn: Callable[[str], None]) -> Store:
    """Return a store that is probed before the first write to it, where it has to be.

    A bucket that does not honour conditions is :class:`Refused`, unless there is ``one_publisher``, who is warned.
    """
    return Guarded(store, one_publisher=one_publisher, warn=warn) if isinstance(store, Unproven) else store


class Guarded:
    """Passes everything on; the first write waits until it is known that the store can be written to safely."""

    def __init__(self, below: Store, *, one_publisher: bool, warn: Callable[[str], None]) -> None:
        self.below = below
        self.location = below.location
        self._one_publisher = one_publisher
        self._warn = warn
        self._listing: Stored | None = None
        self._lock = threading.Lock()
        self._writable: Store | OnePublisher | ServiceFailed | Refused | None = None

    def get(self, path: str) -> Stored | None:
        """Read, and look into the project list when it comes by."""
        stored = self.below.get(path)
        if path == LIST_PATH:
            self._listing = stored
        return stored

    def head(self, path: str) -> Head | None:
        """Pass it on."""
        return self.below.head(path)

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        """Write, if the store is fit for it."""
        with self._lock:
            if self._writable is None:
                self._writable = self._tried()
        if isinstance(self._writable, Exception):
            raise self._writable
        return self._writable.put(path, data, kind=kind, condition=condition, sha256=sha256)

    def list(self, prefix: str) -> Iterator[str]:
        """Pass it on."""
        return self.below.list(prefix)

    def open(self, path: str) -> AbstractContextManager[BinaryIO | None]:
        """Pass it on."""
        return self.below.open(path)

    def token_of(self, data: bytes) -> str | None:
        """Pass it on."""
        return self.below.token_of(data)

    def _tried(self) -> Store | OnePublisher | ServiceFailed | Refused:
        """Return the store to write to, or why there is none: every thread that waits is told the same."""
        try:
            listing = self._listing or self.below.get(LIST_PATH)
            if listing and memory(self.below).keys() <= ProjectList.from_json(listing.data).meta_extra.keys():
                return self.below
            fault = probe(self.below)
        except ServiceFailed as error:
            return error
        if fault is None:
            return self.below
        found = f"{self.location} does not honour conditional writes: {fault}"
        if not self._one_publisher:
            return Refused(
                f"{found}; publishers side by side would lose each other's wheels there: choose a store that does "
                "(docs/publishing-to-s3.md), or say --one-publisher if nobody else ever publishes to it meanwhile"
            )
        self._warn(f"{found}; nobody else may publish to it meanwhile")
        return OnePublisher(self.below)


class OnePublisher:
    """A store without conditions, for a publisher who is alone: looks first, then writes."""

    def __init__(self, below: Store) -> None:
        self.below = below

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        """Write if the condition holds now."""
        if condition is not None:
            now = self.below.head(path)
            if isinstance(condition, Absent) and now is not None:
                return Changed()
            if isinstance(condition, IfMatch) and (now is None or now.token != condition.token):
                return Changed()
        return self.below.put(path, data, kind=kind, sha256=sha256)


def probe(store: Store) -> str | None:
    """Try conditional writes on :data:`PROBE_PATH`; return what is wrong with them, None where nothing is.

    Others may be probing meanwhile, and be killed at it. The first to know says it there, which ends the others' races.
    """
    try:
        made = _put(store, IF_ABSENT)
        stored = store.get(PROBE_PATH) if isinstance(made, Changed) else None
        if stored and _is_proof(stored, store):
            return None
        token = made.token if isinstance(made, Written) else stored.token if stored else None
        if token is None:
            return "it refuses If-None-Match where nothing is"
        if isinstance(_put(store, IF_ABSENT), Written):
            return "it ignores If-None-Match"
        if isinstance(_put(store, _NOBODYS), Written):
            return "it ignores If-Match"
        return _race(store, token)
    except Unconditional:
        return "it answers that they are not implemented"


def _race(store: Store, token: str) -> str | None:
    """Have some writers name the same token at the same time: one of them has to win, and only one."""
    for _ in range(_ROUNDS):
        answers = side_by_side(partial(_put, store), [IfMatch(token)] * WRITERS, WRITERS)
        winners = sum(isinstance(answer, Written) for answer in answers)
        if winners > 1:
            return f"it told {winners} of {WRITERS} writers at once that they were the first"
        if winners:
            _put(store, None, proof=_proof(store))
            return None
        stored = store.get(PROBE_PATH)
        if stored is None or stored.token == token:
            return "it refuses If-Match also where it holds"
        if _is_proof(stored, store):
            return None
        token = stored.token  # somebody else's probe was quicker
    raise ServiceFailed(f"{store.location}/{PROBE_PATH} is being written to all the time: run the same command again")


def _proof(store: Store) -> str:
    """Return the line that says that the bucket, as it is reached here, was found to honour conditional writes."""
    return "".join(f"It does ({key}).\n" for key in memory(store))


def _is_proof(stored: Stored, store: Store) -> bool:
    proof = _proof(store).encode()
    return bool(proof) and stored.data.endswith(proof)


def _put(store: Store, condition: Condition, proof: str = "") -> Written | Changed:
    """Write what nobody has written before, so that equal tokens mean that nothing was written between."""
    tried = f"spare-tire tries here whether this bucket honours conditional writes. {secrets.token_hex(16)}\n"
    return store.put(PROBE_PATH, (tried + proof).encode(), kind=Kind.PROBE, condition=condition)
