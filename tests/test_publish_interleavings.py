"""What many publishers do, killed at any step: the real protocol under every interleaving, over a store in memory."""

from __future__ import annotations

import functools
import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from tasks.core.index import ProjectPage
from tasks.core.project_list import ProjectList
from tasks.core.release_json import project_json, version_json
from tasks.core.storage import Get, IfMatch, Kind, Put
from tests.core.publishing import TIME, published, run, steps, wheel, yanking
from tests.core.scheduler import Lines, Scheduler, done, perform
from tests.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tasks.core.candidates import Candidate, Result
    from tasks.core.storage import Operation
    from tests.core.scheduler import Publisher


@functools.cache
def links_of(path: str, data: bytes) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return a page's serial and, by file name, the hashes of the wheel and of its metadata that it states."""
    if path.endswith(".json"):
        state = ProjectPage.from_json(data, path)
        return state.serial, {file.filename: (file.sha256, file.core_metadata or "") for file in state.files}
    serial, *lines = data.decode().split("\n")
    return int(serial.split(" ")[0]), {name: (a, b) for name, a, b, _ in (line.split(" ") for line in lines)}


def links(objects: dict[str, bytes]) -> dict[str, tuple[int, dict[str, tuple[str, str]]]]:
    """Return the links of every project's pages."""
    return {
        path: links_of(path, data)
        for path, data in objects.items()
        if path.startswith("simple/") and path.count("/") == 2
    }


@functools.cache
def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """Check I1, I3 and I4 for one step."""
    if before == after:
        return
    for _, files in links(after).values():
        for filename, stated in files.items():
            path = f"packages/{filename}"
            assert (sha256(after.get(path, b"")), sha256(after.get(f"{path}.metadata", b""))) == stated, "I1"
    for path in (path for path in before if path.endswith(".whl")):
        assert after.get(path) == before[path], "I3"
    for path, (serial, files) in links(before).items():
        now_serial, now_files = links(after)[path]
        assert now_serial >= serial, "I4: the serial"
        assert now_files.items() >= files.items(), "I4: the links"
    for path in (path for path in before if path.startswith("pypi/")):
        assert json.loads(after[path])["last_serial"] >= json.loads(before[path])["last_serial"], "I4: release JSON"
    for path in ("simple/index.html", "index.html"):
        assert int(after.get(path, b"0").split(b"\n")[0]) >= int(before.get(path, b"0").split(b"\n")[0]), "I4: the list"


def finished(objects: dict[str, bytes], _: int, results: tuple[Result, ...]) -> None:
    """Check I2 for a publisher that has reported its results."""
    for filename in done(results):
        name = canonicalize_name(filename.partition("-")[0])
        for form in ("json", "html"):
            assert filename in links(objects)[f"simple/{name}/index.{form}"][1], "I2"
        assert name in ProjectList.from_json(objects["simple/index.json"]).to_json().decode(), "I2: the list"


def whole(objects: dict[str, bytes]) -> None:
    """Check that every page is what its state renders to, and that the list knows every project's serial."""
    listed = ProjectList.from_json(objects["simple/index.json"])
    states = {
        path: data for path, data in objects.items() if path.startswith("simple/") and path.endswith("/index.json")
    }
    for path, data in states.items():
        if path != "simple/index.json":
            state = ProjectPage.from_json(data, path)
            assert objects[path.replace(".json", ".html")] == Lines().project(state)
            assert objects[f"pypi/{state.name}/json"] == project_json(state)
            for version in state.versions:
                assert objects[f"pypi/{state.name}/{version}/json"] == version_json(state, version)
            assert listed.serial_of(state.name) == state.serial
    assert objects["simple/index.html"] == Lines().projects(listed)
    assert objects["index.html"] == Lines().home(listed)


OURS = wheel()
THEIRS = wheel(content=b"theirs")
NEWER = wheel("demo-2.0-py3-none-any.whl", b"newer")
OTHER = wheel("other-1-py3-none-any.whl", b"other")
YANK = "yank"
UNYANK = "unyank"
SCENES: dict[str, tuple[Candidate | str, Candidate | str]] = {
    "two wheels of one project": (OURS, NEWER),
    "the same wheel": (OURS, OURS),
    "one name with two contents": (OURS, THEIRS),
    "two projects": (OURS, OTHER),
    "a yank beside a new wheel": (YANK, NEWER),
    "a yank beside the same wheel": (YANK, OURS),
    "two yanks": (YANK, YANK),
    "a yank beside an unyank": (YANK, UNYANK),
}


def publisher(one: Candidate | str, *, known_tokens: bool = True) -> Publisher:
    """Return what publishes a wheel, or yanks or unyanks ours."""
    if isinstance(one, str):
        return partial(yanking, OURS.filename, reason="broken" if one == YANK else None, known_tokens=known_tokens)
    return partial(steps, one, known_tokens=known_tokens)


def finished_in(pair: tuple[Candidate | str, ...]) -> Callable[[dict[str, bytes], int, tuple[Result, ...]], None]:
    """Return a check that what a publisher reports is so; a yank beside an unyank may be undone by then."""

    def check_finished(objects: dict[str, bytes], i: int, results: tuple[Result, ...]) -> None:
        finished(objects, i, results)
        if pair[i] == YANK and UNYANK not in pair:
            state = ProjectPage.from_json(objects["simple/demo/index.json"], "state")
            assert [file.yanked for file in state.files if file.filename == OURS.filename] == ["broken"]
            assert b" broken" in objects["simple/demo/index.html"]

    return check_finished


@pytest.mark.parametrize("known_tokens", [True, False], ids=["tokens known", "tokens unknown"])
@pytest.mark.parametrize("scene", SCENES)
def test_two_publishers_killed_anywhere_keep_the_invariants_and_a_rerun_completes(
    scene: str,
    known_tokens: bool,  # noqa: FBT001
) -> None:
    pair = SCENES[scene]
    known = {one.source: one for one in (OURS, THEIRS, NEWER, OTHER) if isinstance(one.source, bytes)}
    publishers = [publisher(one, known_tokens=known_tokens) for one in pair]
    scheduler = Scheduler(publishers, known, check, finished_in(pair), known_tokens=known_tokens)

    states, ends = scheduler.explore(published(OURS).objects if YANK in pair else {})

    print(f"{scene}: {len(states)} states, {len(ends)} ends")
    assert len(states) > (100 if YANK in pair else 500)
    for objects in {end.objects for end in ends}:
        store = MemoryStore(dict(objects), known_tokens=known_tokens)
        for one in publishers:
            run(store, one(), *known.values())
        whole(store.objects)
        settled = dict(store.objects)
        for one in publishers[-1:] if UNYANK in pair else publishers:
            asked, _ = run(store, one(), *known.values())
            assert not [step for step in asked if step.startswith("put")], "I5"
        assert store.objects == settled


def test_a_publisher_that_is_rerun_beside_another_one_keeps_the_invariants() -> None:
    """The killed publisher's rerun is a third one; it starts from every state that the killed one may have left."""
    left = {}
    asked, _ = run(MemoryStore(), steps(OURS))
    for killed_after in range(len(asked)):
        store, generator, answer = MemoryStore(), steps(OURS), None
        for _ in range(killed_after):
            answer = perform(generator.send(answer), store, {})
        left[tuple(sorted(store.objects))] = store.objects
    total = 0
    for objects in left.values():
        scheduler = Scheduler(
            [partial(steps, OURS), partial(steps, NEWER)], {b"ours": OURS}, check, finished, crashes=False
        )
        states, ends = scheduler.explore(objects)
        total += len(states)
        for end in ends:
            whole(dict(end.objects))
    print(f"{len(left)} starts, {total} states")
    assert len(left) == 9


def test_the_scheduler_notices_a_page_that_is_written_before_its_wheel() -> None:
    def hasty() -> Generator[Operation, Any, tuple[Result, ...]]:
        state = ProjectPage(name=canonicalize_name("demo")).merged([OURS.entry(TIME)])
        yield Put(path="simple/demo/index.json", data=state.to_json(), kind=Kind.STATE)
        yield Put(path="packages/demo-1.0-py3-none-any.whl", data=b"ours", kind=Kind.WHEEL)
        return ()

    with pytest.raises(AssertionError, match="I1"):
        Scheduler([hasty], {}, check, finished).explore({})


def test_the_scheduler_notices_a_page_that_is_read_after_its_state() -> None:
    """The order of the two reads matters: this one overwrites a newer page with an older state."""

    def careless() -> Generator[Operation, Any, tuple[Result, ...]]:
        state = yield Get("simple/demo/index.json")
        shown = yield Get("simple/demo/index.html")
        rendered = Lines().project(ProjectPage.from_json(state.data, "state"))
        yield Put(path="simple/demo/index.html", data=rendered, kind=Kind.PAGE, condition=IfMatch(shown.token))
        return ()

    store = published(OURS)
    with pytest.raises(AssertionError, match="I4"):
        Scheduler([careless, partial(steps, NEWER)], {b"ours": OURS}, check, finished).explore(store.objects)
