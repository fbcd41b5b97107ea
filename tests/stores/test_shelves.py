from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tasks.core.errors import ServiceFailed
from tasks.core.index import ProjectPage
from tasks.core.index_file import IndexFile
from tasks.core.project_list import ListedProject, ProjectList
from tasks.stores.directory import DirectoryStore
from tasks.stores.shelves import InStore, read_shelves
from tests.stores.memory import CountingStore, MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "0" * 64
LIST = "simple/index.json"
CP311 = "demo-1.0-cp311-cp311-linux_x86_64.whl"
CP312 = "demo-1.0-cp312-cp312-linux_x86_64.whl"
OTHER = "other-1.0-py3-none-any.whl"


def page(*filenames: str, serial: int = 1) -> ProjectPage:
    name = canonicalize_name(filenames[0].partition("-")[0])
    files = tuple(IndexFile(filename=filename, sha256=DIGEST) for filename in filenames)
    return ProjectPage(name=name, serial=serial, files=files)


def index(*pages: ProjectPage) -> dict[str, bytes]:
    """What publishing leaves, as far as planning reads it."""
    objects = {f"simple/{each.name}/index.json": each.to_json() for each in pages}
    return {**objects, LIST: ProjectList().merged(pages).to_json()}


class Reader:
    """Reads one index again and again, and says what each time cost."""

    def __init__(self, cache: Path, *pages: ProjectPage) -> None:
        self.cache = cache
        self.store = MemoryStore(index(*pages))

    def read(self, *names: str) -> tuple[list[str], dict[str, int]]:
        """Return the wheels of the projects, and how many requests were made."""
        counting = CountingStore(self.store)
        found = read_shelves(InStore(counting), {canonicalize_name(name) for name in names or ("demo",)}, self.cache)
        wheels = [wheel.filename for shelf in found.values() for each in shelf.wheels.values() for wheel in each]
        return wheels, dict(counting.requests)


def test_a_page_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    reader = Reader(tmp_path, page(CP311), page(OTHER))

    assert reader.read("demo", "other") == ([CP311, OTHER], {"get": 3})
    assert reader.read("demo", "other") == ([CP311, OTHER], {"get": 1})
    assert reader.read("demo") == ([CP311], {"get": 1})


def test_of_several_pages_only_the_changed_one_is_read(tmp_path: Path) -> None:
    reader = Reader(tmp_path, page(CP311), page(OTHER))
    reader.read("demo", "other")

    reader.store.objects |= index(page(CP311, CP312, serial=2), page(OTHER))

    assert reader.read("demo", "other") == ([CP311, CP312, OTHER], {"get": 2})
    assert reader.read("demo", "other") == ([CP311, CP312, OTHER], {"get": 1})


def test_pages_of_projects_that_nobody_wants_now_are_kept(tmp_path: Path) -> None:
    reader = Reader(tmp_path, page(CP311), page(OTHER))
    reader.read("demo", "other")

    reader.store.objects |= index(page(CP311, CP312, serial=2), page(OTHER))
    reader.read("demo")

    assert reader.read("demo", "other") == ([CP311, CP312, OTHER], {"get": 1})


def test_a_project_that_the_index_does_not_list_costs_nothing(tmp_path: Path) -> None:
    reader = Reader(tmp_path, page(CP311))

    assert reader.read("demo", "absent") == ([CP311], {"get": 2})
    assert reader.read("demo", "absent") == ([CP311], {"get": 1})


def test_an_index_that_was_made_anew_with_the_same_serials_is_read_anew(tmp_path: Path) -> None:
    reader = Reader(tmp_path, page(CP311))
    reader.read()

    reader.store.objects = index(page(CP312))

    assert reader.read() == ([CP312], {"get": 2})


def test_a_list_without_digests_is_trusted_for_its_serials(tmp_path: Path) -> None:
    def listing(serial: int) -> bytes:
        return ProjectList(projects=(ListedProject(name=canonicalize_name("demo"), serial=serial),)).to_json()

    reader = Reader(tmp_path, page(CP311))
    reader.store.objects[LIST] = listing(1)

    assert reader.read() == ([CP311], {"get": 2})
    assert reader.read() == ([CP311], {"get": 1})

    reader.store.objects |= {**index(page(CP311, CP312, serial=2)), LIST: listing(2)}
    assert reader.read() == ([CP311, CP312], {"get": 2})


def test_a_page_that_a_publisher_has_not_finished_is_used_and_not_kept(tmp_path: Path) -> None:
    reader = Reader(tmp_path, page(CP311))
    reader.read()
    reader.store.objects |= {
        **index(page(OTHER)),
        **index(page(CP311, CP312, serial=2)),
        LIST: reader.store.objects[LIST],
    }
    (tmp_path / next(iter(tmp_path.iterdir())).name).unlink()

    assert reader.read() == ([CP311, CP312], {"get": 2})
    assert reader.read() == ([CP311, CP312], {"get": 2})


def test_two_indexes_do_not_share_a_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    wheels = []
    for name, filename in (("a", CP311), ("b", CP312)):
        for path, data in index(page(filename)).items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(data)
        found = read_shelves(InStore(DirectoryStore(str(tmp_path / name))), {canonicalize_name("demo")}, cache)
        wheels += [wheel.filename for wheel in found[canonicalize_name("demo")].of_version(Version("1.0.0"))]

    assert wheels == [CP311, CP312]
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"{}\n{}", b"[]", b"\xff", b'{"format": 1}'])
def test_a_damaged_cache_is_none(tmp_path: Path, damage: bytes) -> None:
    reader = Reader(tmp_path, page(CP311))
    reader.read()
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()

    for broken in (damage, whole[:-9], whole.replace(b"cp311", b"cp399")):
        file.write_bytes(broken)
        assert reader.read() == ([CP311], {"get": 2})
        assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"in the way")
    reader = Reader(tmp_path / "cache", page(CP311))

    assert reader.read() == reader.read() == ([CP311], {"get": 2})


def test_what_a_page_says_of_a_wheel_is_kept(tmp_path: Path) -> None:
    file = IndexFile(
        filename="demo-1.0-2b-cp311-abi3-linux_x86_64.whl",
        sha256=DIGEST,
        yanked="bad",
        recipe="f" * 64,
        requires_python=">=3.9",
    )
    reader = Reader(tmp_path, ProjectPage(name=canonicalize_name("demo"), serial=1, files=(file,)))

    first = read_shelves(InStore(reader.store), {canonicalize_name("demo")}, tmp_path)
    again = read_shelves(InStore(reader.store), {canonicalize_name("demo")}, tmp_path)

    assert first == again
    (wheel,) = again[canonicalize_name("demo")].of_version(Version("1.0"))
    assert (wheel.build, sorted(map(str, wheel.tags))) == ((2, "b"), ["cp311-abi3-linux_x86_64"])
    assert (wheel.yanked, wheel.recipe, wheel.requires_python) == ("bad", "f" * 64, ">=3.9")


def test_an_index_without_a_list_is_listed_once(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    names = ["Demo-1.0-cp312-cp312-linux_x86_64.whl", f"{CP311}.metadata", CP311, OTHER, "demo-1.0.tar.gz", "notes.txt"]
    reader.store.objects = {f"packages/{name}": b"" for name in names} | {"simple/demo/index.html": b"foreign"}

    assert reader.read() == (["Demo-1.0-cp312-cp312-linux_x86_64.whl", CP311], {"get": 1, "list": 1})
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_shelves(InStore(DirectoryStore(str(tmp_path / "none"))), {canonicalize_name("demo")}, tmp_path) == {}


def test_a_page_that_is_none_is_said_and_not_taken_for_empty(tmp_path: Path) -> None:
    reader = Reader(tmp_path, page(CP311))
    reader.store.objects["simple/demo/index.json"] = b"<html>"

    with pytest.raises(ServiceFailed, match=r'simple/demo/index\.json is "<html>", expected a JSON document'):
        reader.read()
