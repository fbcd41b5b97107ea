from __future__ import annotations

import pytest

from tasks.core.candidates import Outcome
from tasks.core.errors import BadInput
from tasks.core.project_list import ProjectList
from tests.core.publishing import page, published, run, steps, wheel, yanking
from tests.stores.memory import MemoryStore

DEMO = "demo-1.0-py3-none-any.whl"
OTHER = "other-1-py3-none-any.whl"


def test_a_yank_marks_the_state_its_pages_and_the_list() -> None:
    store = published(wheel(), wheel("demo-2.0-py3-none-any.whl"))

    asked, results = run(store, yanking("demo-2.0-py3-none-any.whl"))

    assert asked == [
        "get index.html",
        "get simple/index.json",
        "get simple/demo/index.json",
        "put simple/demo/index.json",
        "put simple/demo/index.html",
        "put pypi/demo/json",
        "put pypi/demo/2.0/json",
        "put simple/index.json",
        "put simple/index.html",
        "put index.html",
    ]
    assert [(one.filename, one.outcome) for one in results] == [("demo-2.0-py3-none-any.whl", Outcome.YANKED)]
    assert [file.yanked for file in page(store).files] == [None, "broken"]
    assert ProjectList.from_json(store.objects["simple/index.json"]).projects[0].newest == "1.0"
    assert store.objects["packages/demo-2.0-py3-none-any.whl"] == b"ours"


def test_the_same_yank_again_writes_nothing() -> None:
    store = published(wheel())
    run(store, yanking(DEMO))

    asked, results = run(store, yanking(DEMO))

    assert asked == ["get index.html", "get simple/index.json", "get simple/demo/index.json"]
    assert results[0].outcome is Outcome.UNCHANGED


def test_another_reason_takes_the_place_of_the_first_and_an_unyank_of_both() -> None:
    store = published(wheel())
    run(store, yanking(DEMO))
    run(store, yanking(DEMO, reason="worse"))
    assert page(store).files[0].yanked == "worse"

    _, results = run(store, yanking(DEMO, reason=None))

    assert results[0].outcome is Outcome.UNYANKED
    assert page(store).files[0].yanked is None


def test_publishing_a_yanked_wheel_again_does_not_unyank_it() -> None:
    store = published(wheel())
    run(store, yanking(DEMO))

    run(store, steps(wheel(), wheel("demo-2.0-py3-none-any.whl")))

    assert [file.yanked for file in page(store).files] == ["broken", None]


def test_wheels_of_several_projects_are_yanked_together() -> None:
    store = published(wheel(), wheel(OTHER))

    _, results = run(store, yanking(DEMO, OTHER))

    assert [one.outcome for one in results] == [Outcome.YANKED, Outcome.YANKED]
    assert [page(store, name).files[0].yanked for name in ("demo", "other")] == ["broken", "broken"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("demo-1.1-py3-none-any.whl", f"the index does not list demo-1.1-py3-none-any.whl; did you mean {DEMO}?"),
        (
            "demos-1.0-py3-none-any.whl",
            "the index does not list demos-1.0-py3-none-any.whl, nor any wheel of demos; did you mean demo?",
        ),
        ("zzz-1-py3-none-any.whl", "the index does not list zzz-1-py3-none-any.whl, nor any wheel of zzz"),
        ("demo.tar.gz", "demo.tar.gz is no wheel's file name, expected one as the index lists it (PEP 427)"),
    ],
)
def test_one_wheel_that_is_not_there_stops_all_and_near_names_are_said(asked: str, message: str) -> None:
    store = published(wheel(), wheel(OTHER))
    before = dict(store.objects)

    with pytest.raises(BadInput) as error:
        run(store, yanking(OTHER, asked))

    assert error.value.messages == (message,)
    assert store.objects == before


def test_an_empty_index_has_nothing_to_yank() -> None:
    with pytest.raises(BadInput, match=r"nor any wheel of demo$"):
        run(MemoryStore(), yanking(DEMO))
