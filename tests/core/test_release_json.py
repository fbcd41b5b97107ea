from __future__ import annotations

import json
from typing import Any

from packaging.utils import canonicalize_name

from tasks.core.index import ProjectPage
from tasks.core.index_file import IndexFile
from tasks.core.release_json import info_of, project_json, release_path, version_json
from tasks.core.settings import Settings, Status

METADATA = b"""Metadata-Version: 2.4
Name: Demo
Version: 1.0
Summary: A demo
Author: A. Uthor
Author-email: a@example.test
Maintainer: M. Aintainer
Maintainer-email: m@example.test
Home-page: https://home.example.test/
License: MIT
License-Expression: MIT
Keywords: demo,test
Classifier: One
Classifier: Two
Project-URL: Source, https://source.example.test/
Requires-Python: >=3.9
Requires-Dist: other >=1
Requires-Dist: more; extra == "x"
Provides-Extra: x

The description.
"""
DEMO = canonicalize_name("demo")
OLD = IndexFile(
    filename="demo-1.0-cp311-cp311-any.whl",
    sha256="a" * 64,
    size=7,
    upload_time="2026-01-02T03:04:05.123456Z",
    requires_python=">=3.9",
    other_hashes={"md5": "c" * 32},
)
NEW = IndexFile(filename="demo-2.0+x-py3-none-any.whl", sha256="b" * 64)
PAGE = ProjectPage(name=DEMO).merged([OLD, NEW], {OLD.filename: info_of(METADATA)})
FILE = {
    "comment_text": "",
    "digests": {"md5": "c" * 32, "sha256": "a" * 64},
    "downloads": -1,
    "filename": "demo-1.0-cp311-cp311-any.whl",
    "has_sig": False,
    "md5_digest": "c" * 32,
    "packagetype": "bdist_wheel",
    "python_version": "cp311",
    "requires_python": ">=3.9",
    "size": 7,
    "upload_time": "2026-01-02T03:04:05",
    "upload_time_iso_8601": "2026-01-02T03:04:05.123456Z",
    "url": "../../../packages/demo-1.0-cp311-cp311-any.whl",
    "yanked": False,
    "yanked_reason": None,
}


def of_project(page: ProjectPage) -> Any:  # noqa: ANN401 - whatever JSON holds
    return json.loads(project_json(page))


def of_version(page: ProjectPage, version: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    return json.loads(version_json(page, version))


def test_the_release_of_a_version_in_the_public_indexs_shape() -> None:
    assert of_version(PAGE, "1.0") == {
        "info": {
            "author": "A. Uthor",
            "author_email": "a@example.test",
            "bugtrack_url": None,
            "classifiers": ["One", "Two"],
            "description": None,
            "description_content_type": None,
            "docs_url": None,
            "download_url": None,
            "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
            "home_page": "https://home.example.test/",
            "keywords": "demo,test",
            "license": "MIT",
            "license_expression": "MIT",
            "maintainer": "M. Aintainer",
            "maintainer_email": "m@example.test",
            "name": "Demo",
            "package_url": None,
            "platform": None,
            "project_url": None,
            "project_urls": {"Source": "https://source.example.test/"},
            "provides_extra": ["x"],
            "release_url": None,
            "requires_dist": ["other >=1", 'more; extra == "x"'],
            "requires_python": ">=3.9",
            "summary": "A demo",
            "version": "1.0",
            "yanked": False,
            "yanked_reason": None,
        },
        "last_serial": 1,
        "urls": [FILE],
        "vulnerabilities": [],
    }


def test_the_release_of_a_project_is_its_newest_version_and_the_files_of_all() -> None:
    made = of_project(PAGE)

    assert (made["info"]["version"], made["info"]["name"], made["info"]["summary"]) == ("2.0+x", "demo", None)
    assert [file["filename"] for file in made["urls"]] == [NEW.filename]
    assert made["releases"]["1.0"] == [{**FILE, "url": "../../packages/demo-1.0-cp311-cp311-any.whl"}]
    assert made["urls"] == made["releases"]["2.0+x"]
    assert made["last_serial"] == 1


def test_urls_are_absolute_where_the_index_has_an_address() -> None:
    set_up = PAGE.set(Settings(index_url="https://wheels.test/team/"))

    assert of_version(set_up, "2.0+x")["urls"][0]["url"] == (
        "https://wheels.test/team/packages/demo-2.0%2Bx-py3-none-any.whl"
    )


def test_a_version_is_yanked_when_all_its_files_are() -> None:
    yanked = PAGE.marked({NEW.filename: "broken"})

    assert of_project(yanked)["info"]["version"] == "1.0"
    made = of_version(yanked, "2.0+x")
    assert (made["info"]["yanked"], made["info"]["yanked_reason"]) == (True, "broken")
    assert (made["urls"][0]["yanked"], made["urls"][0]["yanked_reason"]) == (True, "broken")


def test_a_version_with_a_file_that_is_not_yanked_is_not() -> None:
    other = IndexFile(filename="demo-2.0+x-1-py3-none-any.whl", sha256="d" * 64)

    made = of_version(PAGE.merged([other]).marked({NEW.filename: "broken"}), "2.0+x")

    assert (made["info"]["yanked"], made["info"]["yanked_reason"]) == (False, None)


def test_a_quarantined_project_offers_nothing_here_either() -> None:
    made = of_project(PAGE.set(Settings(status=Status(state="quarantined"))))

    assert (made["urls"], made["releases"]) == ([], {"1.0": [], "2.0+x": []})


def test_a_version_that_did_not_change_keeps_its_bytes() -> None:
    later = PAGE.merged([IndexFile(filename="demo-3.0-py3-none-any.whl", sha256="e" * 64)])

    assert version_json(later, "1.0") == version_json(PAGE, "1.0")
    assert project_json(later) != project_json(PAGE)


def test_where_they_lie() -> None:
    assert (release_path(DEMO), release_path(DEMO, "1.0")) == ("pypi/demo/json", "pypi/demo/1.0/json")
