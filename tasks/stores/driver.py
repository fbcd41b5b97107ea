"""Runs a protocol against a store: carries operations out, side by side where they may be, and hands answers back.

The calling thread alone advances generators, so that a protocol needs no locks; a few other threads do nothing but
operations. However deep generators are nested in one another, they need no further threads.
"""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field
from io import FileIO
from queue import SimpleQueue
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.core.candidates import Candidate
from tasks.core.errors import Unreadable
from tasks.core.storage import Get, Inspect, Look, Together
from tasks.core.wheels import problems
from tasks.wheelfile import UnreadableWheel, read_open_wheel, skim_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import BinaryIO

    from tasks.core.storage import Operation, Request
    from tasks.core.wheels import WheelContents
    from tasks.stores import Store

T = TypeVar("T")

THREADS = 32
"""Operations that are carried out at the same time."""
_IN_MEMORY = 1 << 20  # bytes of a wheel that is read through; of a larger one the rest goes to a temporary file
_CHUNK = 1 << 20


def drive(
    steps: Generator[Operation, Any, T],
    store: Store,
    *,
    threads: int = THREADS,
    returned: Callable[[object], None] = lambda _: None,
) -> T:
    """Carry out every operation that ``steps`` yields; return what it returns.

    ``returned`` is told what each generator returns that ran beside others. When something is raised, by an operation
    or by a generator, nothing new is begun, what is under way ends, and the first that was raised is raised here. An
    interruption waits for nothing: the threads are daemons.
    """
    run = _Run(store, threads, returned)
    try:
        result: T = run.result_of(steps)
    except Exception:
        run.wait()
        raise
    finally:
        run.end()
    return result


@dataclass(slots=True, eq=False)
class _Task:
    """A generator that was begun."""

    steps: Generator[Operation, Any, Any]
    group: _Group | None = None
    place: int = 0
    """Which of its group it is."""


@dataclass(slots=True, eq=False)
class _Group:
    """Generators that run beside one another, and the one that waits for them."""

    parent: _Task
    waiting: Iterator[Generator[Operation, Any, Any]]
    results: list[Any] = field(default_factory=list)
    running: int = 0
    begun: bool = False
    """Whether all were begun."""


class _Run:
    def __init__(self, store: Store, threads: int, returned: Callable[[object], None]) -> None:
        self._store = store
        self._limit = threads
        self._returned = returned
        self._groups: list[_Group] = []
        """Those of which some are to be begun, the newest last: it goes first, so that few are begun at any time."""
        self._under_way = 0
        self._threads = 0
        self._work: SimpleQueue[tuple[_Task, Request] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[_Task, object, BaseException | None]] = SimpleQueue()
        self._results: list[Any] = []

    def result_of(self, steps: Generator[Operation, Any, T]) -> T:
        self._advance(_Task(steps), None)
        while not self._results:
            if self._groups and self._under_way < self._limit:
                self._begin_one()
                continue
            task, answer, error = self._done.get()
            self._under_way -= 1
            if error is not None:
                raise error
            self._advance(task, answer)
        result: T = self._results[0]
        return result

    def wait(self) -> None:
        """Wait until what is under way has ended, well or not."""
        while self._under_way:
            self._done.get()
            self._under_way -= 1

    def end(self) -> None:
        """Let the threads end when they have nothing more to do."""
        for _ in range(self._threads):
            self._work.put(None)

    def _begin_one(self) -> None:
        """Begin the next generator of the newest group that has one."""
        group = self._groups[-1]
        steps = next(group.waiting, None)
        if steps is None:
            self._groups.pop()
            group.begun = True
            if not group.running:
                self._advance(group.parent, group.results)
            return
        group.running += 1
        group.results.append(None)
        self._advance(_Task(steps, group, len(group.results) - 1), None)

    def _advance(self, task: _Task, answer: object) -> None:
        """Give a generator its answer, and see to what it asks for next, or, when it has ended, to who waits for it."""
        while True:
            try:
                operation = task.steps.send(answer)
            except StopIteration as stop:
                if task.group is None:
                    self._results.append(stop.value)
                    return
                group = task.group
                group.results[task.place] = stop.value
                group.running -= 1
                self._returned(stop.value)
                if group.running or not group.begun:
                    return
                task, answer = group.parent, group.results
                continue
            if isinstance(operation, Together):
                self._groups.append(_Group(task, iter(operation.steps)))
            else:
                self._submit(task, operation)
            return

    def _submit(self, task: _Task, operation: Request) -> None:
        self._under_way += 1
        self._work.put((task, operation))
        if self._threads < self._under_way:
            self._threads += 1
            threading.Thread(target=self._carry_out, daemon=True).start()

    def _carry_out(self) -> None:
        while (item := self._work.get()) is not None:
            task, operation = item
            try:
                self._done.put((task, perform(operation, self._store), None))
            except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
                self._done.put((task, None, error))


def perform(operation: Request, store: Store) -> object:
    """Carry out one operation."""
    if isinstance(operation, Get | Look):
        try:
            return store.get(operation.path) if isinstance(operation, Get) else store.head(operation.path)
        except Unreadable as error:
            return str(error)
    if isinstance(operation, Inspect):
        return inspect(operation.path, store, operation.sha256)
    return store.put(
        operation.path,
        operation.data,
        kind=operation.kind,
        condition=operation.condition,
        sha256=operation.sha256,
    )


def inspect(path: str, store: Store, sha256: str | None = None) -> Candidate | str:
    """Read a stored wheel, only in parts where its ``sha256`` is known; return what it is, or why it is no wheel.

    A store that fails is :class:`ServiceFailed`; that one wheel cannot be read is a reason like others.
    """
    try:
        with store.open(path) as file:
            if file is None:
                return "it is gone"
            contents = _contents(file, path.rpartition("/")[2], sha256)
    except (UnreadableWheel, Unreadable) as error:
        return str(error)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    found = list(problems(contents))
    return "; ".join(found) if found else Candidate.of(contents, None)


def _contents(file: BinaryIO, filename: str, sha256: str | None) -> WheelContents:
    if isinstance(getattr(file, "raw", None), FileIO):  # it lies here, where reading all of it costs no request
        return read_open_wheel(file, filename)
    if sha256 is not None:
        return skim_wheel(file, filename, sha256)
    with SpooledTemporaryFile(_IN_MEMORY) as copy:  # zipfile and the digest would each fetch all of it
        shutil.copyfileobj(file, copy, _CHUNK)
        return read_open_wheel(copy, filename)
