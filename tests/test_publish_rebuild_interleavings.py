"""A rebuild beside publishers, killed anywhere: the real generators under every interleaving, over a store in memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tasks.core.rebuilding import rebuild
from tasks.core.stock import Stock
from tests.core.publishing import context_of, published, run, steps, yanking
from tests.core.scheduler import Scheduler, without
from tests.stores.memory import MemoryStore
from tests.test_publish_interleavings import (
    KNOWN,
    OF_A_PROJECT,
    OF_THE_LIST,
    OTHER,
    OURS,
    PAGE,
    SECOND,
    STATE,
    after_its_state,
    as_it_is,
    check,
    finished,
    is_left_out,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from tasks.core.candidates import Candidate, Result
    from tasks.core.storage import Operation
    from tests.core.scheduler import Publisher
    from tests.test_publish_interleavings import Mutation

REBUILD, YANK = "rebuild", "yank"
BARE = {f"packages/{one.filename}": one.source for one in (OURS,) if isinstance(one.source, bytes)}
SCENES: dict[str, tuple[Candidate | str, ...]] = {
    "two rebuilds": (REBUILD, REBUILD),
    "beside another wheel": (REBUILD, SECOND),
    "beside the same wheel": (REBUILD, OURS),
    "beside another project": (REBUILD, OTHER),
    "of a whole index, beside another wheel": (REBUILD, SECOND),
    "of a whole index, beside a yank": (REBUILD, YANK),
}


def publisher(
    act: Candidate | str,
    objects: dict[str, bytes],
    looked_at: str,
    *,
    known_tokens: bool,
    mutation: Mutation = as_it_is,
) -> Publisher:
    how: dict[str, Any] = {"known_tokens": known_tokens, "static_json": "json" in looked_at}

    def acting() -> Generator[Operation, Any, tuple[Result, ...]]:
        if act == REBUILD:
            return rebuild(Stock.of(objects), context_of(**how))
        if isinstance(act, str):
            return yanking(OURS.filename, **how)
        return steps(act, **how)

    def running() -> Generator[Operation, Any, tuple[Result, ...]]:
        results = yield from without(partial(is_left_out, looked_at), mutation(acting()))
        return results or ()

    return running


def explored(
    scene: str, looked_at: str, *, known_tokens: bool = True, mutation: Mutation = as_it_is
) -> tuple[Scheduler, set[tuple[int, ...]]]:
    """Explore a scene; return the scheduler and the states."""
    made = published(OURS, known_tokens=known_tokens, static_json="json" in looked_at).objects
    objects = made if "whole" in scene else BARE
    start = {path: data for path, data in objects.items() if not is_left_out(looked_at, path)}
    how: dict[str, Any] = {"known_tokens": known_tokens, "mutation": mutation}
    publishers = [publisher(act, start, looked_at, **how) for act in SCENES[scene]]

    def check_finished(objects: dict[str, bytes], _: int, results: tuple[Result, ...]) -> None:
        finished(looked_at, objects, results)

    scheduler = Scheduler(publishers, KNOWN, check, check_finished, known_tokens=known_tokens)
    states = scheduler.explore(start)
    print(f"{scene}; {looked_at}: {len(states)} states")
    return scheduler, states


@pytest.mark.parametrize("known_tokens", [True, False], ids=["tokens known", "tokens unknown"])
@pytest.mark.parametrize("looked_at", [*OF_A_PROJECT, *OF_THE_LIST])
@pytest.mark.parametrize("scene", SCENES)
def test_a_rebuild_beside_others_keeps_the_invariants_and_a_rerun_completes(
    scene: str, looked_at: str, *, known_tokens: bool
) -> None:
    scheduler, states = explored(scene, looked_at, known_tokens=known_tokens)

    assert len(states) > 30
    settled = set()
    for store in {state[0] for state in states}:
        end = store
        for i in range(len(SCENES[scene])):
            end, _ = scheduler.rerun(end, i)
        settled.add(end)
    for end in settled:
        left = scheduler.objects.of(end)
        whole(looked_at, left)
        again = publisher(REBUILD, left, looked_at, known_tokens=known_tokens)
        asked, _ = run(MemoryStore(left, known_tokens=known_tokens), again(), *KNOWN.values())
        assert not [step for step in asked if step.startswith("put")], "I5"


@pytest.mark.parametrize("scene", ["of a whole index, beside another wheel", "of a whole index, beside a yank"])
def test_a_rebuild_that_reads_pages_after_their_state_brings_them_back_behind_it(scene: str) -> None:
    with pytest.raises(AssertionError, match=r"^I4"):
        explored(scene, "html", mutation=after_its_state(PAGE, STATE))
