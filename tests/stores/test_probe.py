"""A bucket has to honour conditional writes; whether it does is found out before the first write."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import Refused, ServiceFailed
from tasks.core.project_list import ProjectList
from tasks.core.storage import IF_ABSENT, Absent, Changed, Condition, IfMatch, Kind, Written
from tasks.stores.probe import PROBE_PATH, Guarded, guarded, memory, probe
from tasks.stores.s3_errors import Unconditional
from tasks.threads import side_by_side
from tests.stores.memory import CountingStore, MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.s3_servers import Server


class Bucket(MemoryStore):
    """A bucket that honours conditions, one request after the other. ``asked`` says what for."""

    proof_key = "this"

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.asked: list[str] = []

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        del sha256
        self.asked.append(f"put {path}")
        with self.lock:
            return self.answer(path, data, kind, condition)

    def answer(self, path: str, data: bytes | Path, kind: Kind, condition: Condition) -> Written | Changed:
        return super().put(path, data, kind=kind, condition=condition)


class IgnoresAll(Bucket):
    def answer(self, path: str, data: bytes | Path, kind: Kind, condition: Condition) -> Written | Changed:
        del condition
        return super().answer(path, data, kind, None)


class IgnoresIfMatch(Bucket):
    def answer(self, path: str, data: bytes | Path, kind: Kind, condition: Condition) -> Written | Changed:
        return super().answer(path, data, kind, condition if isinstance(condition, Absent) else None)


class RefusesIfMatch(Bucket):
    def answer(self, path: str, data: bytes | Path, kind: Kind, condition: Condition) -> Written | Changed:
        return Changed() if isinstance(condition, IfMatch) else super().answer(path, data, kind, condition)


class RefusesIfNoneMatch(Bucket):
    def answer(self, path: str, data: bytes | Path, kind: Kind, condition: Condition) -> Written | Changed:
        return Changed() if isinstance(condition, Absent) else super().answer(path, data, kind, condition)


class LooksThenWrites(Bucket):
    """Tests the condition, and writes a while later."""

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        del sha256
        now = self.head(path)
        if isinstance(condition, Absent) and now is not None:
            return Changed()
        if isinstance(condition, IfMatch) and (now is None or now.token != condition.token):
            return Changed()
        time.sleep(0.1)
        return self.answer(path, data, kind, None)


class KnowsNoConditions(Bucket):
    def answer(self, path: str, data: bytes | Path, kind: Kind, condition: Condition) -> Written | Changed:
        if condition is not None:
            raise Unconditional("501 NotImplemented")
        return super().answer(path, data, kind, condition)


UNFIT: dict[type[Bucket], str] = {
    IgnoresAll: "it ignores If-None-Match",
    IgnoresIfMatch: "it ignores If-Match",
    RefusesIfMatch: "it refuses If-Match also where it holds",
    RefusesIfNoneMatch: "it refuses If-None-Match where nothing is",
    LooksThenWrites: "it told 8 of 8 writers at once that they were the first",
    KnowsNoConditions: "it answers that they are not implemented",
}


@pytest.mark.parametrize(("kind", "fault"), UNFIT.items())
def test_what_is_wrong_with_a_bucket_is_found(kind: type[Bucket], fault: str) -> None:
    assert probe(kind()) == fault


@pytest.mark.parametrize("server", ["moto", "localstack"])
def test_publishers_that_probe_at_the_same_time_find_no_fault(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    running: Server = request.getfixturevalue(server)
    store = running.store(monkeypatch)

    assert side_by_side(probe, [store] * 3, 3) == [None, None, None]


class Overtaken(Bucket):
    """Others probe it so fast that nothing which names a token is ever in time."""

    def answer(self, path: str, data: bytes | Path, kind: Kind, condition: Condition) -> Written | Changed:
        super().answer(path, b"another publisher's, %d" % len(self.asked), kind, None)
        return super().answer(path, data, kind, condition)


def test_who_lost_the_race_takes_what_the_winner_found() -> None:
    proven = Bucket()
    probe(proven)

    class Told(Overtaken):
        """The race is on for the third time when the other publisher says what it found."""

        def answer(self, path: str, data: bytes | Path, kind: Kind, condition: Condition) -> Written | Changed:
            answer = super().answer(path, data, kind, condition)
            if len(self.asked) > 20:
                self.objects.update(proven.objects)
            return answer

    bucket = Told()
    assert probe(bucket) is None
    assert len(bucket.asked) == 3 + 3 * 8


def test_what_was_found_at_another_address_is_no_proof() -> None:
    class Elsewhere(Bucket):
        proof_key = "another"

    bucket = Bucket()
    probe(bucket)
    elsewhere = Elsewhere()
    elsewhere.objects.update(bucket.objects)

    assert probe(elsewhere) is None
    assert len(elsewhere.asked) == 12


def test_a_bucket_that_was_found_fit_is_not_tried_again() -> None:
    bucket = Bucket()
    assert probe(bucket) is None
    assert len(bucket.asked) == 12

    assert probe(bucket) is None
    assert len(bucket.asked) == 13
    assert list(bucket.objects) == [PROBE_PATH]


@pytest.mark.parametrize("kind", UNFIT)
def test_an_unfit_bucket_is_never_called_fit(kind: type[Bucket]) -> None:
    bucket = kind()

    assert probe(bucket) is not None
    assert b"It does" not in b"".join(bucket.objects.values())


def test_a_probe_that_others_always_overtake_is_no_verdict() -> None:
    with pytest.raises(ServiceFailed) as error:
        probe(Overtaken())

    said = f"memory/{PROBE_PATH} is being written to all the time: run the same command again"
    assert error.value.messages == (said,)


def test_rclone_ignores_conditions(rclone: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe(rclone.store(monkeypatch)) == "it ignores If-None-Match"


# ── When it is asked ──────────────────────────────────────────────────────────────────────────────────────────────────


REFUSED = (
    "does not honour conditional writes: it ignores If-None-Match; publishers side by side would lose each other's wheels "
    "there: choose a store that does (docs/publishing-to-s3.md), or say --one-publisher if nobody else ever publishes to "
    "it meanwhile"
)


def never(message: str) -> None:
    pytest.fail(message)


def test_a_store_of_our_own_is_not_probed() -> None:
    store = MemoryStore()

    assert guarded(store, one_publisher=False, warn=never) is store
    assert memory(store) == {}


def test_reading_asks_nothing() -> None:
    bucket = Bucket()
    store = guarded(bucket, one_publisher=False, warn=never)

    assert (store.get("x"), store.head("x"), list(store.list(""))) == (None, None, [])
    assert bucket.objects == {}


def test_many_writers_of_a_publisher_ask_once() -> None:
    bucket = Bucket()
    store = guarded(bucket, one_publisher=False, warn=never)

    side_by_side(lambda name: store.put(name, b"", kind=Kind.STATE), ["a", "b", "c", "d"], 4)

    assert bucket.asked.count(f"put {PROBE_PATH}") == 12
    assert sorted(bucket.objects) == ["a", "b", "c", PROBE_PATH, "d"]


@pytest.mark.parametrize(
    ("remembered", "asked"),
    [({}, 12), ({"_conditional-this": True}, 0), ({"_conditional-another": True}, 12)],
    ids=["nothing", "this one", "another server's"],
)
def test_what_the_list_remembers_of_this_bucket_is_not_asked_again(remembered: dict[str, bool], asked: int) -> None:
    bucket = Bucket()
    bucket.objects["simple/index.json"] = ProjectList().saying(remembered).to_json()
    store = guarded(bucket, one_publisher=False, warn=never)

    store.put("x", b"", kind=Kind.STATE)

    assert bucket.asked.count(f"put {PROBE_PATH}") == asked


def test_the_list_is_not_read_for_it_where_it_was_read_anyway() -> None:
    bucket = Bucket()
    bucket.objects["simple/index.json"] = ProjectList().saying(memory(bucket)).to_json()
    counting = CountingStore(bucket)
    store = Guarded(Unproven(counting), one_publisher=False, warn=never)

    store.get("simple/index.json")
    store.put("x", b"", kind=Kind.STATE)

    assert counting.requests == {"get": 1, "put": 1}


class Unproven(CountingStore):
    proof_key = "this"


def test_an_unfit_bucket_is_refused_to_every_writer_and_nothing_is_written() -> None:
    bucket = IgnoresAll()
    store = guarded(bucket, one_publisher=False, warn=never)

    for _ in range(2):
        with pytest.raises(Refused) as error:
            store.put("x", b"", kind=Kind.STATE)

        assert error.value.messages == (f"memory {REFUSED}",)
    assert list(bucket.objects) == [PROBE_PATH]
    assert len(bucket.asked) == 2


@pytest.mark.parametrize("kind", UNFIT)
def test_one_publisher_is_warned_and_writes_where_the_condition_holds(kind: type[Bucket]) -> None:
    bucket = kind()
    warnings: list[str] = []
    store = guarded(bucket, one_publisher=True, warn=warnings.append)

    first = store.put("x", b"1", kind=Kind.STATE, condition=IF_ABSENT)
    assert isinstance(first, Written)
    assert store.put("x", b"2", kind=Kind.STATE, condition=IF_ABSENT) == Changed()
    second = store.put("x", b"2", kind=Kind.STATE, condition=IfMatch(first.token))
    assert isinstance(second, Written)
    assert store.put("x", b"3", kind=Kind.STATE, condition=IfMatch(first.token)) == Changed()

    assert bucket.objects["x"] == b"2"
    assert warnings == [
        f"memory does not honour conditional writes: {UNFIT[kind]}; nobody else may publish to it meanwhile"
    ]


def test_one_publisher_of_a_fit_bucket_uses_its_conditions() -> None:
    store = guarded(Bucket(), one_publisher=True, warn=never)

    assert isinstance(store.put("x", b"1", kind=Kind.STATE, condition=IF_ABSENT), Written)
    assert store.put("x", b"2", kind=Kind.STATE, condition=IF_ABSENT) == Changed()
