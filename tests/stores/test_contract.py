"""What every store keeps; each test runs against every one."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import ServiceFailed
from tasks.core.storage import IF_ABSENT, Changed, Head, IfMatch, Kind, Written
from tasks.stores.overlay import Overlay
from tasks.stores.places import open_store
from tasks.stores.probe import guarded
from tests.stores.memory import CountingStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tasks.stores import Store


STORES = [
    "directory",
    "memory",
    "memory, tokens unknown",
    "overlay",
    "counting",
    "S3 by moto",
    "S3 by localstack",
    "overlay on S3",
    "guarded S3",
    "one publisher's S3",
]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    def s3(server: str) -> Store:
        made: Store = request.getfixturevalue(server).emptied_store()
        return made

    warnings: list[str] = []
    stores: dict[str, Callable[[], Store]] = {
        "directory": lambda: open_store(str(tmp_path / "index")),
        "memory": MemoryStore,
        "memory, tokens unknown": lambda: MemoryStore(known_tokens=False),
        "overlay": lambda: Overlay(open_store(str(tmp_path / "index"))),
        "counting": lambda: CountingStore(MemoryStore()),
        "S3 by moto": lambda: s3("moto"),
        "S3 by localstack": lambda: s3("localstack"),
        "overlay on S3": lambda: Overlay(s3("moto")),
        "guarded S3": lambda: guarded(s3("moto"), one_publisher=False, warn=pytest.fail),
        "one publisher's S3": lambda: guarded(s3("rclone"), one_publisher=True, warn=warnings.append),
    }
    return stores[request.param]()


def put(store: Store, path: str, data: bytes) -> str:
    answer = store.put(path, data, kind=Kind.STATE)
    assert isinstance(answer, Written)
    return answer.token


def content(store: Store, path: str) -> bytes | None:
    stored = store.get(path)
    return None if stored is None else stored.data


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.get("simple/demo/index.json") is None
    assert store.head("simple/demo/index.json") is None
    assert list(store.list("simple/")) == []
    with store.open("packages/demo.whl") as file:
        assert file is None


def test_what_was_put_is_there_with_the_token_that_the_put_gave(store: Store) -> None:
    token = put(store, "simple/demo/index.json", b"{}")

    stored = store.get("simple/demo/index.json")
    assert stored is not None
    assert (stored.data, stored.token) == (b"{}", token)
    assert store.head("simple/demo/index.json") in (
        Head(token=token, size=2, sha256=hashlib.sha256(b"{}").hexdigest()),
        Head(token=token, size=2),
    )


def test_what_was_put_is_opened_as_a_file_that_can_be_sought_in(store: Store) -> None:
    data = bytes(range(256)) * 1000
    put(store, "packages/x.whl", data)

    with store.open("packages/x.whl") as file:
        assert file is not None
        assert file.seekable()
        assert (file.read(3), file.seek(-2, io.SEEK_END), file.read()) == (data[:3], len(data) - 2, data[-2:])
        assert (file.seek(100_000), file.read(70_000), file.tell()) == (100_000, data[100_000:170_000], 170_000)
        assert (file.seek(0), file.read()) == (0, data)
        assert (file.seek(10, io.SEEK_END), file.read(1)) == (len(data) + 10, b"")


def test_a_folder_is_no_object_that_can_be_opened(store: Store) -> None:
    put(store, "simple/demo/index.json", b"{}")

    with store.open("simple/demo") as file:
        assert file is None
    with store.open("simple/demo/index.json/x") as file:
        assert file is None


def test_a_token_that_can_be_computed_is_the_one_that_the_store_gives(store: Store) -> None:
    token = put(store, "a", b"content")

    assert store.token_of(b"content") in {token, None}


def test_other_bytes_have_another_token_and_equal_bytes_the_same(store: Store) -> None:
    first, second, third = put(store, "a", b"1"), put(store, "a", b"2"), put(store, "a", b"1")

    assert first != second
    assert first == third


def test_put_if_absent_writes_once(store: Store) -> None:
    assert isinstance(store.put("packages/x.whl", b"1", kind=Kind.WHEEL, condition=IF_ABSENT), Written)
    assert store.put("packages/x.whl", b"2", kind=Kind.WHEEL, condition=IF_ABSENT) == Changed()
    assert content(store, "packages/x.whl") == b"1"


def test_put_if_match_writes_over_what_it_names_and_nothing_else(store: Store) -> None:
    token = put(store, "a", b"1")

    assert isinstance(store.put("a", b"2", kind=Kind.STATE, condition=IfMatch(token)), Written)
    assert store.put("a", b"3", kind=Kind.STATE, condition=IfMatch(token)) == Changed()
    assert content(store, "a") == b"2"


def test_put_if_match_does_not_write_where_nothing_is(store: Store) -> None:
    assert store.put("a", b"1", kind=Kind.STATE, condition=IfMatch("token")) == Changed()
    assert store.get("a") is None


@pytest.mark.parametrize("size", [0, 100, 9_000_000])  # the last is more than the S3 store holds in memory
def test_a_local_file_is_put_whole_and_once(store: Store, tmp_path: Path, size: int) -> None:
    source = tmp_path / "x.whl"
    source.write_bytes(bytes(range(100)) * (size // 100))

    first = store.put("packages/x.whl", source, kind=Kind.WHEEL, condition=IF_ABSENT)
    source.write_bytes(bytes(size + 1))
    second = store.put("packages/x.whl", source, kind=Kind.WHEEL, condition=IF_ABSENT)

    assert isinstance(first, Written)
    assert second == Changed()
    head = store.head("packages/x.whl")
    assert head is not None
    assert (head.token, head.size) == (first.token, size)


def test_listing_is_sorted_and_by_prefix(store: Store) -> None:
    for path in ("simple/b/index.json", "packages/x.whl", "simple/a/index.json", "simple/index.json"):
        put(store, path, b"")

    assert list(store.list("simple/")) == ["simple/a/index.json", "simple/b/index.json", "simple/index.json"]
    assert list(store.list("packages/")) == ["packages/x.whl"]
    assert list(store.list("simple/a")) == ["simple/a/index.json"]


OUTSIDE = ["../x", "a/../x", "/etc/x", "a//b", "a/", "", ".hidden", "a/.tmp/b", "a\\b", "a\0b"]


def test_a_path_that_would_leave_the_store_is_an_error(store: Store) -> None:
    for path in OUTSIDE:
        said = f"^{re.escape(repr(path))} is no path in an index$"
        with pytest.raises(ValueError, match=said):
            store.get(path)
        with pytest.raises(ValueError, match=said):
            store.head(path)
        with pytest.raises(ValueError, match=said), store.open(path):
            pass
        with pytest.raises(ValueError, match=said):
            store.put(path, b"", kind=Kind.STATE)


@pytest.mark.parametrize("store", ["directory", "memory", "S3 by moto"], indirect=True)
def test_a_file_that_changed_since_it_was_hashed_is_not_written(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "x.whl"
    source.write_bytes(b"changed")

    with pytest.raises(ServiceFailed, match=r"^packages/x\.whl changed while it was published; nothing was written"):
        store.put("packages/x.whl", source, kind=Kind.WHEEL, sha256=hashlib.sha256(b"checked").hexdigest())

    assert store.get("packages/x.whl") is None


@pytest.mark.parametrize(
    ("store", "rounds"),
    [("directory", 20), ("S3 by moto", 3), ("S3 by localstack", 3)],
    indirect=["store"],
)
def test_of_many_writers_at_once_one_wins(store: Store, rounds: int) -> None:
    for i in range(rounds):
        token = put(store, f"simple/{i}", b"old")
        created = race(store, f"packages/{i}", None)
        swapped = race(store, f"simple/{i}", token)

        assert (len(created), len(swapped)) == (1, 1)
        assert content(store, f"packages/{i}") == created[0]
        assert content(store, f"simple/{i}") == swapped[0]


def race(store: Store, path: str, token: str | None) -> list[bytes]:
    """Let twenty threads put other bytes on one condition; return the bytes of those that were told they did."""
    won: list[bytes] = []
    start = threading.Barrier(20)

    def write(data: bytes) -> None:
        start.wait()
        condition = IfMatch(token) if token else IF_ABSENT
        if isinstance(store.put(path, data, kind=Kind.WHEEL, condition=condition), Written):
            won.append(data)

    threads = [threading.Thread(target=write, args=(b"%d" % i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won
