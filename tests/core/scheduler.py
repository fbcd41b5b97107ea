"""Explores every interleaving of publishers over a store in memory, with a crash possible at every step.

A publisher is a generator, which cannot be copied; but what it does next follows from the answers that it was given, so
it is brought back to a place by giving it those again. What it does next also follows from its frames: where each stands
and what its variables hold. So a state of the world is the store's objects and each publisher's frames, and equal states
are visited once, whatever answers led there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tasks.core.candidates import Candidate, Outcome, Result
from tasks.core.storage import Get, Inspect, Operation
from tests.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tasks.core.index import ProjectPage
    from tasks.core.project_list import ProjectList

    Publisher = Callable[[], Generator[Operation, Any, tuple[Result, ...]]]


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


@dataclass(frozen=True, slots=True)
class World:
    """The store's objects and, for each publisher, the answers that it has been given; None for one that was killed."""

    objects: tuple[tuple[str, bytes], ...]
    answers: tuple[tuple[object, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What a publisher asks next; None, and its results, when it has finished. ``place`` is all that it knows."""

    operation: Operation | None
    results: tuple[Result, ...]
    place: str


@dataclass(slots=True)
class Scheduler:
    """Runs ``publishers``, each of which may be killed at any step; ``check`` sees every step."""

    publishers: Sequence[Publisher]
    known: dict[bytes, Candidate]
    """What stored bytes are when they are inspected."""
    check: Callable[[dict[str, bytes], dict[str, bytes]], None]
    finished: Callable[[dict[str, bytes], int, tuple[Result, ...]], None]
    """Told the objects, which publisher has finished, and its results."""
    known_tokens: bool = True
    crashes: bool = True
    _next: dict[tuple[int, tuple[object, ...]], Step] = field(default_factory=dict)

    def explore(self, objects: dict[str, bytes]) -> tuple[set[World], set[World]]:
        """Visit every state that can be reached; return all of them, and those in which nobody has a step left."""
        start = World(tuple(sorted(objects.items())), tuple(() for _ in self.publishers))
        seen, ends, todo = {self._key(start): start}, set(), [start]
        while todo:
            world = todo.pop()
            following = list(self._steps(world))
            steps = [self._step(i, answers) for i, answers in enumerate(world.answers) if answers is not None]
            if all(step.operation is None for step in steps):
                ends.add(world)
            todo += [after for after in following if seen.setdefault(self._key(after), after) is after]
        return set(seen.values()), ends

    def _key(self, world: World) -> tuple[object, ...]:
        """Return what the world's future depends on."""
        places = [None if each is None else self._step(i, each).place for i, each in enumerate(world.answers)]
        return world.objects, *places

    def _steps(self, world: World) -> Generator[World]:
        for i, answers in enumerate(world.answers):
            if answers is None:
                continue
            step = self._step(i, answers)
            if step.operation is None:
                self.finished(dict(world.objects), i, step.results)
                continue
            before = dict(world.objects)
            store = MemoryStore(before, known_tokens=self.known_tokens)
            answer = perform(step.operation, store, self.known)
            self.check(before, store.objects)
            yield World(tuple(sorted(store.objects.items())), _with(world.answers, i, (*answers, answer)))
            if self.crashes:
                yield replace(world, answers=_with(world.answers, i, None))

    def _step(self, i: int, answers: tuple[object, ...]) -> Step:
        """Return what a publisher does next after these answers."""
        key = (i, answers)
        if key not in self._next:
            steps = self.publishers[i]()
            try:
                operation = next(steps)
                for answer in answers:
                    operation = steps.send(answer)
                self._next[key] = Step(operation, (), _place(steps))
            except StopIteration as stop:
                self._next[key] = Step(None, stop.value, repr(stop.value))
        return self._next[key]


def _place(steps: Generator[Any, Any, Any]) -> str:
    """Return where a generator's frames stand and what their variables hold; functions are told by their names."""
    frames = []
    inner: Any = steps
    while inner is not None:
        frames.append((inner.gi_code.co_qualname, inner.gi_frame.f_lasti, sorted(inner.gi_frame.f_locals.items())))
        inner = inner.gi_yieldfrom
    return re.sub(r" at 0x[0-9a-f]+", "", repr(frames))


def perform(operation: Operation, store: MemoryStore, known: dict[bytes, Candidate]) -> object:
    """Carry an operation out."""
    if isinstance(operation, Get):
        return store.get(operation.path)
    if isinstance(operation, Inspect):
        return known.get(store.objects[operation.path], "it is no zip file")
    return store.put(operation.path, operation.data, kind=operation.kind, condition=operation.condition)


def _with(
    answers: tuple[tuple[object, ...] | None, ...], i: int, new: tuple[object, ...] | None
) -> tuple[tuple[object, ...] | None, ...]:
    return (*answers[:i], new, *answers[i + 1 :])


def done(results: tuple[Result, ...]) -> list[str]:
    """Return the names of the wheels that were reported as being on the index."""
    return [one.filename for one in results if one.outcome not in {Outcome.REFUSED, Outcome.INVALID}]
