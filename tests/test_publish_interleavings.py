"""What many publishers do, killed at any step: the real protocol under every interleaving, over a store in memory.

A page that is rendered from a state tells nobody anything but its readers, so each is looked at without the others: what
one page and the states go through together with the other pages, they go through without them, too. That keeps the
number of states small enough for three publishers; one scene is looked at whole, to see that it is so.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from tasks.core.index import ProjectPage
from tasks.core.project_list import ProjectList
from tasks.core.release_json import project_json, version_json
from tasks.core.storage import Get, Put, Together, Written
from tests.core.publishing import published, steps, wheel, yanking
from tests.core.scheduler import Lines, Scheduler, done, without

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tasks.core.candidates import Candidate, Result
    from tasks.core.storage import Operation
    from tests.core.scheduler import Publisher

    Mutation = Callable[[Generator[Operation, Any, Any]], Generator[Operation, Any, Any]]

# ── What has to hold ──────────────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def links_of(path: str, data: bytes) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return a page's serial and, by file name, the hashes of the wheel and of its metadata that it states."""
    if path.startswith("json/") or path.endswith(".json"):
        state = ProjectPage.from_json(data, path)
        return state.serial, {file.filename: (file.sha256, file.core_metadata or "") for file in state.files}
    serial, *lines = data.decode().split("\n")
    return int(serial.split(" ")[0]), {name: (a, b) for name, a, b, _ in (line.split(" ") for line in lines)}


def links(objects: dict[str, bytes]) -> dict[str, tuple[int, dict[str, tuple[str, str]]]]:
    """Return the links of every project's pages."""
    return {path: links_of(path, data) for path, data in objects.items() if re.match("(simple|json)/[^/]+/", path)}


@functools.cache
def serial_of(path: str, data: bytes | None) -> int:
    """Return the serial of release JSON, or of a page that shows the list."""
    if data is None:
        return 0
    if path.startswith("pypi/"):
        serial: int = json.loads(data)["last_serial"]
        return serial
    return ProjectList.from_json(data).serial if path.startswith("json/") else int(data.split(b"\n")[0])


@functools.cache
def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """Check I3, I1 and I4 for one step."""
    for path in (path for path in before if path.endswith(".whl")):
        assert after.get(path) == before[path], "I3"
    shown = links(after)
    for _, files in shown.values():
        for filename, stated in files.items():
            path = f"packages/{filename}"
            assert (sha256(after.get(path, b"")), sha256(after.get(f"{path}.metadata", b""))) == stated, "I1"
    for path, (serial, files) in links(before).items():
        now_serial, now_files = shown[path]
        assert now_serial >= serial, "I4: the serial"
        assert now_files.items() >= files.items(), "I4: the links"
    for path, data in before.items():
        if path.startswith("pypi/") or path in {"simple/index.html", "json/index.html", "index.html"}:
            assert serial_of(path, after.get(path)) >= serial_of(path, data), f"I4: {path}"


# ── One page at a time ────────────────────────────────────────────────────────────────────────────────────────────────

PAGES = {
    "html": r"simple/[^/]+/index\.html",
    "json": r"json/[^/]+/index\.html",
    "release": r"pypi/[^/]+/json",
    "first version": r"pypi/[^/]+/1\.0/json",
    "second version": r"pypi/[^/]+/2\.0/json",
    "list html": r"simple/index\.html",
    "list json": r"json/index\.html",
    "home": r"index\.html",
}
"""What is rendered from states."""
OF_A_PROJECT = ["html", "json", "release", "first version", "second version"]
OF_THE_LIST = ["list html, home", "list json, home"]


@functools.cache
def is_left_out(looked_at: str, path: str) -> bool:
    """Whether a path is of a page that is not looked at."""
    looked = [pattern for name, pattern in PAGES.items() if name in looked_at.split(", ")]
    is_rendered = path.endswith(".html") or path.startswith("pypi/")
    return is_rendered and not any(re.fullmatch(pattern, path) for pattern in looked)


def finished(looked_at: str, objects: dict[str, bytes], results: tuple[Result, ...]) -> None:
    """Check I2 for a publisher that has reported its results."""
    serials = {one.filename: one.listed.serial if one.listed else 1 for one in results}
    for filename in done(results):
        name = canonicalize_name(filename.partition("-")[0])
        paths = {"json": f"json/{name}/index.html", "html": f"simple/{name}/index.html"}
        for path in [f"simple/{name}/index.json", *(paths[page] for page in looked_at.split(", ") if page in paths)]:
            assert filename in links(objects)[path][1], "I2"
        listed = ProjectList.from_json(objects["simple/index.json"])
        assert listed.serial_of(name) >= serials[filename], "I2: the list"


def whole(looked_at: str, objects: dict[str, bytes]) -> None:
    """Check that every page is what its state renders to, and that the list knows every project's serial."""
    listed = ProjectList.from_json(objects["simple/index.json"])
    expected = {
        "simple/index.html": Lines().projects(listed),
        "json/index.html": objects["simple/index.json"],
        "index.html": Lines().home(listed),
    }
    for path, data in objects.items():
        if re.fullmatch(r"simple/[^/]+/index\.json", path):
            state = ProjectPage.from_json(data, path)
            expected[path.replace(".json", ".html")] = Lines().project(state)
            expected[f"json/{state.name}/index.html"] = data
            expected[f"pypi/{state.name}/json"] = project_json(state)
            expected |= {f"pypi/{state.name}/{each}/json": version_json(state, each) for each in state.versions}
            assert listed.serial_of(state.name) == state.serial, "I5: the list"
    pages = {path for path in expected if not is_left_out(looked_at, path)}
    assert {path: objects.get(path) for path in pages} == {path: expected[path] for path in pages}, "I5: the pages"


# ── The scenes ────────────────────────────────────────────────────────────────────────────────────────────────────────

OURS = wheel()
THEIRS = wheel(content=b"theirs")
SECOND, THIRD, FOURTH = (wheel(f"demo-{number}.0-py3-none-any.whl", b"demo %d" % number) for number in (2, 3, 4))
OTHER, ANOTHER = (wheel(f"{name}-1-py3-none-any.whl", name.encode()) for name in ("other", "another"))
KNOWN = {
    one.source: one for one in (OURS, THEIRS, SECOND, THIRD, FOURTH, OTHER, ANOTHER) if isinstance(one.source, bytes)
}
YANK = "yank"
UNYANK = "unyank"
Acts = tuple["Candidate | str", ...]
SCENES: dict[str, Acts] = {
    "two wheels of one project": (OURS, SECOND),
    "the same wheel": (OURS, OURS),
    "one name with two contents": (OURS, THEIRS),
    "two projects": (OURS, OTHER),
    "a yank beside a new wheel": (YANK, SECOND),
    "a yank beside the same wheel": (YANK, OURS),
    "two yanks": (YANK, YANK),
    "a yank beside an unyank": (YANK, UNYANK),
}
SCENES_OF_THREE: dict[str, Acts] = {
    "three more wheels of a project": (SECOND, THIRD, FOURTH),
    "a wheel, its rerun and another one": (OURS, OURS, SECOND),
    "one name with two contents, and a rerun": (OURS, THEIRS, OURS),
    "two more wheels beside a yank": (YANK, SECOND, THIRD),
    "three projects": (OURS, OTHER, ANOTHER),
}
OF_PUBLISHED = {"three more wheels of a project"}
"""Scenes that begin with an index that has our wheel, as all do that yank it."""
EVERY_PAGE = ", ".join(PAGES)


def as_it_is(steps: Generator[Operation, Any, Any]) -> Generator[Operation, Any, Any]:
    return steps


def publisher(one: Candidate | str, looked_at: str, *, known_tokens: bool, mutation: Mutation) -> Publisher:
    """Return what publishes a wheel, or yanks or unyanks ours."""
    how: dict[str, Any] = {"known_tokens": known_tokens, "static_json": "json" in looked_at}

    def acting() -> Generator[Operation, Any, Any]:
        if isinstance(one, str):
            return yanking(OURS.filename, reason="broken" if one == YANK else None, **how)
        return steps(one, **how)

    return lambda: without(partial(is_left_out, looked_at), mutation(acting()))


def explored(
    scene: str,
    acts: Acts,
    looked_at: str,
    *,
    known_tokens: bool = True,
    crashes: bool = False,
    mutation: Mutation = as_it_is,
) -> tuple[Scheduler, set[tuple[int, ...]]]:
    """Explore a scene; return the scheduler and the states."""

    def check_finished(objects: dict[str, bytes], i: int, results: tuple[Result, ...]) -> None:
        finished(looked_at, objects, results)
        if acts[i] == YANK and UNYANK not in acts:  # beside which a yank may be undone by then
            state = ProjectPage.from_json(objects["simple/demo/index.json"], "state")
            assert [file.yanked for file in state.files if file.filename == OURS.filename] == ["broken"]
            assert "html" not in looked_at.split(", ") or b" broken" in objects["simple/demo/index.html"], (
                "I2: the yank"
            )

    publishers = [publisher(one, looked_at, known_tokens=known_tokens, mutation=mutation) for one in acts]
    scheduler = Scheduler(publishers, KNOWN, check, check_finished, known_tokens=known_tokens, crashes=crashes)
    start: dict[str, bytes] = {}
    if YANK in acts or scene in OF_PUBLISHED:
        start = published(OURS, known_tokens=known_tokens, static_json="json" in looked_at).objects
    states = scheduler.explore({path: data for path, data in start.items() if not is_left_out(looked_at, path)})
    print(f"{scene}; {looked_at}; tokens {'' if known_tokens else 'un'}known: {len(states)} states")
    return scheduler, states


def check_reruns(scheduler: Scheduler, states: set[tuple[int, ...]], acts: Acts, looked_at: str) -> None:
    """Check I5 of whatever killed publishers leave: in any state all who have not finished may be dead."""
    settled = set()
    for store in {state[0] for state in states}:
        end = store
        for i in range(len(acts)):
            end, _ = scheduler.rerun(end, i)
        settled.add(end)
    for end in settled:
        whole(looked_at, scheduler.objects.of(end))
        for i in [len(acts) - 1] if UNYANK in acts else range(len(acts)):
            assert scheduler.rerun(end, i) == (end, 0), "I5"


# ── The protocol as it is ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("known_tokens", [True, False], ids=["tokens known", "tokens unknown"])
@pytest.mark.parametrize("looked_at", [*OF_A_PROJECT, *OF_THE_LIST])
@pytest.mark.parametrize("scene", SCENES)
def test_two_publishers_killed_anywhere_keep_the_invariants_and_a_rerun_completes(
    scene: str,
    looked_at: str,
    known_tokens: bool,  # noqa: FBT001
) -> None:
    scheduler, states = explored(scene, SCENES[scene], looked_at, known_tokens=known_tokens)

    assert len(states) > 30
    check_reruns(scheduler, states, SCENES[scene], looked_at)


@pytest.mark.parametrize(
    ("scene", "looked_at", "known_tokens"),
    [
        ("three more wheels of a project", "html", True),
        ("three more wheels of a project", "json", True),
        ("three more wheels of a project", "second version", True),
        ("a wheel, its rerun and another one", "html", True),
        ("a wheel, its rerun and another one", "html", False),
        ("a wheel, its rerun and another one", "json", False),
        ("a wheel, its rerun and another one", "release", False),
        ("one name with two contents, and a rerun", "html", False),
        ("two more wheels beside a yank", "html", False),
        ("two more wheels beside a yank", "json", True),
        ("two more wheels beside a yank", "first version", True),
        ("three projects", "list html, home", True),
        ("three projects", "list json, home", False),
    ],
)
def test_three_publishers_killed_anywhere_keep_the_invariants_and_a_rerun_completes(
    scene: str,
    looked_at: str,
    known_tokens: bool,  # noqa: FBT001
) -> None:
    scheduler, states = explored(scene, SCENES_OF_THREE[scene], looked_at, known_tokens=known_tokens)

    assert len(states) > 5_000
    check_reruns(scheduler, states, SCENES_OF_THREE[scene], looked_at)


# ── Whether looking at one page at a time, and never at a crash as a step of its own, misses nothing ──────────────────


def test_one_page_and_the_states_go_through_without_the_others_what_they_go_through_with_them() -> None:
    scene, acts = "two projects", SCENES["two projects"]
    together, states = explored(scene, acts, EVERY_PAGE)
    check_reruns(together, states, acts, EVERY_PAGE)
    whole_stores = [together.objects.of(store) for store in {state[0] for state in states}]

    for looked_at in [*OF_A_PROJECT, *OF_THE_LIST]:
        alone, states = explored(scene, acts, looked_at)
        found = [alone.objects.of(store) for store in {state[0] for state in states}]
        for objects in whole_stores:
            assert {path: data for path, data in objects.items() if not is_left_out(looked_at, path)} in found


@pytest.mark.parametrize("scene", ["two wheels of one project", "a yank beside a new wheel"])
def test_a_publisher_that_dies_leaves_what_one_leaves_that_has_no_turn_any_more(scene: str) -> None:
    dying, states = explored(scene, SCENES[scene], "html", crashes=True)
    waiting, fewer = explored(scene, SCENES[scene], "html")

    assert len(states) > len(fewer)
    left, stood = (
        {tuple(sorted(scheduler.objects.of(state[0]).items())) for state in found}
        for scheduler, found in ((dying, states), (waiting, fewer))
    )
    assert left == stood


# ── Whether a wrong order is noticed ──────────────────────────────────────────────────────────────────────────────────


def later(late: str, until: str) -> Mutation:
    """Have puts of some paths take place after the put of another one, whatever is told to who asked for them."""

    def mutated(
        steps: Generator[Operation, Any, Any], held: tuple[list[Put], ...] = ()
    ) -> Generator[Operation, Any, Any]:
        held = held or ([],)
        answer: Any = None
        while True:
            try:
                operation = steps.send(answer)
            except StopIteration as stop:
                return stop.value
            if isinstance(operation, Together):
                answer = yield Together(mutated(each, held) for each in operation.steps)
            elif isinstance(operation, Put) and re.fullmatch(late, operation.path):
                held[0].append(operation)
                answer = Written("later")
            else:
                answer = yield operation
                while isinstance(operation, Put) and re.fullmatch(until, operation.path) and held[0]:
                    yield held[0].pop(0)

    return mutated


def unconditionally(paths: str) -> Mutation:
    """Put some paths whatever lies there."""

    def mutated(steps: Generator[Operation, Any, Any]) -> Generator[Operation, Any, Any]:
        answer: Any = None
        while True:
            try:
                operation = steps.send(answer)
            except StopIteration as stop:
                return stop.value
            if isinstance(operation, Together):
                operation = Together(mutated(each) for each in operation.steps)
            elif isinstance(operation, Put) and re.fullmatch(paths, operation.path):
                operation = replace(operation, condition=None)
            answer = yield operation

    return mutated


def after_its_state(page: str, state: str) -> Mutation:
    """Read a page after the state that it is brought up to, also where that is read for several pages."""

    def mutated(
        steps: Generator[Operation, Any, Any], held: tuple[list[Any], ...] = ()
    ) -> Generator[Operation, Any, Any]:
        held = held or ([],)
        answer: Any = None
        while True:
            try:
                operation = steps.send(answer)
            except StopIteration as stop:
                return stop.value
            if isinstance(operation, Together):
                answer = yield Together(mutated(each, held) for each in operation.steps)
            elif operation == Get(page):
                read = yield Get(state)
                answer = yield operation
                held[0].append(read)
            elif operation == Get(state) and held[0]:
                answer = held[0].pop()
            else:
                answer = yield operation

    return mutated


PAGE, JSON_PAGE, STATE = "simple/demo/index.html", "json/demo/index.html", "simple/demo/index.json"
LISTING, LIST_PAGE, JSON_LIST, HOME = "simple/index.json", "simple/index.html", "json/index.html", "index.html"
MORE = "a yank beside a new wheel"


@pytest.mark.parametrize(
    ("mutation", "scene", "looked_at", "invariant"),
    [
        pytest.param(later(r".*\.whl", STATE), "two projects", "html", "I1", id="the state before the wheel"),
        pytest.param(later(r".*\.metadata", STATE), "two projects", "html", "I1", id="the state before the metadata"),
        pytest.param(later(STATE, LISTING), "two wheels of one project", "html", "I2", id="the list before the state"),
        pytest.param(later(PAGE, LISTING), "two projects", "html", "I5: the pages", id="the list before the page"),
        pytest.param(
            later(JSON_PAGE, LISTING), "two projects", "json", "I5: the pages", id="the list before the JSON page"
        ),
        pytest.param(
            later(LIST_PAGE, HOME),
            "two projects",
            OF_THE_LIST[0],
            "I5: the pages",
            id="the home page before the list's",
        ),
        pytest.param(
            later(JSON_LIST, HOME),
            "two projects",
            OF_THE_LIST[1],
            "I5: the pages",
            id="the home page before the JSON one",
        ),
        pytest.param(
            unconditionally(r".*\.whl"), "one name with two contents", "html", "I3", id="a wheel over another"
        ),
        pytest.param(unconditionally(STATE), MORE, "html", "I4", id="a state over another"),
        pytest.param(unconditionally(LISTING), "two projects", "html", "I2", id="a list over another"),
        pytest.param(unconditionally(PAGE), MORE, "html", "I4", id="a page over another"),
        pytest.param(unconditionally(JSON_PAGE), MORE, "json", "I4", id="a JSON page over another"),
        pytest.param(unconditionally(LIST_PAGE), "two projects", OF_THE_LIST[0], "I4", id="a list's page over another"),
        pytest.param(unconditionally(JSON_LIST), "two projects", OF_THE_LIST[1], "I4", id="a JSON list over another"),
        pytest.param(after_its_state(PAGE, STATE), MORE, "html", "I4", id="a page is read after its state"),
        pytest.param(after_its_state(JSON_PAGE, STATE), MORE, "json", "I4", id="a JSON page is read after its state"),
        pytest.param(after_its_state(LIST_PAGE, LISTING), MORE, OF_THE_LIST[0], "I4", id="the list's page after it"),
        pytest.param(after_its_state(JSON_LIST, LISTING), MORE, OF_THE_LIST[1], "I4", id="the JSON list after it"),
    ],
)
def test_a_wrong_order_breaks_an_invariant(mutation: Mutation, scene: str, looked_at: str, invariant: str) -> None:
    with pytest.raises(AssertionError, match=f"^{invariant}"):  # noqa: PT012 - it may show in either
        scheduler, states = explored(scene, SCENES[scene], looked_at, known_tokens=False, mutation=mutation)
        check_reruns(scheduler, states, SCENES[scene], looked_at)
