"""Explores every interleaving of publishers over a store in memory, with a crash possible at every step.

A publisher is a generator, which cannot be copied; but what it does next follows from the answers that it was given, so
it is brought back to a place by giving it those again. What it does next also follows from its frames: where each stands
and what its variables hold. So a place is known by its frames, a state of the world is the store's objects and each
publisher's place, and equal states are visited once, whatever answers led there.

What goes together is begun together, and each part of it moves by itself: a driver that has fewer threads does nothing
that is not found here.

No publisher waits for another, so one that was killed is one that has no turn any more: in every state that is visited
any of the publishers may be dead. ``crashes`` makes them die as a step of its own, which finds the same objects.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.core.candidates import Candidate, Outcome, Result
from tasks.core.storage import Get, Inspect, Look, Operation, Put, Request, Together, Written
from tests.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from tasks.core.index import ProjectPage
    from tasks.core.project_list import ProjectList

    Publisher = Callable[[], Generator[Operation, Any, tuple[Result, ...]]]

T = TypeVar("T")
DEAD = -1


class Lines:
    """Renders pages that a test can read: the serial, then a line for each file or project."""

    def project(self, page: ProjectPage) -> bytes:
        files = (f"{file.filename} {file.sha256} {file.core_metadata} {file.yanked}" for file in page.offered)
        return "\n".join([f"{page.serial} {page.settings.status}", *files]).encode()

    def projects(self, listed: ProjectList) -> bytes:
        return "\n".join([str(listed.serial), *(project.name for project in listed.projects)]).encode()

    def home(self, listed: ProjectList) -> bytes:
        names = (f"{project.name} {project.newest}" for project in listed.projects)
        return "\n".join([str(listed.serial), *names]).encode()


def sequential(steps: Generator[Operation, Any, T]) -> Generator[Request, Any, T]:
    """Do what goes together one after the other, in order."""
    answer: Any = None
    while True:
        try:
            operation = steps.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if isinstance(operation, Together):
            answer = []
            for each in operation.steps:
                answer.append((yield from sequential(each)))
        else:
            answer = yield operation


def perform(operation: Request, store: MemoryStore, known: dict[bytes, Candidate]) -> object:
    """Carry an operation out."""
    if isinstance(operation, Get):
        return store.get(operation.path)
    if isinstance(operation, Look):
        return store.head(operation.path)
    if isinstance(operation, Inspect):
        found = known.get(store.objects[operation.path])
        return replace(found, source=None) if found else "it is no zip file"
    return store.put(operation.path, operation.data, kind=operation.kind, condition=operation.condition)


def done(results: tuple[Result, ...]) -> list[str]:
    """Return the names of the wheels that were reported as being on the index."""
    return [one.filename for one in results if one.outcome not in {Outcome.REFUSED, Outcome.INVALID}]


class Node:
    """A generator that was begun, and those that it waits for."""

    def __init__(self, steps: Generator[Operation, Any, Any]) -> None:
        self.steps = steps
        self.request: Request | None = None
        self.children: list[Node] = []
        self.finished = False
        self.result: Any = None
        self._send(None)

    def pending(self, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Request]]:
        """Yield what is asked for by now, and by whom."""
        if self.request is not None:
            yield path, self.request
        for i, child in enumerate(self.children):
            yield from child.pending((*path, i))

    def give(self, path: tuple[int, ...], answer: object) -> None:
        """Give an answer to who has asked for it."""
        if not path:
            self._send(answer)
            return
        self.children[path[0]].give(path[1:], answer)
        self._gather()

    def place(self) -> str:
        """Return where the frames stand and what their variables hold."""
        if self.finished:
            return repr(self.result)
        children = [child.place() for child in self.children]
        return re.sub(r" at 0x[0-9a-f]+", "", repr(_frames(self.steps))) + "".join(f"[{child}]" for child in children)

    def _send(self, answer: object) -> None:
        self.request, self.children = None, []
        try:
            operation = self.steps.send(answer)
        except StopIteration as stop:
            self.finished, self.result = True, stop.value
            return
        if isinstance(operation, Together):
            self.children = [Node(steps) for steps in operation.steps]
            self._gather()
        else:
            self.request = operation

    def _gather(self) -> None:
        if all(child.finished for child in self.children):
            self._send([child.result for child in self.children])


def _frames(steps: Generator[Any, Any, Any]) -> list[object]:
    """Return a generator's frames with their variables, and of each generator that is held in one its own frames.

    Functions are told by their names.
    """
    frames: list[object] = []
    inner: Any = steps
    while inner is not None:
        if inner.gi_frame is not None:
            held = inner.gi_frame.f_locals.items()
            variables = [(name, _frames(value) if inspect.isgenerator(value) else value) for name, value in held]
            frames.append((inner.gi_code.co_qualname, inner.gi_frame.f_lasti, sorted(variables, key=itemgetter(0))))
        inner = inner.gi_yieldfrom
    return frames


@dataclass(frozen=True, slots=True)
class Place:
    """Where a publisher stands: what it asks for, the path's number with each; its results, when it has finished."""

    requests: tuple[tuple[tuple[int, ...], Request, int], ...]
    results: tuple[Result, ...] | None
    history: tuple[tuple[tuple[int, ...], object], ...]
    """The answers that lead there, and who was given each."""


class Machine:
    """A publisher as its places, and the moves between them."""

    def __init__(self, publisher: Publisher, objects: Objects) -> None:
        self._publisher = publisher
        self._objects = objects
        self._known: dict[str, int] = {}
        self._nodes: dict[int, Node] = {}
        """Generators that stand at a place by now: each saves going there once."""
        self.places: list[Place] = []
        self.moves: dict[tuple[int, int, int], tuple[int, int]] = {}
        """By place, request, and what lies at its path: what lies there afterwards, and the next place."""
        self._place(Node(publisher()), ())

    def move(self, place: int, which: int, content: int) -> tuple[int, int]:
        """Carry a request out; return what lies at its path afterwards, and the next place."""
        key = (place, which, content)
        if key not in self.moves:
            who, request, _ = self.places[place].requests[which]
            answer, after = self._objects.perform(request, content)
            node = self._nodes.pop(place, None) or self._gone_to(place)
            node.give(who, answer)
            self.moves[key] = (after, self._place(node, (*self.places[place].history, (who, answer))))
        return self.moves[key]

    def _gone_to(self, place: int) -> Node:
        node = Node(self._publisher())
        for who, answer in self.places[place].history:
            node.give(who, answer)
        return node

    def _place(self, node: Node, history: tuple[tuple[tuple[int, ...], object], ...]) -> int:
        known = node.place()
        if known not in self._known:
            self._known[known] = place = len(self.places)
            requests = tuple((who, asked, self._objects.path(asked.path)) for who, asked in node.pending())
            self.places.append(Place(requests, node.result if node.finished else None, history))
            self._nodes[place] = node
        return self._known[known]


class Objects:
    """Numbers for paths, for what lies there (0: nothing), and for whole stores: a number for each path."""

    def __init__(self, known: dict[bytes, Candidate], *, known_tokens: bool) -> None:
        self._known = known
        self._known_tokens = known_tokens
        self.paths: dict[str, int] = {}
        self._contents: dict[bytes | None, int] = {None: 0}
        self._data: list[bytes | None] = [None]
        self._stores: dict[tuple[int, ...], int] = {}
        self.stores: list[tuple[int, ...]] = []
        self.puts: dict[tuple[int, int, int], int] = {}

    def path(self, path: str) -> int:
        return self.paths.setdefault(path, len(self.paths))

    def perform(self, request: Request, content: int) -> tuple[object, int]:
        """Carry a request out where ``content`` lies; return its answer and what lies there afterwards."""
        data = self._data[content]
        store = MemoryStore({} if data is None else {request.path: data}, known_tokens=self._known_tokens)
        answer = perform(request, store, self._known)
        return answer, self._content(store.objects.get(request.path))

    def number(self, objects: Mapping[str, bytes]) -> int:
        """Return a store's number."""
        contents = [0] * (1 + max((self.path(path) for path in sorted(objects)), default=-1))
        for path, data in objects.items():
            contents[self.path(path)] = self._content(data)
        return self._store(tuple(contents))

    def of(self, store: int) -> dict[str, bytes]:
        """Return what a store holds."""
        paths = list(self.paths)
        found = {paths[i]: self._data[content] for i, content in enumerate(self.stores[store])}
        return {path: data for path, data in found.items() if data is not None}

    def put(self, store: int, path: int, content: int) -> int:
        """Return the number of a store in which something else lies at a path."""
        contents = list(self.stores[store])
        contents += [0] * (path + 1 - len(contents))  # never more, so that equal stores have equal numbers
        contents[path] = content
        return self._store(tuple(contents))

    def _content(self, data: bytes | None) -> int:
        if data not in self._contents:
            self._contents[data] = len(self._data)
            self._data.append(data)
        return self._contents[data]

    def _store(self, contents: tuple[int, ...]) -> int:
        if contents not in self._stores:
            self._stores[contents] = len(self.stores)
            self.stores.append(contents)
        return self._stores[contents]


@dataclass(slots=True)
class Scheduler:
    """Runs ``publishers``, each of which may be killed at any step; ``check`` sees every step that changes something."""

    publishers: Sequence[Publisher]
    known: dict[bytes, Candidate]
    """What stored bytes are when they are inspected."""
    check: Callable[[dict[str, bytes], dict[str, bytes]], None]
    finished: Callable[[dict[str, bytes], int, tuple[Result, ...]], None]
    """Told the objects, which publisher has finished, and its results."""
    known_tokens: bool = True
    crashes: bool = False
    objects: Objects = field(init=False)
    machines: list[Machine] = field(init=False)
    _ends: dict[tuple[int, int, int], tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.objects = Objects(self.known, known_tokens=self.known_tokens)
        self.machines = [Machine(publisher, self.objects) for publisher in self.publishers]

    def explore(self, objects: Mapping[str, bytes]) -> set[tuple[int, ...]]:
        """Visit every state that can be reached: the store's number, and for each publisher that of its place."""
        start = (self.objects.number(objects), *(0 for _ in self.machines))
        seen, todo = {start}, [start]
        told: set[tuple[int, int, int]] = set()
        while todo:
            world = todo.pop()
            for i, machine in enumerate(self.machines):
                place = world[i + 1]
                if place == DEAD:
                    continue
                results = machine.places[place].results
                if results is not None:
                    if (world[0], i, place) not in told:
                        told.add((world[0], i, place))
                        self.finished(self.objects.of(world[0]), i, results)
                    continue
                for after in self._after(world, i, machine):
                    if after not in seen:
                        seen.add(after)
                        todo.append(after)
        return seen

    def _after(self, world: tuple[int, ...], i: int, machine: Machine) -> Iterator[tuple[int, ...]]:
        """Yield what one publisher may do next."""
        store, place = world[0], world[i + 1]
        contents = self.objects.stores[store]
        for which, (_, _, path) in enumerate(machine.places[place].requests):
            content = contents[path] if path < len(contents) else 0
            after, moved = machine.moves.get((place, which, content)) or machine.move(place, which, content)
            stored = store if after == content else self._put(store, path, after)
            yield (stored, *world[1 : i + 1], moved, *world[i + 2 :])
        if self.crashes:
            yield (*world[: i + 1], DEAD, *world[i + 2 :])

    def _put(self, store: int, path: int, content: int) -> int:
        key = (store, path, content)
        if key not in self.objects.puts:
            after = self.objects.put(store, path, content)
            self.check(self.objects.of(store), self.objects.of(after))
            self.objects.puts[key] = after
        return self.objects.puts[key]

    def rerun(self, store: int, i: int) -> tuple[int, int]:
        """Run one publisher alone, to its end; return the store's number by then, and how many puts were asked for."""
        machine, place, puts = self.machines[i], 0, 0
        passed: list[tuple[tuple[int, int, int], int]] = []
        while machine.places[place].results is None:
            if (store, i, place) in self._ends:
                break
            passed.append(((store, i, place), puts))
            _, request, path = machine.places[place].requests[0]
            puts += isinstance(request, Put)
            contents = self.objects.stores[store]
            content = contents[path] if path < len(contents) else 0
            after, place = machine.move(place, 0, content)
            store = store if after == content else self._put(store, path, after)
        end, more = self._ends.get((store, i, place), (store, 0))
        for key, before in passed:
            self._ends[key] = (end, puts - before + more)
        return end, puts + more


def without(dropped: Callable[[str], bool], steps: Generator[Operation, Any, Any]) -> Generator[Operation, Any, Any]:
    """Leave out what is done with some paths: nothing is found there, and what is put there is taken as written.

    What begins with such a path is left out as a whole: it brings up that page.
    """
    answer: Any = None
    first = True
    while True:
        try:
            operation = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        if isinstance(operation, Together):
            answer = yield Together(without(dropped, each) for each in operation.steps)
        elif first and dropped(operation.path):
            return None
        elif not dropped(operation.path):
            answer = yield operation
        elif isinstance(operation, Put):
            answer = Written("dropped")
        else:
            answer = None
        first = False
