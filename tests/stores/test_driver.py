"""Operations side by side, over a store that takes a while for each, as a remote one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.core.errors import ServiceFailed
from tasks.core.storage import Kind
from tasks.core.swaps import get, put, together
from tasks.stores.driver import drive
from tests.stores.memory import CountingStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tasks.core.storage import Operation, Stored

    Steps = Generator[Operation, Any, Any]


class SlowStore(CountingStore):
    """Takes ``seconds`` for each reading, fails for some paths, and remembers how many went on at the same time."""

    def __init__(self, seconds: float = 0.02, *, failing: str = "", waits_for: str = "") -> None:
        super().__init__(MemoryStore())
        self._seconds = seconds
        self._failing = failing
        self._waits_for = waits_for
        self._failed = threading.Event()
        self.under_way: set[str] = set()
        self.most = 0
        self.ended: list[str] = []

    def get(self, path: str) -> Stored | None:
        with self._lock:
            self.under_way.add(path)
            self.most = max(self.most, len(self.under_way))
        if path == self._failing:
            self._failed.set()
            raise ServiceFailed(f"{path} is broken")
        if path == self._waits_for:
            self._failed.wait()
        time.sleep(self._seconds)
        with self._lock:
            self.under_way.discard(path)
            self.ended.append(path)
        return super().get(path)


def number(path: str, *, value: int) -> Generator[Operation, Any, int]:
    yield from get(path)
    return value


def test_what_goes_together_is_answered_in_its_order_whatever_ends_first() -> None:
    def steps() -> Steps:
        return (yield from together(number("x/" * (i % 3) + "y", value=i) for i in range(40)))

    assert drive(steps(), SlowStore(0.001)) == list(range(40))


def test_nothing_together_is_answered_by_an_empty_list() -> None:
    def steps() -> Steps:
        nothing: list[Any] = yield from together(())
        nested: list[Any] = yield from together(together(()) for _ in range(3))
        return nothing, nested

    assert drive(steps(), SlowStore()) == ([], [[], [], []])


def test_as_many_operations_go_on_at_once_as_there_are_threads_however_deep_they_are_nested() -> None:
    def leaf(i: int, j: int) -> Steps:
        yield from get(f"{i}/{j}/a")
        yield from get(f"{i}/{j}/b")

    def branch(i: int) -> Steps:
        yield from get(f"{i}")
        yield from together(leaf(i, j) for j in range(5))

    def steps() -> Steps:
        yield from together(branch(i) for i in range(8))

    before = threading.active_count()
    store = SlowStore()
    drive(steps(), store, threads=6)

    assert store.most == 6
    assert store.requests["get"] == 8 * (1 + 5 * 2)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threading.active_count() <= before


def test_generators_are_begun_when_there_is_room_and_the_innermost_ones_first() -> None:
    alive, most = 0, 0

    def part() -> Steps:
        yield from get("part")

    def item() -> Steps:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        yield from get("item")
        yield from together(part() for _ in range(3))
        alive -= 1

    def steps() -> Steps:
        yield from together(item() for _ in range(500))

    drive(steps(), SlowStore(0), threads=4)

    assert most <= 2 * 4  # at most one waiting for its parts for each operation that is under way


def test_only_the_calling_thread_advances_generators() -> None:
    advancing: set[int] = set()

    def item() -> Steps:
        for _ in range(3):
            advancing.add(threading.get_ident())
            yield from get("x")

    def steps() -> Steps:
        yield from together(item() for _ in range(20))

    drive(steps(), SlowStore(0.001))

    assert advancing == {threading.get_ident()}


def test_what_each_generator_returns_is_told() -> None:
    told: list[object] = []

    def steps() -> Steps:
        yield from together(number(f"{i}", value=i) for i in range(5))
        return "all"

    drive(steps(), SlowStore(), returned=told.append)

    assert sorted(told, key=str) == [0, 1, 2, 3, 4]


def test_after_an_error_nothing_new_begins_what_is_under_way_ends_and_the_first_error_is_raised() -> None:
    begun: list[int] = []

    def item(i: int) -> Steps:
        begun.append(i)
        yield from get(f"item/{i}")
        yield from put(f"written/{i}", b"", Kind.PAGE, None)

    def steps() -> Steps:
        yield from together(item(i) for i in range(100))

    store = SlowStore(failing="item/2", waits_for="item/1")
    with pytest.raises(ServiceFailed, match=r"^item/2 is broken$"):
        drive(steps(), store, threads=3)

    assert len(begun) <= 4  # the first may have ended before
    assert "item/1" in store.ended
    assert store.requests["put"] <= 1


def test_an_error_of_a_generator_is_raised_after_what_is_under_way_has_ended() -> None:
    def hasty() -> Iterator[Steps]:
        yield get("slow")
        raise ServiceFailed("no more")

    def steps() -> Steps:
        yield from together(hasty())

    store = SlowStore()
    with pytest.raises(ServiceFailed, match=r"^no more$"):
        drive(steps(), store)

    assert store.ended == ["slow"]


HANGING = r"""
import os, threading
from tasks.core.swaps import get, together
from tasks.stores.driver import drive
class Hanging:
    location = "nowhere"
    def get(self, path):
        os.write(1, b"asked\n")  # in one piece: all threads do
        threading.Event().wait()
def steps():
    yield from together(get(str(i)) for i in range(4))
drive(steps(), Hanging())
"""


def test_an_interruption_waits_for_no_answer() -> None:
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", HANGING]
    with subprocess.Popen(command, env=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as hanging:
        try:
            assert hanging.stdout is not None
            assert [hanging.stdout.readline() for _ in range(4)] == ["asked\n"] * 4
            hanging.send_signal(signal.SIGINT)
            start = time.monotonic()
            _, said = hanging.communicate(timeout=20)
        finally:
            hanging.kill()

    assert said == "error: interrupted; run the same command again to go on\n"
    assert time.monotonic() - start < 5
