"""Work side by side, for as long as somebody waits for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")


class Later(Generic[R]):
    """Work that has begun beside the caller's; as with :func:`side_by_side`, nobody waits for it at exit.

    It must import nothing that others import meanwhile: a package and one of its modules, imported by two threads, may
    wait for each other.
    """

    def __init__(self, work: Callable[[], R]) -> None:
        self._work = work
        self._done: list[R] = []
        self._raised: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._done.append(self._work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
            self._raised.append(error)

    def result(self) -> R:
        """Wait, and return what the work returned, or raise what it raised."""
        self._thread.join()
        if self._raised:
            raise self._raised[0]
        return self._done[0]


def side_by_side(work: Callable[[T], R], items: Iterable[T], threads: int) -> list[R]:
    """Return ``work`` of each item, in the items' order; what it raises first is raised here, after all have ended.

    The threads are daemons: an interruption waits for no server. ``concurrent.futures`` would join them at exit.
    """
    waiting = list(enumerate(items))[::-1]
    done: dict[int, R] = {}
    raised: list[BaseException] = []

    def run() -> None:
        while not raised:
            try:
                number, item = waiting.pop()
            except IndexError:
                return
            try:
                done[number] = work(item)
            except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
                raised.append(error)

    running = [threading.Thread(target=run, daemon=True) for _ in range(min(threads, len(waiting)))]
    for thread in running:
        thread.start()
    try:
        for thread in running:
            thread.join()
    except KeyboardInterrupt:
        waiting.clear()
        raise
    if raised:
        raise raised[0]
    return [done[number] for number in sorted(done)]
