"""Explores every interleaving of publishers over a store in memory, with a crash possible at every step.

A publisher is a generator, which cannot be copied; but what it does next follows from the answers that it was given. So
a state of the world is the store's objects and each publisher's answers so far, and equal states are visited once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tasks.core.candidates import Candidate, Outcome, Result
from tasks.core.storage import Get, Inspect, Operation
from tests.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tasks.core.index import ProjectList, ProjectPage

    Publisher = Callable[[], Generator[Operation, Any, tuple[Result, ...]]]


class Lines:
    """Renders pages that a test can read: the serial, then a line for each file or project."""

    def project(self, page: ProjectPage) -> bytes:
        files = (f"{file.filename} {file.sha256} {file.core_metadata}" for file in page.files)
        return "\n".join([str(page.serial), *files]).encode()

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
    _next: dict[tuple[int, tuple[object, ...]], tuple[Operation | None, tuple[Result, ...]]] = field(
        default_factory=dict
    )

    def explore(self, objects: dict[str, bytes]) -> tuple[set[World], set[World]]:
        """Visit every state that can be reached; return all of them, and those in which nobody has a step left."""
        start = World(tuple(sorted(objects.items())), tuple(() for _ in self.publishers))
        seen, ends, todo = {start}, set(), [start]
        while todo:
            world = todo.pop()
            following = list(self._steps(world))
            if all(self._step(i, answers)[0] is None for i, answers in enumerate(world.answers) if answers is not None):
                ends.add(world)
            for after in following:
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
        return seen, ends

    def _steps(self, world: World) -> Generator[World]:
        for i, answers in enumerate(world.answers):
            if answers is None:
                continue
            operation, results = self._step(i, answers)
            if operation is None:
                self.finished(dict(world.objects), i, results)
                continue
            before = dict(world.objects)
            store = MemoryStore(before, known_tokens=self.known_tokens)
            answer = perform(operation, store, self.known)
            self.check(before, store.objects)
            yield World(tuple(sorted(store.objects.items())), _with(world.answers, i, (*answers, answer)))
            if self.crashes:
                yield replace(world, answers=_with(world.answers, i, None))

    def _step(self, i: int, answers: tuple[object, ...]) -> tuple[Operation | None, tuple[Result, ...]]:
        """Return what a publisher asks next after these answers; None, and its results, when it has finished."""
        key = (i, answers)
        if key not in self._next:
            steps = self.publishers[i]()
            try:
                operation = next(steps)
                for answer in answers:
                    operation = steps.send(answer)
                self._next[key] = operation, ()
            except StopIteration as stop:
                self._next[key] = None, stop.value
        return self._next[key]


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
