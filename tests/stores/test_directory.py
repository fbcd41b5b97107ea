from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import BadInput, ServiceFailed
from tasks.core.storage import IF_ABSENT, Kind
from tasks.stores.directory import DirectoryStore
from tasks.stores.places import open_store

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_that_is_not_there_is_empty_and_is_made_by_the_first_put(tmp_path: Path) -> None:
    store = DirectoryStore(str(tmp_path / "a" / "index"))
    assert list(store.list("")) == []
    assert not (tmp_path / "a").exists()

    store.put("packages/x.whl", b"", kind=Kind.WHEEL)

    assert list(store.list("")) == ["packages/x.whl"]


def test_a_put_leaves_nothing_but_its_file(tmp_path: Path) -> None:
    store = DirectoryStore(str(tmp_path))
    store.put("packages/x.whl", b"1", kind=Kind.WHEEL, condition=IF_ABSENT)
    store.put("packages/x.whl", b"2", kind=Kind.WHEEL, condition=IF_ABSENT)

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["packages", "x.whl"]


WRITER = """
import sys
from pathlib import Path
from tasks.core.storage import Kind
from tasks.stores.directory import DirectoryStore
DirectoryStore(sys.argv[1]).put("packages/x.whl", Path(sys.argv[2]), kind=Kind.WHEEL)
"""


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    source, index = tmp_path / "source", tmp_path / "index"
    os.mkfifo(source)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, index, source])
    with source.open("wb"):  # the writer has opened its temporary file by the time it reads from here
        writer.kill()
        writer.wait()
    assert len(list((index / ".tmp").iterdir())) == 1

    DirectoryStore(str(index)).put("a", b"", kind=Kind.STATE)

    assert sorted(path.name for path in index.iterdir()) == ["a", "packages"]


def test_what_a_living_writer_is_writing_is_not_removed(tmp_path: Path) -> None:
    source, index = tmp_path / "source", tmp_path / "index"
    os.mkfifo(source)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, index, source])
    with source.open("wb") as pipe:
        pipe.write(b"slow ")
        pipe.flush()
        DirectoryStore(str(index)).put("a", b"", kind=Kind.STATE)
        pipe.write(b"wheel")

    assert writer.wait() == 0
    assert (index / "packages" / "x.whl").read_bytes() == b"slow wheel"


def test_a_symbolic_link_that_leads_out_is_an_error(tmp_path: Path) -> None:
    index, outside = tmp_path / "index", tmp_path / "outside"
    index.mkdir()
    outside.mkdir()
    (index / "packages").symlink_to(outside)
    store = DirectoryStore(str(index))

    with pytest.raises(ServiceFailed, match="is a symbolic link that leads out of the index; remove it"):
        store.put("packages/x.whl", b"", kind=Kind.WHEEL)
    assert list(outside.iterdir()) == []


def test_an_index_that_is_itself_a_symbolic_link_works(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "index").symlink_to("real")

    DirectoryStore(str(tmp_path / "index")).put("a", b"1", kind=Kind.STATE)

    assert (tmp_path / "real" / "a").read_bytes() == b"1"


def test_an_index_that_is_a_file_is_bad_input(tmp_path: Path) -> None:
    file = tmp_path / "index"
    file.touch()

    with pytest.raises(BadInput) as error:
        open_store(str(file))

    assert error.value.messages == (f"the index {file} is a file, expected a directory",)


def test_a_directory_where_a_file_should_be_is_an_error_and_not_absence(tmp_path: Path) -> None:
    (tmp_path / "simple" / "index.json").mkdir(parents=True)

    with pytest.raises(ServiceFailed) as error:
        DirectoryStore(str(tmp_path)).get("simple/index.json")

    assert error.value.messages == (f"cannot read {tmp_path}/simple/index.json: Is a directory",)


def test_a_file_where_a_directory_should_be_is_an_error_and_not_absence(tmp_path: Path) -> None:
    (tmp_path / "simple").touch()

    with pytest.raises(ServiceFailed) as error:
        DirectoryStore(str(tmp_path)).get("simple/index.json")

    assert error.value.messages == (f"cannot read {tmp_path}/simple/index.json: Not a directory",)


def as_plain_user(code: str, *arguments: str) -> str:
    """Run Python without root's right to ignore permissions; return what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv") or pytest.skip("root ignores permissions, and setpriv is not here to stop it")
        command = [setpriv, "--bounding-set=-dac_override,-dac_read_search", *command]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


ATTEMPT = """
import sys
from tasks.core.errors import ServiceFailed
from tasks.core.storage import Kind
from tasks.stores.directory import DirectoryStore
store = DirectoryStore(sys.argv[1])
try:
    print(store.get("simple/index.json") if sys.argv[2] == "get" else store.put("a", b"", kind=Kind.STATE))
except ServiceFailed as error:
    print(error.exit_code, *error.messages)
"""


def test_a_page_that_may_not_be_read_is_an_error_and_not_absence(tmp_path: Path) -> None:
    page = tmp_path / "simple" / "index.json"
    page.parent.mkdir()
    page.touch(mode=0)

    assert as_plain_user(ATTEMPT, str(tmp_path), "get") == (
        f"3 cannot read {page}: permission denied; this is not taken for an empty index: give read permission"
    )


def test_a_directory_that_may_not_be_entered_is_an_error_and_not_absence(tmp_path: Path) -> None:
    (tmp_path / "simple").mkdir(mode=0)

    assert as_plain_user(ATTEMPT, str(tmp_path), "get") == (
        f"3 cannot read {tmp_path}/simple/index.json: permission denied; "
        "this is not taken for an empty index: give read permission"
    )


def test_an_index_below_a_directory_that_may_not_be_entered_is_an_error_and_not_absence(tmp_path: Path) -> None:
    index = tmp_path / "closed" / "index"
    index.mkdir(parents=True)
    index.parent.chmod(0)

    assert as_plain_user(ATTEMPT, str(index), "get") == (
        f"3 cannot read {index}/simple/index.json: permission denied; "
        "this is not taken for an empty index: give read permission"
    )


def test_a_read_only_index_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)

    assert as_plain_user(ATTEMPT, str(tmp_path), "put") == (
        f"3 cannot write {tmp_path}/a: the index {tmp_path} is read-only for this user; "
        "give write permission, or another index by --index"
    )


@pytest.mark.parametrize(
    "location", ["ftp://host/x", "s4://bucket", "s3:/bucket/x", "s3:bucket", "https:/host/x", " s3://bucket", ""]
)
def test_a_location_of_an_unknown_scheme_is_bad_input(location: str) -> None:
    with pytest.raises(BadInput) as error:
        open_store(location)

    said = f"the index is {location or '(empty)'!r}, expected a directory or s3://bucket/prefix"
    assert error.value.messages == (said,)
