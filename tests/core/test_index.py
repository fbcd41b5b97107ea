from __future__ import annotations

import json
from dataclasses import replace

import pytest
from packaging.utils import canonicalize_name

from tasks.core.errors import ServiceFailed
from tasks.core.index import ProjectPage
from tasks.core.index_file import IndexFile
from tasks.core.project_list import ListedProject, ProjectList
from tasks.core.settings import Settings, Status

DEMO = canonicalize_name("demo")
ADVICE = "the page was not written by spare-tire, or is damaged: move it away and run publish -- --rebuild"


BARE = IndexFile(filename="demo-1.0-py3-none-any.whl", sha256="a" * 64)


def file(filename: str) -> IndexFile:
    return replace(BARE, filename=filename)


def page(*files: IndexFile) -> ProjectPage:
    return ProjectPage(name=DEMO).merged(files)


ALL_SET = Settings(
    status=Status(state="deprecated", reason="use other"),
    tracks=("https://upstream.test/simple/demo/",),
    alternate_locations=("https://a.test/demo/", "https://b.test/demo/"),
    index_url="https://wheels.test/",
)
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
        "meta": {"_last-serial": 1, "api-version": "1.4"},
        "name": "demo",
        "versions": ["1.0"],
        "_releases": {"1.0": {"info": {}, "serial": 1, "source": ""}},
    }
    assert (
        page(FULL).to_json().startswith(b'{"_releases":{"1.0":{"info":{},"serial":1,"source":""}},"files":[{"_recipe":')
    )


@pytest.mark.parametrize(
    "made",
    [
        page(FULL),
        page(replace(BARE, yanked="")),
        page(replace(BARE, url="https://elsewhere.test/x.whl", other_hashes={"md5": "c"}, extra={"provenance": "p"})),
        ProjectPage(name=DEMO, extra={"new": {}}, meta_extra={"newer": ["x"]}, api_version="1.9"),
        page(replace(FULL, attested=True)).set(replace(ALL_SET, index_url=None)),
        page(replace(FULL, attested=True)).set(ALL_SET),
        page(FULL).set(Settings(status=Status(state="quarantined"))),
    ],
)
def test_a_page_that_is_written_and_read_is_equal(made: ProjectPage) -> None:
    assert ProjectPage.from_json(made.to_json(), "page") == made


def test_what_is_set_is_on_the_page_where_the_peps_have_it() -> None:
    made = json.loads(page(FULL).set(ALL_SET).to_json())

    assert made["project-status"] == {"status": "deprecated", "reason": "use other"}
    assert made["alternate-locations"] == ["https://a.test/demo/", "https://b.test/demo/"]
    assert made["meta"] == {
        "_index-url": "https://wheels.test/",
        "_last-serial": 2,
        "api-version": "1.4",
        "tracks": ["https://upstream.test/simple/demo/"],
    }


def test_what_is_not_set_is_not_on_the_page() -> None:
    made = json.loads(page(FULL).set(ALL_SET).set(Settings()).to_json())

    assert made.keys() & {"project-status", "alternate-locations"} == set()
    assert made["meta"].keys() == {"_last-serial", "api-version"}


def test_setting_what_is_set_changes_nothing() -> None:
    before = page(FULL).set(ALL_SET)

    assert before.set(replace(ALL_SET)) is before


def test_a_quarantined_project_offers_no_file_and_loses_none() -> None:
    quarantined = page(FULL).set(Settings(status=Status(state="quarantined", reason="malware")))
    made = json.loads(quarantined.to_json())

    assert (made["files"], made["versions"]) == ([], ["1.0"])
    assert quarantined.offered == ()
    assert ProjectPage.from_json(quarantined.to_json(), "page").set(Settings()).offered == (FULL,)


@pytest.mark.parametrize(
    ("index_url", "attested", "expected"),
    [
        ("https://wheels.test/", True, "https://wheels.test/packages/demo-1.0%2Bx-py3-none-any.whl.provenance"),
        (None, True, None),
        ("https://wheels.test/", False, None),
    ],
)
def test_attestations_have_a_url_where_there_are_some_and_the_index_has_an_address(
    index_url: str | None,
    attested: bool,  # noqa: FBT001
    expected: str | None,
) -> None:
    made = page(replace(file("demo-1.0+x-py3-none-any.whl"), attested=attested)).set(Settings(index_url=index_url))

    assert json.loads(made.to_json())["files"][0].get("provenance") == expected


def test_a_file_is_yanked_and_unyanked_and_its_release_changes_with_it() -> None:
    both = page(BARE, file("demo-2.0-py3-none-any.whl"))

    yanked = both.marked({"demo-2.0-py3-none-any.whl": ""})
    unyanked = yanked.marked({"demo-2.0-py3-none-any.whl": None})

    assert json.loads(yanked.to_json())["files"][1]["yanked"] is True
    assert [made.newest for made in (both, yanked, unyanked)] == ["2.0", "1.0", "2.0"]
    assert {version: release.serial for version, release in unyanked.releases.items()} == {"1.0": 1, "2.0": 3}
    assert (unyanked.serial, unyanked.files) == (3, both.files)


def test_marking_what_is_marked_changes_nothing() -> None:
    before = page(FULL)

    assert before.marked({FULL.filename: "broken"}) is before


def test_what_is_known_of_a_version_is_from_its_first_wheel_by_name_in_whatever_order_they_come() -> None:
    one, two = file("demo-1.0-cp311-cp311-any.whl"), file("demo-1.0-cp312-cp312-any.whl")
    told = {one.filename: {"summary": "one"}, two.filename: {"summary": "two"}}

    there = page().merged([two], {two.filename: told[two.filename]}).merged([one], {one.filename: told[one.filename]})
    back = page().merged([one], {one.filename: told[one.filename]}).merged([two], {two.filename: told[two.filename]})

    assert there.releases == back.releases
    assert (there.releases["1.0"].info, there.releases["1.0"].serial) == ({"summary": "one"}, 2)


def test_a_page_of_an_earlier_version_of_the_api_is_brought_up_when_it_changes() -> None:
    earlier = replace(page(FULL), api_version="1.1")

    assert earlier.merged([FULL]).api_version == "1.1"
    assert earlier.marked({FULL.filename: None}).api_version == "1.4"
    assert replace(earlier, api_version="1.10").marked({FULL.filename: None}).api_version == "1.10"


def test_the_list_says_which_settings_a_page_has() -> None:
    made = page(FULL).set(ALL_SET)
    listed = ProjectList().merged([made])

    assert json.loads(listed.to_json())["projects"] == [
        {"_last-serial": 2, "_settings": ALL_SET.digest, "_state": made.digest, "_version": "1.0", "name": "demo"}
    ]
    assert ProjectList.from_json(listed.to_json()) == listed


@pytest.mark.parametrize("changed", ["status", "tracks", "alternate_locations", "index_url"])
def test_each_setting_is_in_the_digest(changed: str) -> None:
    assert replace(ALL_SET, **{changed: getattr(Settings(), changed)}).digest != ALL_SET.digest
    assert Settings().digest is None


def test_the_order_in_which_files_come_does_not_show() -> None:
    one, two = file("demo-1.0-py3-none-any.whl"), file("demo-2.0-py3-none-any.whl")

    assert page(one, two).to_json() == page(two, one).to_json()


def test_a_local_version_is_quoted_in_the_link() -> None:
    assert file("demo-1.0+cu1-py3-none-any.whl").link == "../../packages/demo-1.0%2Bcu1-py3-none-any.whl"


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("demo-1.0-py3-none-any.whl", "1.0"),
        ("demo-1.0-2rebuilt-cp311-cp311-linux_x86_64.whl", "1.0"),
        ("demo-1.0.tar.gz", "1.0"),
        ("demo-1.0-py3-none.whl", None),
        ("demo-1.0-x-py3-none-any.whl", None),
        ("demo__x-1.0-py3-none-any.whl", None),
        ("demo-one-py3-none-any.whl", None),
        ("demo-1.0-py3-none-any/x.whl", None),
        ("../demo-1.0-py3-none-any.whl", None),
        ("demo.whl", None),
        ("demo-one.tar.gz", None),
    ],
)
def test_a_file_has_the_version_that_its_whole_name_gives_it(filename: str, version: str | None) -> None:
    found = file(filename).version

    assert (None if found is None else str(found)) == version


@pytest.mark.parametrize(("standing", "yanked"), [("py2", "py3"), ("py3", "py2")])
def test_the_newest_version_is_one_with_a_file_that_is_not_yanked(standing: str, yanked: str) -> None:
    old, gone = file("demo-1.0-py3-none-any.whl"), replace(file(f"demo-2.0-{yanked}-none-any.whl"), yanked="")

    assert page(old, gone).newest == "1.0"
    assert page(old, gone, file(f"demo-2.0-{standing}-none-any.whl")).newest == "2.0"


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
        "meta": {"_last-serial": 1, "api-version": "1.4"},
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
            b'{"meta": {"api-version": "1.0", "tracks": [1]}, "name": "x", "files": []}',
            "page: meta.tracks[0] is 1, expected a string",
        ),
        (
            b'{"meta": {"api-version": "1.0"}, "name": "x", "files": [], "project-status": "archived"}',
            'page: project-status is "archived", expected an object',
        ),
        (
            b'{"meta": {"api-version": "1.0"}, "name": "x", "files": [], "_releases": {"1": {}}}',
            "page: _releases.1 is [], expected an object with the key serial",
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
