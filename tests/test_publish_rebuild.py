"""An index is made whole from the wheels in its packages/: what that reads, what it keeps, and how it goes on."""

from __future__ import annotations

import hashlib
import itertools
import json
import tracemalloc
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import Refused, ServiceFailed, Unreadable
from tasks.core.index import ProjectPage
from tasks.core.protocol import Context, publish
from tasks.core.rebuilding import BATCH, rebuild
from tasks.core.stock import FOLDERS, Stock
from tasks.core.storage import Written
from tasks.core.yanking import yank
from tasks.distfiles import read_dist
from tasks.pages import Pages
from tasks.publish import main
from tasks.stores.directory import DirectoryStore
from tasks.stores.driver import drive
from tasks.stores.ranges import TAIL
from tests.publishes import folder_to_publish_in
from tests.stores.memory import CountingStore, MemoryStore
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from tasks.core.candidates import Result
    from tasks.core.storage import Changed, Condition, Head, Kind, Stored
    from tasks.stores import Store

TIME = "2026-01-02T03:04:05.000000Z"
DEMO = "demo-1.0-py3-none-any.whl"
PAGE = "simple/demo/index.html"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_publish_in(tmp_path, monkeypatch)


def context_of(store: Store) -> Context:
    return Context(render=Pages(), token_of=store.token_of, upload_time=TIME)


def rebuilt(store: Store, *, threads: int = 1) -> dict[str, str]:
    """Rebuild; return what became of each file: its note where it has one."""
    stock = Stock.of(path for folder in FOLDERS for path in store.list(folder))
    results = drive(rebuild(stock, context_of(store)), store, threads=threads)
    return said(results)


def said(results: tuple[Result, ...]) -> dict[str, str]:
    return {one.filename: one.note or one.outcome.value for one in results}


def bare(*wheels: Path, known_tokens: bool = True) -> MemoryStore:
    """Return a store that has nothing but wheels."""
    return MemoryStore({f"packages/{path.name}": path.read_bytes() for path in wheels}, known_tokens=known_tokens)


def published(folder: Path) -> dict[str, bytes]:
    """Return what an index holds after the wheels of ``folder`` were published the usual way."""
    (folder / "dist").mkdir()
    (folder / "dist" / "wheels").symlink_to(folder / "wheels")
    store = MemoryStore()
    drive(publish(read_dist(folder / "dist").wheels, context_of(store)), store)
    return store.objects


def many(folder: Path, wheels: int, projects: int, *, padding: int = TAIL + TAIL // 2) -> list[Path]:
    """Make wheels of several projects, each as large as a tail and a half."""
    more = {"pad.bin": bytes(padding)}
    return [make_wheel(folder / "wheels", f"p{i % projects}", f"1.{i // projects}", more=more) for i in range(wheels)]


# ── What is read ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_a_wheel_whose_checksum_the_store_knows_only_the_last_64_kib_are_read(here: Path) -> None:
    (wheel,) = many(here, 1, 1)
    counting = CountingStore(bare(wheel))

    assert rebuilt(counting) == {wheel.name: "published"}

    size = wheel.stat().st_size
    assert counting.fetched == [(f"packages/{wheel.name}", size - TAIL, size)]
    assert counting.below.get("simple/p0/index.json") is not None
    assert page(counting, "p0").files[0].sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_a_wheel_whose_checksum_nobody_knows_is_read_once(here: Path) -> None:
    wheel = make_wheel(here, more={"pad.bin": bytes(3 << 20)})
    counting = CountingStore(bare(wheel, known_tokens=False))

    assert rebuilt(counting) == {wheel.name: "published"}

    assert sorted(counting.fetched) == pieces(wheel.name, wheel.stat().st_size)
    assert page(counting).files[0].sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()


def pieces(filename: str, size: int) -> list[tuple[str, int, int]]:
    """Return the ranges in which a wheel is read through: of a MiB, and the tail by itself."""
    edges = [*range(0, size - TAIL, 1 << 20), size - TAIL, size]
    return [(f"packages/{filename}", start, stop) for start, stop in itertools.pairwise(edges)]


def test_a_large_wheel_is_not_held_in_memory(here: Path) -> None:
    wheel = make_wheel(here, more={f"pad{i}.bin": bytes(8 << 20) for i in range(4)})
    store = CountingStore(bare(wheel, known_tokens=False))
    tracemalloc.start()
    try:
        rebuilt(store)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert wheel.stat().st_size > 32 << 20
    assert peak < 12 << 20


def test_of_many_wheels_only_a_batch_is_held_in_memory(here: Path) -> None:
    described = f"\n{'x' * 100_000}"  # what the project says of itself, in each wheel's metadata
    store = bare(*(make_wheel(here, "demo", f"1.{i}", headers=described) for i in range(4 * BATCH)))
    before = sum(map(len, store.objects.values()))
    tracemalloc.start()
    try:
        rebuilt(store)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    written = sum(map(len, store.objects.values())) - before
    assert peak - written < 2 * BATCH * len(described)


def test_every_request_of_a_rebuild(here: Path) -> None:
    (wheel,) = many(here, 1, 1)
    counting = CountingStore(bare(wheel))

    rebuilt(counting)

    assert counting.requests == {"list": 3, "head": 1, "get": 4, "put": 8}
    again = CountingStore(counting.below)
    rebuilt(again)
    # The list and the page for people, the state, the metadata; each rendered page, and the state after them.
    assert again.requests == {"list": 3, "head": 1, "get": 4 + 3 + 1}
    assert again.fetched == []


def test_the_state_of_a_whole_project_is_read_twice_however_many_versions_it_has(here: Path) -> None:
    store = bare(*many(here, 2 * BATCH + 1, 1, padding=0))
    rebuilt(store)
    again = CountingStore(store)

    assert set(rebuilt(again).values()) == {"unchanged"}

    assert again.asked.count("get simple/p0/index.json") == 2
    assert [one for one in again.asked if one.startswith("put")] == []


# ── What comes of it ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("known_tokens", [True, False], ids=["checksums known", "checksums unknown"])
@pytest.mark.parametrize("threads", [1, 16])
def test_bare_wheels_become_what_publishing_them_makes(here: Path, *, threads: int, known_tokens: bool) -> None:
    store = bare(*many(here, 30, 7), known_tokens=known_tokens)

    assert set(rebuilt(store, threads=threads).values()) == {"published"}

    assert store.objects == published(here)


class Noting(CountingStore):
    """Counts by path what was written."""

    def __init__(self, below: Store) -> None:
        super().__init__(below)
        self.written: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        answer = super().put(path, data, kind=kind, condition=condition, sha256=sha256)
        (self.written if isinstance(answer, Written) else self.refused)[path] += 1
        return answer


def test_a_project_of_many_wheels_is_written_in_batches(here: Path) -> None:
    wheels = many(here, 2 * BATCH + 1, 1)
    store = bare(*wheels)
    noting = Noting(store)

    rebuilt(noting)

    assert {path: times for path, times in noting.written.items() if times > 1} == {"simple/p0/index.json": 3}
    assert noting.refused["simple/p0/index.json"] == 0
    assert (page(store, "p0").serial, len(page(store, "p0").files)) == (3, 2 * BATCH + 1)
    whole = dict(store.objects)
    assert set(rebuilt(store).values()) == {"unchanged"}
    assert store.objects == whole


def page(store: Store, name: str = "demo") -> ProjectPage:
    stored = store.get(f"simple/{name}/index.json")
    assert stored is not None
    return ProjectPage.from_json(stored.data, name)


# ── Interrupted ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """Nobody catches it."""


class Mortal(CountingStore):
    """Is killed at a request: after that nothing is done."""

    def __init__(self, below: Store, *, at: int) -> None:
        super().__init__(below)
        self.left = at

    def head(self, path: str) -> Head | None:
        self._live()
        return super().head(path)

    def open(self, path: str) -> AbstractContextManager[BinaryIO | None]:
        self._live()
        return super().open(path)

    def _live(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


def test_a_thousand_wheels_twice_killed_are_read_once_but_for_those_in_flight(here: Path) -> None:
    wheels = many(here, 1000, 40, padding=0)  # 25 of a project
    store = bare(*wheels)
    read: Counter[str] = Counter()
    # To read a wheel takes a head and an opening; to see that it is known a head.
    for dies_at in (2 * (12 * 25 + 5), 12 * 25 + 2 * (12 * 25 + 3)):
        mortal = Mortal(store, at=dies_at)
        with pytest.raises(Killed):
            rebuilt(mortal)
        read.update(path for path, _, _ in mortal.fetched)
        assert store.get("simple/index.json") is None
    last = CountingStore(store)

    assert Counter(rebuilt(last).values()) == {"published": 400, "unchanged": 600}

    read.update(path for path, _, _ in last.fetched)
    assert Counter(read.values()) == {1: 992, 2: 5 + 3}
    assert set(read) == {f"packages/{path.name}" for path in wheels}
    assert store.objects == published(here)


# ── What is wrong ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Guarded(CountingStore):
    """Denies one object, as a bucket may."""

    def __init__(self, below: Store, denied: str) -> None:
        super().__init__(below)
        self.denied = denied

    def get(self, path: str) -> Stored | None:
        self._refuse(path)
        return super().get(path)

    def head(self, path: str) -> Head | None:
        self._refuse(path)
        return super().head(path)

    def open(self, path: str) -> AbstractContextManager[BinaryIO | None]:
        self._refuse(path)
        return super().open(path)

    def _refuse(self, path: str) -> None:
        if path == self.denied:
            raise Unreadable(f"cannot read {path}: 403 AccessDenied")


def test_a_wheel_that_may_not_be_read_is_reported_and_the_others_are_listed(here: Path) -> None:
    secret, open_one = make_wheel(here), make_wheel(here, "demo", "2.0")
    store = Guarded(bare(secret, open_one), f"packages/{DEMO}")

    assert rebuilt(store) == {
        DEMO: f"packages/{DEMO} cannot be listed as it is: cannot read packages/{DEMO}: 403 AccessDenied",
        open_one.name: "published",
    }
    assert [file.filename for file in page(store).files] == [open_one.name]


def beside(path: str) -> str:
    return f"what is beside it was left out: cannot read {path}: 403 AccessDenied"


def not_whole(path: str) -> str:
    return f"demo cannot be made whole: cannot read {path}: 403 AccessDenied"


@pytest.mark.parametrize(
    ("denied", "found"),
    [
        (f"records/{DEMO}.json", {DEMO: beside(f"records/{DEMO}.json")}),
        (f"packages/{DEMO}.provenance", {DEMO: beside(f"packages/{DEMO}.provenance")}),
        (f"packages/{DEMO}.metadata", {DEMO: "published"}),
        (PAGE, {"simple/demo/index.json": not_whole(PAGE)}),
        ("simple/demo/index.json", {"simple/demo/index.json": not_whole("simple/demo/index.json")}),
        ("pypi/demo/json", {"simple/demo/index.json": not_whole("pypi/demo/json")}),
    ],
)
def test_what_may_not_be_read_beside_a_wheel_costs_that_not_whole(
    here: Path, denied: str, found: dict[str, str]
) -> None:
    wheel = make_wheel(here)
    below = bare(wheel, make_wheel(here, "other"))
    below.objects[denied] = legacy(f"../../packages/{DEMO}")
    theirs = dict(below.objects)

    assert rebuilt(Guarded(below, denied)) == {**found, "other-1.0-py3-none-any.whl": "published"}

    kept = denied != f"packages/{DEMO}.metadata"  # those follow from the wheel, and are put there anew
    assert (below.objects[denied] == theirs[denied]) == kept
    if "simple/demo/index.json" in found:  # until it is whole all in packages/ counts
        assert "simple/index.json" not in below.objects
    else:
        listed = json.loads(below.objects["simple/index.json"])["projects"]
        assert [one["name"] for one in listed] == ["demo", "other"]


def test_what_is_wrong_with_a_wheel_is_told_also_where_a_page_may_not_be_read(here: Path) -> None:
    wheel = make_wheel(here)
    below = bare(wheel)
    rebuilt(below)
    below.objects[f"packages/{DEMO}"] = wheel.read_bytes() + b"more"

    said = rebuilt(Guarded(below, "pypi/demo/json"))

    assert said.keys() == {DEMO, "simple/demo/index.json"}
    assert said[DEMO].startswith(f"packages/{DEMO} has not the bytes that its page states ")


def test_a_page_of_a_whole_project_that_may_not_be_read_is_reported_and_the_others_are_brought_up(here: Path) -> None:
    below = bare(make_wheel(here))
    rebuilt(below)
    whole = dict(below.objects)
    del below.objects[PAGE]

    assert rebuilt(Guarded(below, "pypi/demo/json")) == {
        DEMO: "unchanged",
        "simple/demo/index.json": not_whole("pypi/demo/json"),
    }

    assert below.objects == whole


def test_a_state_that_is_removed_while_its_pages_are_read_is_no_empty_one(here: Path) -> None:
    below = bare(make_wheel(here))
    rebuilt(below)

    class Meddling(CountingStore):
        def get(self, path: str) -> Stored | None:
            if path == PAGE:
                del below.objects["simple/demo/index.json"]
            return super().get(path)

    with pytest.raises(Refused) as error:
        rebuilt(Meddling(below))

    assert error.value.messages == (
        "simple/demo/index.json was removed while it was published: run publish -- --rebuild",
    )


def test_metadata_of_a_listed_wheel_that_may_not_be_read_are_put_there_anew(here: Path) -> None:
    below = bare(make_wheel(here))
    rebuilt(below)
    whole = dict(below.objects)
    below.objects[f"packages/{DEMO}.metadata"] = b"archived"

    assert rebuilt(Guarded(below, f"packages/{DEMO}.metadata")) == {DEMO: "unchanged"}

    assert below.objects == whole


def test_a_store_that_fails_ends_the_rebuild(here: Path) -> None:
    class Failing(CountingStore):
        def open(self, path: str) -> AbstractContextManager[BinaryIO | None]:
            raise ServiceFailed(f"cannot read {path}: no answer within 15 s")

    store = Failing(bare(make_wheel(here)))

    with pytest.raises(ServiceFailed, match="no answer within 15 s"):
        rebuilt(store)

    assert store.requests["put"] == 0


@pytest.mark.parametrize("known_tokens", [True, False], ids=["checksums known", "checksums unknown"])
@pytest.mark.parametrize("change", [b"", b"more"], ids=["same size", "other size"])
def test_a_wheel_that_was_changed_behind_its_page_is_reported(here: Path, change: bytes, *, known_tokens: bool) -> None:
    wheel = make_wheel(here)
    store = bare(wheel, known_tokens=known_tokens)
    rebuilt(store)
    was = page(store).files[0].sha256
    whole = dict(store.objects)
    store.objects[f"packages/{DEMO}"] = wheel.read_bytes().replace(b"VERSION", b"version") + change

    said = rebuilt(store)

    if known_tokens or change:
        note = f"packages/{DEMO} has not the bytes that its page states (sha256 {was}): restore it from a backup"
        assert said == {DEMO: note}
    else:  # without a checksum of the store's the size is all that tells, short of reading every wheel each time
        assert said == {DEMO: "unchanged"}
    assert {**store.objects, f"packages/{DEMO}": wheel.read_bytes()} == whole


@pytest.mark.parametrize("yanked", [False, True])
def test_a_wheel_that_was_published_since_the_listing_is_no_loss(here: Path, *, yanked: bool) -> None:
    make_wheel(here / "wheels")
    store = MemoryStore()
    stock = Stock.of(())
    store.objects = published(here)
    if yanked:
        drive(yank([DEMO], "bad", context_of(store)), store)
    before = dict(store.objects)

    # The project is in the listing of simple/ already, its wheel was not yet in that of packages/.
    assert said(drive(rebuild(replace(stock, states=frozenset({page(store).name})), context_of(store)), store)) == {}

    assert store.objects == before


def test_metadata_that_are_gone_or_other_ones_are_made_anew(here: Path) -> None:
    store = bare(make_wheel(here), make_wheel(here, "demo", "2.0"))
    rebuilt(store)
    whole = dict(store.objects)
    del store.objects[f"packages/{DEMO}.metadata"]
    store.objects["packages/demo-2.0-py3-none-any.whl.metadata"] = b"Name: other"

    assert rebuilt(store) == {DEMO: "unchanged", "demo-2.0-py3-none-any.whl": "unchanged"}

    assert store.objects == whole


def test_a_damaged_state_is_made_anew_and_said(here: Path) -> None:
    store = bare(make_wheel(here))
    rebuilt(store)
    whole = dict(store.objects)
    store.objects["simple/demo/index.json"] = b"{"

    said = rebuilt(store)

    note = said.pop("simple/demo/index.json")
    assert note.startswith("it was damaged and is made anew; what only it knew is lost (simple/demo/index.json is ")
    assert said == {DEMO: "published"}
    assert page(store).serial == 2  # one more than the list has, so that nobody takes it for the page that was there
    assert page(store).files == ProjectPage.from_json(whole["simple/demo/index.json"], "").files


def test_a_state_that_an_older_version_wrote_is_told_what_the_metadata_say(here: Path) -> None:
    store = bare(make_wheel(here, headers="Summary: what it is\n"))
    rebuilt(store)
    whole = dict(store.objects)
    state = json.loads(store.objects["simple/demo/index.json"])
    del state["_releases"]
    store.objects["simple/demo/index.json"] = json.dumps(state).encode()

    assert rebuilt(store) == {DEMO: "unchanged"}

    assert (
        page(store).releases["1.0"].info
        == ProjectPage.from_json(whole["simple/demo/index.json"], "").releases["1.0"].info
    )
    assert json.loads(store.objects["pypi/demo/json"])["info"]["summary"] == "what it is"


# ── Pages of another tool ─────────────────────────────────────────────────────────────────────────────────────────────

LEGACY = """\
<!doctype html>
<html>
    <head>
        <title>demo</title>
    </head>
    <body>
        <h1>demo</h1>
        <p>Generated on 2020-02-02 02:02:02.</p>
        <ul>
            {links}
        </ul>
    </body>
</html>
"""


def legacy(*urls: str) -> bytes:
    """Return a page as dumb-pypi writes it: links without hashes."""
    links = (f'<li>\n<a\nhref="{url}"\n>{url.rpartition("/")[2]}</a>\n(1.0)\n</li>\n' for url in urls)
    return LEGACY.format(links="".join(links)).encode()


def test_another_tools_page_whose_links_are_all_kept_is_replaced(here: Path) -> None:
    upper = make_wheel(here, "Demo", "2.0")
    store = bare(make_wheel(here), upper)
    store.objects[PAGE] = legacy(f"../../packages/{DEMO}", f"https://bucket.example/packages/{upper.name}")

    assert set(rebuilt(store).values()) == {"published"}

    assert [file.filename for file in page(store).files] == [upper.name, DEMO]
    assert store.objects[PAGE] == Pages().project(page(store))


def test_a_link_of_another_tools_page_that_leads_nowhere_is_reported(here: Path) -> None:
    store = bare(make_wheel(here))
    store.objects[PAGE] = legacy(f"../../packages/{DEMO}", "../../packages/demo-0.9-py3-none-any.whl")

    assert rebuilt(store) == {
        "demo-0.9-py3-none-any.whl": f"{PAGE} lists it, and packages/ has it not: restore it",
        DEMO: "published",
    }
    assert store.objects[PAGE] == Pages().project(page(store))


@pytest.mark.parametrize(
    ("url", "others"),
    [
        ("https://files.example/demo-0.9-py3-none-any.whl", {}),
        ("../../wheels/demo-0.9-py3-none-any.whl", {}),
        ("../../packages/demo-0.9.tar.gz", {"packages/demo-0.9.tar.gz": b"sdist"}),
        ("../../packages/demo-0.9-py3-none-any.whl", {"packages/demo-0.9-py3-none-any.whl": b"PK, but no wheel"}),
    ],
)
def test_another_tools_page_stays_while_a_link_would_be_lost(here: Path, url: str, others: dict[str, bytes]) -> None:
    store = bare(make_wheel(here), make_wheel(here, "other"))
    store.objects |= {PAGE: legacy(f"../../packages/{DEMO}", url), **others}
    before = dict(store.objects)

    found = rebuilt(store)

    assert found.pop("other-1.0-py3-none-any.whl") == "published"
    assert found.pop(PAGE) == (
        f"{PAGE} was written by another tool and links to {url}, which our page could not list: left alone; "
        "move that file to packages/ as a whole wheel, or take the link out, and rebuild again; meanwhile our list of "
        "projects does not name it"
    )
    assert sorted(found) == sorted(path.removeprefix("packages/") for path in others)
    assert {path: store.objects[path] for path in before} == before
    assert "simple/demo/index.json" not in store.objects


def test_another_tools_page_is_replaced_only_when_all_its_wheels_were_read(here: Path) -> None:
    wheels = many(here, 2 * BATCH + 1, 1, padding=0)
    store = bare(*wheels)
    theirs = legacy(*(f"../../packages/{path.name}" for path in wheels))
    store.objects["simple/p0/index.html"] = theirs

    mortal = Mortal(store, at=2 * len(wheels) - 1)
    with pytest.raises(Killed):
        rebuilt(mortal)

    assert {path for path in store.objects if not path.startswith("packages/")} == {"simple/p0/index.html"}
    assert store.objects["simple/p0/index.html"] == theirs
    assert set(rebuilt(store).values()) == {"published"}
    assert len(page(store, "p0").files) == len(wheels)


# ── Removing a wheel, as docs/runbooks/remove-a-wheel.md has it ───────────────────────────────────────────────────────


def test_a_wheel_that_was_yanked_and_then_deleted_is_taken_off_its_page(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = make_wheel(here / "dist" / "wheels", "demo", "2.0")
    make_wheel(here / "dist" / "wheels")
    assert main(["--quiet"]) == 0
    assert main(["--quiet", "--yank", bad.name, "--reason", "holds a key"]) == 0
    for path in (here / "dist" / "index" / "packages").glob(f"{bad.name}*"):
        path.unlink()
    capsys.readouterr()

    assert main(["--rebuild"]) == 0

    assert capsys.readouterr().err.splitlines()[-1] == "dist/index: 1 unchanged, 1 removed"
    left = page(DirectoryStore("dist/index"))
    assert ([file.filename for file in left.files], left.versions, left.serial) == ([DEMO], ("1.0", "2.0"), 3)
    assert not [path for path in (here / "dist" / "index").rglob("*") if bad.name.encode() in contents(path)]
    assert main(["--rebuild", "--quiet"]) == 0

    bad.unlink()
    make_wheel(here / "dist" / "wheels", "demo", "2.0", text="clean = True\n")
    assert main(["--quiet"]) == 0
    assert [file.yanked for file in page(DirectoryStore("dist/index")).files] == [None, None]


def contents(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def test_a_wheel_that_was_deleted_without_a_yank_stays_on_its_page(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(here / "dist" / "wheels")
    main(["--quiet"])
    (here / "dist" / "index" / "packages" / DEMO).unlink()
    capsys.readouterr()

    assert main(["--rebuild", "--quiet"]) == 1

    assert capsys.readouterr().err.splitlines() == [
        f"error: {DEMO}: simple/demo/index.json lists it, and packages/ has it not: restore it"
    ]
    assert [file.filename for file in page(DirectoryStore("dist/index")).files] == [DEMO]


def test_a_wheel_that_is_unyanked_at_the_last_moment_stays_on_its_page(here: Path) -> None:
    wheel = make_wheel(here)
    store = bare(wheel, make_wheel(here, "demo", "2.0"))
    rebuilt(store)
    drive(yank([DEMO], "bad", context_of(store)), store)
    del store.objects[f"packages/{DEMO}"]

    class Meddling(CountingStore):
        def put(
            self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
        ) -> Written | Changed:
            if not self.requests["put"]:
                store.objects[f"packages/{DEMO}"] = wheel.read_bytes()
                drive(yank([DEMO], None, context_of(store)), store)
            return super().put(path, data, kind=kind, condition=condition, sha256=sha256)

    assert rebuilt(Meddling(store)) == {"demo-2.0-py3-none-any.whl": "unchanged"}

    assert [file.filename for file in page(store).files] == [DEMO, "demo-2.0-py3-none-any.whl"]
    assert rebuilt(store) == {DEMO: "unchanged", "demo-2.0-py3-none-any.whl": "unchanged"}
