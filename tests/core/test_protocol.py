from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from tasks.core.candidates import Candidate, Outcome
from tasks.core.errors import Refused
from tasks.core.index import ProjectList, ProjectPage
from tasks.core.protocol import Context, publish
from tasks.core.storage import Changed, Get, IfMatch, Kind, Put
from tests.core.scheduler import Lines, Scheduler, done, perform
from tests.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Generator

    from tasks.core.candidates import Result
    from tasks.core.storage import Operation

TIME = "2026-01-02T03:04:05.000000Z"


def wheel(
    filename: str = "demo-1.0-py3-none-any.whl",
    content: bytes = b"ours",
    *,
    record: bytes | None = None,
    recipe: str | None = None,
    log: bytes | None = None,
) -> Candidate:
    return Candidate(
        filename=filename,
        project=canonicalize_name(filename.partition("-")[0]),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        metadata=b"Name: demo\nX-From: " + content,
        source=content,
        record=record,
        recipe=recipe,
        log=log,
    )


def steps(
    *wheels: Candidate, known_tokens: bool = True, rebuild: list[str] | None = None
) -> Generator[Operation, Any, tuple[Result, ...]]:
    token_of = MemoryStore(known_tokens=known_tokens).token_of
    context = Context(render=Lines(), token_of=token_of, upload_time=TIME)
    return publish(wheels, context, rebuild=None if rebuild is None else [canonicalize_name(name) for name in rebuild])


def run(
    store: MemoryStore, generator: Generator[Operation, Any, tuple[Result, ...]], *known: Candidate
) -> tuple[list[str], tuple[Result, ...]]:
    """Return what was done, a word and a path each, and the results."""
    asked: list[str] = []
    answer: object = None
    stored = {one.source: one for one in known if isinstance(one.source, bytes)}
    while True:
        try:
            operation = generator.send(answer)
        except StopIteration as stop:
            return asked, stop.value
        answer = perform(operation, store, stored)
        refused = " refused" if isinstance(answer, Changed) else ""
        asked.append(f"{type(operation).__name__.lower()} {operation.path}{refused}")


def published(*wheels: Candidate) -> MemoryStore:
    store = MemoryStore()
    run(store, steps(*wheels))
    return store


def page(store: MemoryStore, name: str = "demo") -> ProjectPage:
    path = f"simple/{name}/index.json"
    return ProjectPage.from_json(store.objects[path], path)


# ── What one publisher does ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_wheel_is_written_before_what_lists_it_and_the_list_last() -> None:
    asked, results = run(MemoryStore(), steps(wheel(record=b"{}", log=b"log")))

    assert [one for one in asked if one.startswith("put")] == [
        "put packages/demo-1.0-py3-none-any.whl",
        "put packages/demo-1.0-py3-none-any.whl.metadata",
        "put records/demo-1.0-py3-none-any.whl.json",
        "put logs/demo-1.0-py3-none-any.whl.txt.gz",
        "put simple/demo/index.json",
        "put simple/demo/index.html",
        "put simple/index.json",
        "put simple/index.html",
        "put index.html",
    ]
    assert [(one.filename, one.outcome) for one in results] == [("demo-1.0-py3-none-any.whl", Outcome.PUBLISHED)]


def test_one_more_wheel_costs_eight_requests_for_installers_and_two_for_people() -> None:
    store = published(wheel(), wheel("other-1-py3-none-any.whl"))

    asked, _ = run(store, steps(wheel("demo-2.0-py3-none-any.whl", b"newer")))

    assert asked == [
        "get index.html",
        "get simple/index.json",
        "get simple/demo/index.json",
        "put packages/demo-2.0-py3-none-any.whl",
        "put packages/demo-2.0-py3-none-any.whl.metadata",
        "put simple/demo/index.json",
        "put simple/demo/index.html",
        "put simple/index.json",
        "put simple/index.html",
        "put index.html",
    ]


def test_nothing_new_costs_two_requests_and_one_for_each_project() -> None:
    store = published(wheel(), wheel("other-1-py3-none-any.whl"))

    asked, results = run(store, steps(wheel(), wheel("other-1-py3-none-any.whl")))

    assert asked == [
        "get index.html",
        "get simple/index.json",
        "get simple/demo/index.json",
        "get simple/other/index.json",
    ]
    assert {one.outcome for one in results} == {Outcome.UNCHANGED}


def test_no_wheels_cost_two_requests() -> None:
    asked, results = run(published(wheel()), steps())

    assert asked == ["get index.html", "get simple/index.json"]
    assert results == ()


def test_an_empty_index_stays_empty_when_there_is_nothing_to_publish() -> None:
    store = MemoryStore()
    run(store, steps())

    assert store.objects == {}


def test_the_upload_time_is_that_of_the_first_publish() -> None:
    store = published(wheel())
    later = Context(render=Lines(), token_of=store.token_of, upload_time="2030-01-01T00:00:00.000000Z")

    run(store, publish([wheel(), wheel("demo-2.0-py3-none-any.whl", b"newer")], later))

    assert [file.upload_time for file in page(store).files] == [TIME, "2030-01-01T00:00:00.000000Z"]


def test_a_record_that_comes_later_is_added_with_its_recipe() -> None:
    store = published(wheel())

    _, results = run(store, steps(wheel(record=b"{}", recipe="k")))

    assert results[0].outcome is Outcome.UNCHANGED
    assert store.objects["records/demo-1.0-py3-none-any.whl.json"] == b"{}"
    assert page(store).files[0].recipe == "k"


def test_other_bytes_under_a_published_name_are_refused_and_the_other_wheels_go_out() -> None:
    store = published(wheel())
    ours, theirs = hashlib.sha256(b"other").hexdigest(), hashlib.sha256(b"ours").hexdigest()

    _, results = run(store, steps(wheel(content=b"other"), wheel("demo-2.0-py3-none-any.whl")))

    assert [(one.outcome, one.note) for one in results] == [
        (
            Outcome.REFUSED,
            f"it is published with other bytes: sha256 {theirs}, offered {ours}; raise its version or its build number",
        ),
        (Outcome.PUBLISHED, ""),
    ]
    assert store.objects["packages/demo-1.0-py3-none-any.whl"] == b"ours"


def test_an_unlisted_wheel_with_our_bytes_is_listed() -> None:
    store = MemoryStore({"packages/demo-1.0-py3-none-any.whl": b"ours"})

    _, results = run(store, steps(wheel()), wheel())

    assert (results[0].outcome, results[0].note) == (Outcome.PUBLISHED, "")
    assert page(store).file("demo-1.0-py3-none-any.whl") is not None


def test_an_unlisted_wheel_with_other_bytes_is_adopted_with_its_own_metadata_and_without_our_record() -> None:
    stored = wheel(content=b"theirs")
    store = MemoryStore({"packages/demo-1.0-py3-none-any.whl": b"theirs"})

    _, results = run(store, steps(wheel(record=b"{}", recipe="k")), stored)

    assert (results[0].outcome, results[0].note) == (
        Outcome.ADOPTED,
        (
            "packages/demo-1.0-py3-none-any.whl was in the index already, listed nowhere, with other bytes: "
            "those were kept and listed"
        ),
    )
    assert page(store).files == (stored.entry(TIME),)
    assert store.objects["packages/demo-1.0-py3-none-any.whl.metadata"] == stored.metadata
    assert "records/demo-1.0-py3-none-any.whl.json" not in store.objects


def test_an_unlisted_wheel_that_is_no_wheel_is_refused_and_left_alone() -> None:
    store = MemoryStore({"packages/demo-1.0-py3-none-any.whl": b"torn"})

    _, results = run(store, steps(wheel()))

    assert (results[0].outcome, results[0].note) == (
        Outcome.REFUSED,
        (
            "packages/demo-1.0-py3-none-any.whl is in the index, listed nowhere, and not a whole wheel "
            "(it is no zip file): remove it by hand"
        ),
    )
    assert store.objects == {"packages/demo-1.0-py3-none-any.whl": b"torn"}


def test_wrong_metadata_beside_a_wheel_are_replaced() -> None:
    store = MemoryStore({"packages/demo-1.0-py3-none-any.whl.metadata": b"wrong"})

    run(store, steps(wheel()))

    assert store.objects["packages/demo-1.0-py3-none-any.whl.metadata"] == wheel().metadata


def test_a_page_of_another_tool_is_not_replaced() -> None:
    store = published(wheel("other-1-py3-none-any.whl"))
    store.objects["simple/demo/index.html"] = b"foreign"

    _, results = run(store, steps(wheel(), wheel("more-1-py3-none-any.whl")))

    assert [(one.filename, one.outcome, one.note) for one in results] == [
        (
            "demo-1.0-py3-none-any.whl",
            Outcome.REFUSED,
            (
                "simple/demo/index.html was written by another tool, and its links would be lost: "
                "run publish -- --rebuild first"
            ),
        ),
        ("more-1-py3-none-any.whl", Outcome.PUBLISHED, ""),
    ]
    assert store.objects["simple/demo/index.html"] == b"foreign"


def test_an_index_of_another_tool_is_not_written_to() -> None:
    store = MemoryStore({"simple/index.html": b"foreign"})

    with pytest.raises(Refused, match=r"^simple/index\.html was written by another tool, and its links would be lost"):
        run(store, steps(wheel()))

    assert store.objects == {"simple/index.html": b"foreign"}


def test_keys_of_a_page_that_we_do_not_know_survive() -> None:
    store = published(wheel())
    path = "simple/demo/index.json"
    store.objects[path] = store.objects[path].replace(
        b'"name":"demo"', b'"name":"demo","project-status":{"status":"x"}'
    )

    run(store, steps(wheel("demo-2.0-py3-none-any.whl")))

    assert page(store).extra == {"project-status": {"status": "x"}}
    assert len(page(store).files) == 2


def test_rebuilding_a_lost_state_goes_on_from_the_serial_that_the_list_has() -> None:
    store = published(wheel())
    run(store, steps(wheel("demo-2.0-py3-none-any.whl")))
    del store.objects["simple/demo/index.json"]
    stored = [replace(one, source=None) for one in (wheel(), wheel("demo-2.0-py3-none-any.whl"))]

    run(store, steps(*stored, rebuild=["demo"]))

    assert page(store).serial == 3
    assert store.objects["simple/demo/index.html"] == Lines().project(page(store))
    assert ProjectList.from_json(store.objects["simple/index.json"]).serial_of(canonicalize_name("demo")) == 3


# ── What many publishers do, killed at any step ───────────────────────────────────────────────────────────────────────


@functools.cache
def links_of(path: str, data: bytes) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return a page's serial and, by file name, the hashes of the wheel and of its metadata that it states."""
    if path.endswith(".json"):
        state = ProjectPage.from_json(data, path)
        return state.serial, {file.filename: (file.sha256, file.core_metadata or "") for file in state.files}
    serial, *lines = data.decode().split("\n")
    return int(serial), {name: (a, b) for name, a, b in (line.split(" ") for line in lines)}


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
            assert listed.serial_of(state.name) == state.serial
    assert objects["simple/index.html"] == Lines().projects(listed)
    assert objects["index.html"] == Lines().home(listed)


OURS = wheel()
THEIRS = wheel(content=b"theirs")
NEWER = wheel("demo-2.0-py3-none-any.whl", b"newer")
OTHER = wheel("other-1-py3-none-any.whl", b"other")
SCENES = {
    "two wheels of one project": (OURS, NEWER),
    "the same wheel": (OURS, OURS),
    "one name with two contents": (OURS, THEIRS),
    "two projects": (OURS, OTHER),
}


@pytest.mark.parametrize("known_tokens", [True, False], ids=["tokens known", "tokens unknown"])
@pytest.mark.parametrize("scene", SCENES)
def test_two_publishers_killed_anywhere_keep_the_invariants_and_a_rerun_completes(
    scene: str,
    known_tokens: bool,  # noqa: FBT001
) -> None:
    pair = SCENES[scene]
    known = {one.source: one for one in (OURS, THEIRS, NEWER, OTHER) if isinstance(one.source, bytes)}
    publishers = [partial(steps, one, known_tokens=known_tokens) for one in pair]
    scheduler = Scheduler(publishers, known, check, finished, known_tokens=known_tokens)

    states, ends = scheduler.explore({})

    print(f"{scene}: {len(states)} states, {len(ends)} ends")
    assert len(states) > 500
    for objects in {end.objects for end in ends}:
        store = MemoryStore(dict(objects), known_tokens=known_tokens)
        for one in pair:
            run(store, steps(one, known_tokens=known_tokens), *known.values())
        whole(store.objects)
        settled = dict(store.objects)
        for one in pair:
            asked, _ = run(store, steps(one, known_tokens=known_tokens), *known.values())
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
    assert len(left) == 7


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
