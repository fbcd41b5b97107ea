"""Publishing under a matrix: statuses, tracks, attestations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tasks.core.candidates import Outcome
from tasks.core.settings import Policy, Settings, Status
from tests.attested import attestation, provenance, statement
from tests.core.publishing import page, policy, published, rebuilding, run, steps, wheel
from tests.core.scheduler import perform, sequential
from tests.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Generator

    from tasks.core.candidates import Result
    from tasks.core.storage import Request

ARCHIVED = policy(status=Status(state="archived", reason="moved"))
NEWER = wheel("demo-2.0-py3-none-any.whl")
PATH = "packages/demo-1.0-py3-none-any.whl.provenance"


def provenance_for(content: bytes = b"ours", **changes: str) -> bytes:
    one = wheel(content=content)
    return json.dumps(provenance(attestation(statement(one.filename, one.sha256)), **changes)).encode()


def test_a_status_is_set_without_a_new_wheel_and_only_where_it_changes() -> None:
    store = published(wheel(), wheel("other-1-py3-none-any.whl"))

    first, results = run(store, steps(policy=ARCHIVED))
    again, _ = run(store, steps(policy=ARCHIVED))

    assert first[:4] == [
        "get index.html",
        "get simple/index.json",
        "get simple/demo/index.json",
        "put simple/demo/index.json",
    ]
    assert again == ["get index.html", "get simple/index.json"]
    assert [(one.filename, one.outcome) for one in results] == [("simple/demo/index.json", Outcome.CHANGED)]
    assert page(store).settings == Settings(status=Status(state="archived", reason="moved"))


def test_a_status_that_the_matrix_does_not_name_any_more_goes() -> None:
    store = published(wheel())
    run(store, steps(policy=ARCHIVED))

    run(store, steps(policy=policy()))

    assert page(store).settings == Settings()


@pytest.mark.parametrize("other", [None, Policy(), policy("other")], ids=["no matrix", "an empty one", "another's"])
def test_a_project_that_the_matrix_does_not_name_keeps_its_status(other: Policy | None) -> None:
    store = published(wheel())
    run(store, steps(policy=ARCHIVED))

    asked, _ = run(store, steps(wheel(), policy=other))

    assert not [step for step in asked if step.startswith("put")]


@pytest.mark.parametrize("state", ["archived", "quarantined"])
def test_a_closed_project_takes_no_new_wheel(state: str) -> None:
    store = published(wheel())
    closed = policy(status=Status(state=state, reason="moved"))

    _, results = run(store, steps(wheel(), NEWER, policy=closed))

    assert [(one.filename, one.outcome, one.note) for one in results] == [
        ("demo-1.0-py3-none-any.whl", Outcome.UNCHANGED, ""),
        (
            "demo-2.0-py3-none-any.whl",
            Outcome.REFUSED,
            (
                f"demo is {state} (moved), so that no new wheel of it is published (PEP 792); "
                "change its status in the matrix first"
            ),
        ),
        ("simple/demo/index.json", Outcome.CHANGED, ""),
    ]
    assert "packages/demo-2.0-py3-none-any.whl" not in store.objects
    assert [file.filename for file in page(store).files] == ["demo-1.0-py3-none-any.whl"]


@pytest.mark.parametrize("state", ["active", "deprecated"])
def test_an_open_project_takes_new_wheels(state: str) -> None:
    _, results = run(published(wheel()), steps(NEWER, policy=policy(status=Status(state=state))))

    assert results[0].outcome is Outcome.PUBLISHED


def go_on(publisher: Generator[Request, Any, tuple[Result, ...]], answer: object, store: MemoryStore) -> Any:  # noqa: ANN401 - what a generator returns
    while True:
        try:
            operation = publisher.send(answer)
        except StopIteration as stop:
            return stop.value
        answer = perform(operation, store, {})


def test_a_project_that_is_closed_while_a_wheel_is_published_does_not_list_it() -> None:
    store, publisher = published(wheel()), sequential(steps(NEWER))
    answer: object = None
    for _ in range(4):  # the home page, the list and the state are read, and the wheel is put
        answer = perform(publisher.send(answer), store, {})
    run(store, steps(policy=ARCHIVED))

    results = go_on(publisher, answer, store)

    assert results[0].outcome is Outcome.REFUSED
    assert [file.filename for file in page(store).files] == ["demo-1.0-py3-none-any.whl"]


def test_a_closed_project_without_wheels_gets_no_page() -> None:
    store = published(wheel("other-1-py3-none-any.whl"))

    run(store, steps(wheel(), policy=ARCHIVED))

    assert "simple/demo/index.json" not in store.objects


def test_the_address_of_the_index_comes_to_a_project_when_it_is_published_to() -> None:
    store = MemoryStore()

    run(store, steps(wheel(), policy=Policy(index_url="https://wheels.test/")))

    assert (page(store).settings.index_url, page(store).serial) == ("https://wheels.test/", 1)


def test_attestations_are_put_before_the_page_says_that_they_are_there() -> None:
    store = MemoryStore()
    asked, _ = run(store, steps(wheel(provenance=provenance_for())))

    assert asked.index(f"put {PATH}") < asked.index("put simple/demo/index.json")
    assert store.objects[PATH] == provenance_for()
    assert page(store).files[0].attested


def test_attestations_that_come_later_are_added_and_the_first_ones_stand() -> None:
    store = published(wheel())

    run(store, steps(wheel(provenance=provenance_for())))
    asked, _ = run(store, steps(wheel(provenance=provenance_for(more="later"))))

    assert page(store).files[0].attested
    assert store.objects[PATH] == provenance_for()
    assert not [step for step in asked if step.startswith("put")]


def test_attestations_that_a_killed_publisher_left_stand_if_they_fit_and_others_are_replaced() -> None:
    fit, unfit = MemoryStore({PATH: provenance_for(more="left")}), MemoryStore({PATH: provenance_for(b"other")})

    for store in (fit, unfit):
        run(store, steps(wheel(provenance=provenance_for())))

    assert fit.objects[PATH] == provenance_for(more="left")
    assert unfit.objects[PATH] == provenance_for()


def test_a_wheel_that_is_adopted_with_other_bytes_has_not_our_attestations() -> None:
    store = MemoryStore({"packages/demo-1.0-py3-none-any.whl": b"theirs"})

    run(store, steps(wheel(provenance=provenance_for())), wheel(content=b"theirs"))

    assert PATH not in store.objects
    assert not page(store).files[0].attested


def test_rebuilding_writes_the_release_of_every_version_again() -> None:
    store = published(wheel(), NEWER)
    lost = [path for path in store.objects if path.startswith("pypi/")]
    expected = {path: store.objects.pop(path) for path in lost}

    run(store, rebuilding(store))

    assert {path: store.objects.get(path) for path in lost} == expected
    assert sorted(lost) == ["pypi/demo/1.0/json", "pypi/demo/2.0/json", "pypi/demo/json"]


def test_what_the_metadata_say_is_in_the_release_json() -> None:
    store = published(wheel(metadata="Name: Demo\nSummary: what it is\n"))

    assert json.loads(store.objects["pypi/demo/json"])["info"]["summary"] == "what it is"
