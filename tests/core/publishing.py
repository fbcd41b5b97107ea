"""Publishes over a store in memory, and tells what was done."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

from packaging.utils import canonicalize_name

from tasks.core.candidates import Candidate
from tasks.core.index import ProjectPage
from tasks.core.protocol import Context, publish
from tasks.core.rebuilding import rebuild
from tasks.core.settings import Policy, Settings
from tasks.core.stock import Stock
from tasks.core.storage import Changed
from tasks.core.yanking import yank
from tests.core.scheduler import Lines, perform, sequential
from tests.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Generator

    from tasks.core.candidates import Result
    from tasks.core.storage import Operation

T = TypeVar("T")
TIME = "2026-01-02T03:04:05.000000Z"


def wheel(
    filename: str = "demo-1.0-py3-none-any.whl",
    content: bytes = b"ours",
    *,
    record: bytes | None = None,
    recipe: str | None = None,
    log: bytes | None = None,
    provenance: bytes | None = None,
    metadata: str = "",
) -> Candidate:
    return Candidate(
        filename=filename,
        project=canonicalize_name(filename.partition("-")[0]),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        metadata=metadata.encode() or b"Name: demo\nX-From: " + content,
        source=content,
        record=record,
        recipe=recipe,
        log=log,
        provenance=provenance,
    )


def context_of(*, known_tokens: bool = True, policy: Policy | None = None, static_json: bool = False) -> Context:
    token_of = MemoryStore(known_tokens=known_tokens).token_of
    return Context(render=Lines(), token_of=token_of, upload_time=TIME, policy=policy, static_json=static_json)


def policy(name: str = "demo", *, index_url: str | None = None, **settings: Any) -> Policy:  # noqa: ANN401 - of Settings
    """What a matrix says that names one project."""
    return Policy(projects={canonicalize_name(name): Settings(**settings)}, index_url=index_url)


def yanking(
    *filenames: str, reason: str | None = "broken", known_tokens: bool = True, static_json: bool = False
) -> Generator[Operation, Any, tuple[Result, ...]]:
    return yank(filenames, reason, context_of(known_tokens=known_tokens, static_json=static_json))


def steps(
    *wheels: Candidate,
    known_tokens: bool = True,
    policy: Policy | None = None,
    static_json: bool = False,
) -> Generator[Operation, Any, tuple[Result, ...]]:
    context = context_of(known_tokens=known_tokens, policy=policy, static_json=static_json)
    return publish(wheels, context)


def rebuilding(store: MemoryStore, **context: Any) -> Generator[Operation, Any, tuple[Result, ...]]:  # noqa: ANN401 - of context_of
    """What makes the store's index whole."""
    context.setdefault("known_tokens", store.known_tokens)
    return rebuild(Stock.of(store.objects), context_of(**context))


def run(store: MemoryStore, generator: Generator[Operation, Any, T], *known: Candidate) -> tuple[list[str], T]:
    """Return what was done, a word and a path each, and what the generator returns."""
    asked: list[str] = []
    answer: object = None
    stored = {one.source: one for one in known if isinstance(one.source, bytes)}
    requests = sequential(generator)
    while True:
        try:
            operation = requests.send(answer)
        except StopIteration as stop:
            return asked, stop.value
        answer = perform(operation, store, stored)
        refused = " refused" if isinstance(answer, Changed) else ""
        asked.append(f"{type(operation).__name__.lower()} {operation.path}{refused}")


def published(*wheels: Candidate, known_tokens: bool = True, static_json: bool = False) -> MemoryStore:
    store = MemoryStore(known_tokens=known_tokens)
    run(store, steps(*wheels, known_tokens=known_tokens, static_json=static_json))
    return store


def page(store: MemoryStore, name: str = "demo") -> ProjectPage:
    path = f"simple/{name}/index.json"
    return ProjectPage.from_json(store.objects[path], path)
