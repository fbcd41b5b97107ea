from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pytest
from packaging.utils import canonicalize_name

from tasks.core.candidates import Outcome
from tasks.core.errors import Refused
from tasks.core.filing import file_visits
from tasks.core.index import digest_of, page_path
from tasks.core.project_list import ListedProject, ProjectList
from tasks.core.protocol import Context, publish
from tasks.core.release_json import files_by_version
from tests.core.publishing import TIME, page, published, rebuilding, run, steps, wheel
from tests.core.scheduler import Lines, perform, sequential
from tests.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Generator

    from tasks.core.index import ProjectPage
    from tasks.core.release_json import ByVersion
    from tasks.core.storage import Request


def test_the_first_wheel_is_written_before_what_lists_it_and_the_list_last() -> None:
    asked, results = run(MemoryStore(), steps(wheel(record=b"{}", log=b"log")))

    assert [one for one in asked if one.startswith("put")] == [
        "put packages/demo-1.0-py3-none-any.whl",
        "put packages/demo-1.0-py3-none-any.whl.metadata",
        "put records/demo-1.0-py3-none-any.whl.json",
        "put logs/demo-1.0-py3-none-any.whl.txt.gz",
        "put simple/demo/index.json",
        "put simple/demo/index.html",
        "put pypi/demo/json",
        "put pypi/demo/1.0/json",
        "put simple/index.json",
        "put simple/index.html",
        "put index.html",
    ]
    assert [(one.filename, one.outcome) for one in results] == [("demo-1.0-py3-none-any.whl", Outcome.PUBLISHED)]


def index_of(projects: int, wheels: int) -> MemoryStore:
    """An index of so many projects with as many wheels each; none of them but the first is ever read."""
    names = [f"demo-{number}.0-py3-none-any.whl" for number in range(1000, 1000 + wheels)]
    first = published(*(wheel(name, name.encode()) for name in names), static_json=True)
    state = first.objects["simple/demo/index.json"]
    others = {canonicalize_name(f"p{i}"): state.replace(b"demo", b"p%d" % i) for i in range(1, projects)}
    listed = ProjectList.from_json(first.objects["simple/index.json"]).with_projects(
        ListedProject(name=name, serial=1, state=digest_of(data)) for name, data in others.items()
    )
    first.objects |= {page_path(name): data for name, data in others.items()}
    first.objects |= {
        "simple/index.json": listed.to_json(),
        "json/index.html": listed.to_json(),
        "simple/index.html": Lines().projects(listed),
        "index.html": Lines().home(listed),
    }
    return first


@pytest.mark.parametrize(("projects", "wheels"), [(1, 1), (10, 100), (1000, 100)], ids=["1", "1,000", "100,000"])
def test_one_more_wheel_costs_ten_requests_for_installers_and_eight_for_people_whatever_the_size(
    projects: int, wheels: int
) -> None:
    """The people's are what no installer reads: the home page, the record and the log, release JSON, the visit."""
    store = index_of(projects, wheels)
    newer = wheel("demo-2.0-py3-none-any.whl", b"newer", record=b"{}", log=b"log")

    asked, results = run(store, steps(newer, static_json=True))
    filed, _ = run(store, file_visits([("local-20260102T030405Z.json", b"{}")]))

    assert [one.outcome for one in results] == [Outcome.PUBLISHED]
    assert [*asked, *filed] == [
        "get index.html",
        "get simple/index.json",
        "get simple/demo/index.json",
        "put packages/demo-2.0-py3-none-any.whl",
        "put packages/demo-2.0-py3-none-any.whl.metadata",
        "put records/demo-2.0-py3-none-any.whl.json",
        "put logs/demo-2.0-py3-none-any.whl.txt.gz",
        "put simple/demo/index.json",
        "put simple/demo/index.html",
        "put json/demo/index.html",
        "put pypi/demo/json",
        "put pypi/demo/2.0/json",
        "put simple/index.json",
        "put simple/index.html",
        "put json/index.html",
        "put index.html",
        "get visits/local-20260102T030405Z.json",
        "put visits/local-20260102T030405Z.json",
    ]
    for_people = ("index.html", "records/", "logs/", "pypi/", "visits/")
    installers = [one for one in asked if not one.partition(" ")[2].startswith(for_people)]
    assert (len(installers), len(asked) + len(filed)) == (10, 18)


def test_the_json_pages_lie_once_more_in_a_bucket_and_their_links_lead_to_the_same_files() -> None:
    store = published(wheel(), static_json=True)

    assert store.objects["json/demo/index.html"] == store.objects["simple/demo/index.json"]
    assert store.objects["json/index.html"] == store.objects["simple/index.json"]
    (file,) = json.loads(store.objects["json/demo/index.html"])["files"]
    assert urljoin("json/demo/", file["url"]).lstrip("/") == "packages/demo-1.0-py3-none-any.whl"
    assert [path for path in published(wheel()).objects if path.startswith("json/")] == []


def test_visits_of_one_name_are_two_if_they_say_different_things_also_where_another_job_was_there_first() -> None:
    store = MemoryStore({"visits/local-1.json": b"theirs"})
    visits = [("local-1.json", b"one"), ("local-1.json", b"two"), ("local-1.json", b"one"), ("other-1.json", b"x")]

    run(store, file_visits(visits))
    asked, _ = run(store, file_visits(visits))

    assert store.objects == {
        "visits/local-1.json": b"theirs",
        "visits/local-1-2.json": b"one",
        "visits/local-1-3.json": b"two",
        "visits/other-1.json": b"x",
    }
    assert [step for step in asked if step.startswith("put")] == []


def test_the_files_of_a_state_are_sorted_by_version_once_however_many_versions_are_rendered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sorted_by_version: list[int] = []

    def counted(page: ProjectPage) -> ByVersion:
        sorted_by_version.append(page.serial)
        return files_by_version(page)

    monkeypatch.setattr("tasks.core.projects.files_by_version", counted)
    store = published(*(wheel(f"demo-{version}.0-py3-none-any.whl") for version in range(1, 8)))
    assert sorted_by_version == [1]

    run(store, steps(wheel("demo-8.0-py3-none-any.whl"), wheel("demo-9.0-py3-none-any.whl")))

    # The state that was replaced tells which bytes its release JSON has.
    assert sorted_by_version == [1, 1, 2]


def run_on(requests: Generator[Request, Any, Any], answer: object, store: MemoryStore) -> None:
    with contextlib.suppress(StopIteration):
        while True:
            answer = perform(requests.send(answer), store, {})


@pytest.mark.parametrize(
    ("theirs", "filed"),
    [
        (b"theirs", {"visits/local-1.json": b"theirs", "visits/local-1-2.json": b"ours"}),
        (b"ours", {"visits/local-1.json": b"ours"}),
    ],
    ids=["which says something else", "which says the same"],
)
def test_a_visit_that_loses_its_name_to_another_one_meanwhile_takes_the_next(
    theirs: bytes, filed: dict[str, bytes]
) -> None:
    store, filing = MemoryStore(), sequential(file_visits([("local-1.json", b"ours")]))
    answer = perform(next(filing), store, {})
    store.objects["visits/local-1.json"] = theirs

    run_on(filing, answer, store)

    assert store.objects == filed


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
    asked, _ = run(store, steps())

    assert asked == ["get index.html", "get simple/index.json"]
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


def test_a_home_page_without_a_list_is_not_replaced_before_a_rebuild() -> None:
    store = MemoryStore({"index.html": b"our website"})

    with pytest.raises(Refused) as error:
        run(store, steps(wheel()))

    assert error.value.messages == (
        "index.html was written by another tool, and its links would be lost: run publish -- --rebuild first",
    )
    assert store.objects == {"index.html": b"our website"}
    run(store, rebuilding(store))
    run(store, steps(wheel()))
    assert store.objects == published(wheel()).objects


def test_a_home_page_whose_list_was_written_since_is_ours() -> None:
    publishing, before, after = sequential(steps(wheel())), MemoryStore(), published(wheel("other-1-py3-none-any.whl"))
    home = perform(next(publishing), after, {})
    no_list = perform(publishing.send(home), before, {})

    run_on(publishing, no_list, after)

    listed = ProjectList.from_json(after.objects["simple/index.json"])
    assert [project.name for project in listed.projects] == ["demo", "other"]


def test_keys_of_a_page_that_we_do_not_know_survive() -> None:
    store = published(wheel())
    path = "simple/demo/index.json"
    store.objects[path] = store.objects[path].replace(b'"name":"demo"', b'"name":"demo","project-mood":{"mood":"x"}')

    run(store, steps(wheel("demo-2.0-py3-none-any.whl")))

    assert page(store).extra == {"project-mood": {"mood": "x"}}
    assert len(page(store).files) == 2


def test_rebuilding_a_lost_state_goes_on_from_the_serial_that_the_list_has() -> None:
    newer = wheel("demo-2.0-py3-none-any.whl", b"newer")
    store = published(wheel())
    run(store, steps(newer))
    del store.objects["simple/demo/index.json"]

    run(store, rebuilding(store), wheel(), newer)

    assert page(store).serial == 3
    assert store.objects["simple/demo/index.html"] == Lines().project(page(store))
    assert ProjectList.from_json(store.objects["simple/index.json"]).serial_of(canonicalize_name("demo")) == 3
