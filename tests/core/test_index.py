from __future__ import annotations

import json
from dataclasses import replace

import pytest
from packaging.utils import canonicalize_name

from tasks.core.errors import ServiceFailed
from tasks.core.index import IndexFile, ListedProject, ProjectList, ProjectPage

DEMO = canonicalize_name("demo")
ADVICE = "the page was not written by spare-tire, or is damaged: move it away and run publish -- --rebuild"


BARE = IndexFile(filename="demo-1.0-py3-none-any.whl", sha256="a" * 64)


def file(filename: str) -> IndexFile:
    return replace(BARE, filename=filename)


def page(*files: IndexFile) -> ProjectPage:
    return ProjectPage(name=DEMO).merged(files)


FULL = replace(
    BARE,
    size=7,
    upload_time="2026-01-02T03:04:05.000000Z",
    requires_python=">=3.9",
    core_metadata="b" * 64,
    yanked="broken",
    recipe="k",
)


def test_a_page_is_written_as_the_peps_say_with_its_keys_sorted() -> None:
    assert json.loads(page(FULL).to_json()) == {
        "files": [
            {
                "_recipe": "k",
                "core-metadata": {"sha256": "b" * 64},
                "filename": "demo-1.0-py3-none-any.whl",
                "hashes": {"sha256": "a" * 64},
                "requires-python": ">=3.9",
                "size": 7,
                "upload-time": "2026-01-02T03:04:05.000000Z",
                "url": "../../packages/demo-1.0-py3-none-any.whl",
                "yanked": "broken",
            }
        ],
        "meta": {"_last-serial": 1, "api-version": "1.1"},
        "name": "demo",
        "versions": ["1.0"],
    }
    assert page(FULL).to_json().startswith(b'{"files":[{"_recipe":"k","core-metadata":')


@pytest.mark.parametrize(
    "made",
    [
        page(FULL),
        page(replace(BARE, yanked="")),
        page(replace(BARE, url="https://elsewhere.test/x.whl", other_hashes={"md5": "c"}, extra={"provenance": "p"})),
        ProjectPage(name=DEMO, extra={"project-status": {}}, meta_extra={"tracks": ["x"]}, api_version="1.4"),
    ],
)
def test_a_page_that_is_written_and_read_is_equal(made: ProjectPage) -> None:
    assert ProjectPage.from_json(made.to_json(), "page") == made


def test_the_order_in_which_files_come_does_not_show() -> None:
    one, two = file("demo-1.0-py3-none-any.whl"), file("demo-2.0-py3-none-any.whl")

    assert page(one, two).to_json() == page(two, one).to_json()


def test_a_local_version_is_quoted_in_the_link() -> None:
    assert file("demo-1.0+cu1-py3-none-any.whl").link == "../../packages/demo-1.0%2Bcu1-py3-none-any.whl"


def test_versions_are_in_version_order_and_those_without_files_stay() -> None:
    files = (file("demo-1.10-py3-none-any.whl"), file("demo-1.9-py3-none-any.whl"))

    assert ProjectPage(name=DEMO, versions=("0.1",)).merged(files).versions == ("0.1", "1.9", "1.10")


@pytest.mark.parametrize(
    ("versions", "newest"), [((), None), (("1.0", "2.0rc1"), "1.0"), (("2.0rc1", "2.0rc2"), "2.0rc2")]
)
def test_the_newest_version_is_a_final_one_where_there_is_one(versions: tuple[str, ...], newest: str | None) -> None:
    assert ProjectPage(name=DEMO, versions=versions).newest == newest


def test_merging_what_is_listed_gives_the_page_itself() -> None:
    before = page(FULL)

    assert before.merged([FULL, replace(BARE, upload_time="later")]) is before


def test_merging_keeps_a_listed_file_whatever_else_is_said_of_it() -> None:
    before = page(FULL)
    after = before.merged([replace(BARE, sha256="d" * 64), file("demo-2.0-py3-none-any.whl")])

    assert after.file("demo-1.0-py3-none-any.whl") == FULL
    assert after.serial == before.serial + 1


def test_merging_fills_in_a_missing_recipe() -> None:
    after = page(replace(BARE, yanked="broken")).merged([replace(BARE, recipe="k")])

    assert after.files == (replace(BARE, yanked="broken", recipe="k"),)


def test_a_list_that_is_written_and_read_is_equal() -> None:
    listed = ProjectList(extra={"x": 1}).merged([page(FULL), ProjectPage(name=canonicalize_name("other"), serial=4)])

    assert ProjectList.from_json(listed.to_json()) == listed
    assert json.loads(listed.to_json()) == {
        "meta": {"_last-serial": 1, "api-version": "1.1"},
        "projects": [
            {"_last-serial": 1, "_state": page(FULL).digest, "_version": "1.0", "name": "demo"},
            {
                "_last-serial": 4,
                "_state": ProjectPage(name=canonicalize_name("other"), serial=4).digest,
                "name": "other",
            },
        ],
        "x": 1,
    }


def test_a_list_never_goes_back_to_a_lower_serial() -> None:
    listed = ProjectList(projects=(ListedProject(name=DEMO, serial=5, newest="2.0"),))

    assert listed.merged([page(FULL)]) is listed
    assert listed.serial_of(DEMO) == 5
    assert listed.serial_of(canonicalize_name("other")) == 0


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (b"", 'page is "", expected a JSON document'),
        (b"<html>", 'page is "<html>", expected a JSON document'),
        (b"[]", "page is [], expected an object"),
        (b'{"name": "x"}', 'page is ["name"], expected an object with the key meta'),
        (b'{"meta": 1}', "page: meta is 1, expected an object"),
        (
            b'{"meta": {"api-version": "1.0", "_last-serial": true}, "name": "x", "files": []}',
            "page: meta._last-serial is true, expected a whole number",
        ),
        (
            b'{"meta": {"api-version": "1.0"}, "name": "x", "files": [{"filename": "a", "url": "a", "hashes": {}}]}',
            "page: files[0].hashes.sha256 is null, expected 64 hex digits",
        ),
        (
            b'{"meta": {"api-version": "1.0"}, "name": "x", "files": [{"filename": 1}]}',
            "page: files[0].filename is 1, expected a string",
        ),
    ],
)
def test_a_damaged_page_is_an_error_that_says_where(found: bytes, message: str) -> None:
    with pytest.raises(ServiceFailed) as error:
        ProjectPage.from_json(found, "page")

    assert error.value.messages == (f"{message}; {ADVICE}",)


def test_a_page_of_a_newer_format_says_so() -> None:
    with pytest.raises(ServiceFailed) as error:
        ProjectPage.from_json(b'{"meta": {"api-version": "2.0"}, "name": "x", "files": []}', "page")

    assert error.value.messages == (
        (
            "page: meta.api-version is '2.0', expected version 1 of the Simple API; "
            "a newer spare-tire wrote the page: update this one"
        ),
    )


def test_the_earlier_name_of_the_metadata_key_is_read() -> None:
    made = json.loads(page(FULL).to_json())
    made["files"][0]["dist-info-metadata"] = made["files"][0].pop("core-metadata")

    assert ProjectPage.from_json(json.dumps(made).encode(), "page") == page(FULL)
