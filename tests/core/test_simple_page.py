from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tasks.core.releases import Project, ProjectFile, ServedWheel
from tasks.core.simple_page import NotAPage, read_page

SHA = "d76623373421df22fb4cf8817020cbb7ef15c725b9d5e45f17e189bfc384190f"
FOO = canonicalize_name("foo")
URL = "https://pkgs.example/simple/foo/"
JSON = "application/vnd.pypi.simple.v1+json"


def html(body: str, *, content_type: str = "text/html", encoding: str = "utf-8", url: str = URL) -> Project:
    body_bytes = f"<!DOCTYPE html><html>{body}</html>".encode(encoding)
    return read_page(FOO, body_bytes, content_type=content_type, url=url).project()


def from_json(*files: object, **page: object) -> Project:
    document = {"meta": {"api-version": "1.1"}, "name": "foo", "files": list(files)} | page
    return read_page(FOO, json.dumps(document).encode(), content_type=JSON, url=URL).project()


def only_sdist(project: Project) -> ProjectFile:
    (release,) = project.releases
    assert release.sdist is not None
    return release.sdist


def test_an_html_link_becomes_a_file() -> None:
    sdist = only_sdist(
        html(
            f'<a href="https://files.example/a/foo-1.0.tar.gz#sha256={SHA}" data-requires-python="&gt;=3.8"'
            ' data-upload-time="2026-11-12T12:26:43Z" data-yanked="broken">foo-1.0.tar.gz</a>'
        )
    )

    assert sdist.filename == "foo-1.0.tar.gz"
    assert sdist.url == "https://files.example/a/foo-1.0.tar.gz"
    assert sdist.sha256 == SHA
    assert sdist.size is None
    assert sdist.requires_python == SpecifierSet(">=3.8")
    assert (sdist.yanked, sdist.yanked_reason) == (True, "broken")
    assert sdist.upload_time == datetime(2026, 11, 12, 12, 26, 43, tzinfo=UTC)


def test_a_json_file_becomes_a_file() -> None:
    sdist = only_sdist(
        from_json(
            {
                "filename": "foo-1.0.tar.gz",
                "url": "https://files.example/a/foo-1.0.tar.gz",
                "hashes": {"sha256": SHA.upper(), "md5": "0" * 32},
                "size": 1234,
                "requires-python": ">=3.8",
                "yanked": "broken",
                "upload-time": "2026-11-12T12:26:43.123456Z",
            }
        )
    )

    assert sdist.filename == "foo-1.0.tar.gz"
    assert sdist.url == "https://files.example/a/foo-1.0.tar.gz"
    assert sdist.sha256 == SHA
    assert sdist.size == 1234
    assert sdist.requires_python == SpecifierSet(">=3.8")
    assert (sdist.yanked, sdist.yanked_reason) == (True, "broken")
    assert sdist.upload_time == datetime(2026, 11, 12, 12, 26, 43, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("foo-1.0.tar.gz", "https://pkgs.example/simple/foo/foo-1.0.tar.gz"),
        ("../../files/foo-1.0.tar.gz", "https://pkgs.example/files/foo-1.0.tar.gz"),
        ("/files/foo-1.0.tar.gz", "https://pkgs.example/files/foo-1.0.tar.gz"),
        ("//cdn.example/foo-1.0.tar.gz", "https://cdn.example/foo-1.0.tar.gz"),
        ("https://me:s3cret@cdn.example/foo-1.0.tar.gz", "https://cdn.example/foo-1.0.tar.gz"),
        ("https://cdn.example/foo-1.0.tar.gz?token=1", "https://cdn.example/foo-1.0.tar.gz?token=1"),
        ("f%6Fo-1.0.tar.gz", "https://pkgs.example/simple/foo/f%6Fo-1.0.tar.gz"),
    ],
)
def test_urls_are_absolute_and_without_user_info(href: str, expected: str) -> None:
    assert only_sdist(html(f'<a href="{href}">x</a>')).url == expected
    assert only_sdist(from_json({"filename": "x", "url": href, "hashes": {}})).url == expected


@pytest.mark.parametrize(
    ("url", "filename"),
    [
        ("https://cdn.example/a/foo-1.0.tar.gz", "foo-1.0.tar.gz"),
        ("https://cdn.example/a/foo-1.0.tar.gz", "foo-2.0.tar.gz"),
        ("https://cdn.example/a/foo-1.0.tar.gz", None),
        ("https://cdn.example/a/f%6Fo-1.0.tar.gz", "foo-1.0.tar.gz"),
        ("https://cdn.example/a/foo-1.0.tar.gz?v=/foo-2.0.tar.gz", "foo-2.0.tar.gz"),
        ("https://cdn.example/a/foo-1.0.tar.gz#/foo-2.0.tar.gz", "foo-2.0.tar.gz"),
        ("https://cdn.example/bar/foo-1.0.tar.gz", "bar/foo-1.0.tar.gz"),
        ("foo-1.0.tar.gz", "foo-1.0.tar.gz"),
    ],
)
def test_a_file_is_named_by_its_url_whatever_the_page_says(url: str, filename: str | None) -> None:
    assert only_sdist(from_json({"filename": filename, "url": url, "hashes": {}})).filename == "foo-1.0.tar.gz"


@pytest.mark.parametrize("size", [True, "1", 1.5, None])
def test_what_is_no_number_of_bytes_is_no_size(size: object) -> None:
    url = "https://cdn.example/foo-1.0.tar.gz"
    assert only_sdist(from_json({"filename": "foo-1.0.tar.gz", "url": url, "hashes": {}, "size": size})).size is None


def test_user_info_of_the_page_is_not_inherited() -> None:
    page = html('<a href="foo-1.0.tar.gz">x</a>', url="https://me:s3cret@pkgs.example/simple/foo/")

    assert only_sdist(page).url == "https://pkgs.example/simple/foo/foo-1.0.tar.gz"


def test_a_base_is_followed() -> None:
    page = html('<head><base href="https://cdn.example/x/"></head><a href="foo-1.0.tar.gz">x</a>')

    assert only_sdist(page).url == "https://cdn.example/x/foo-1.0.tar.gz"


def test_wheels_keep_what_planning_needs() -> None:
    project = html(
        '<a href="foo-1.0-py3-none-any.whl" data-requires-python="&gt;=3.9">x</a>'
        '<a href="foo-1.0-cp312-cp312-win32.whl" data-yanked>x</a>'
    )

    assert project.releases[0].wheels == (
        ServedWheel("foo-1.0-cp312-cp312-win32.whl", None, yanked=True),
        ServedWheel("foo-1.0-py3-none-any.whl", SpecifierSet(">=3.9")),
    )


@pytest.mark.parametrize(("yanked", "expected"), [(False, False), (True, True), ("", True), ("why", True)])
def test_json_says_yanked_in_two_ways(yanked: object, *, expected: bool) -> None:
    assert only_sdist(from_json({"url": "foo-1.0.tar.gz", "hashes": {}, "yanked": yanked})).yanked is expected


def test_other_files_are_counted() -> None:
    project = html('<a href="foo-1.0.tar.gz">x</a><a href="foo-1.0.exe">x</a><a href="foo-1.0-py2.7.egg">x</a>')

    assert (len(project.releases), project.skipped) == (1, 2)


def test_a_project_of_eggs_alone_has_no_releases_and_is_a_page() -> None:
    project = html('<a href="foo-1.0-py2.7.egg">x</a>')

    assert (list(project.releases), project.skipped) == ([], 1)


def test_an_empty_page_that_says_what_it_is_has_no_releases() -> None:
    assert html('<head><meta name="pypi:repository-version" content="1.3"></head>').releases.versions == ()
    assert from_json().releases.versions == ()


def test_the_announced_character_set_is_used() -> None:
    page = html(
        '<a href="foo-1.0.tar.gz" data-yanked="gelöscht">x</a>',
        content_type="text/html; charset=latin-1",
        encoding="latin-1",
    )

    assert only_sdist(page).yanked_reason == "gelöscht"


@pytest.mark.parametrize("digest", ["md5=0123", "sha256=short", "sha256=" + "g" * 64, ""])
def test_what_is_no_sha256_is_no_digest(digest: str) -> None:
    assert only_sdist(html(f'<a href="foo-1.0.tar.gz#{digest}">x</a>')).sha256 is None


def test_a_date_that_cannot_be_read_is_no_date() -> None:
    project = from_json({"url": "foo-1.0.tar.gz", "hashes": {}, "upload-time": "yesterday"})

    assert only_sdist(project).upload_time is None


@pytest.mark.parametrize("version", ["1.0", "1.4", "1.99"])
def test_a_higher_minor_version_adds_what_may_be_ignored(version: str) -> None:
    assert from_json({"url": "foo-1.0.tar.gz"}, meta={"api-version": version}, news=1).releases


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b'{"meta": {"api-version": "2.0"}, "files": []}', JSON, "is of version 2.0 of the Simple API, expected 1.x"),
        (b'{"files": []}', JSON, "is of version (none) of the Simple API, expected 1.x"),
        (b'{"meta": {"api-version": "1.0"}}', JSON, 'is JSON without "files"'),
        (b'{"meta": {"api-version": "1.0"}, "files": [{}]}', JSON, "has no URL in files[0]"),
        (b"\xff", JSON, "is broken or truncated JSON ("),
        (b'<meta name="pypi:repository-version" content="2.0">', "text/html", "is of version 2.0 of the Simple API"),
        (b'<a href="foo-1.0.tar.gz">x</a><a href="foo', "text/html", "is truncated HTML"),
        (b"", "text/html", "lists no file of foo"),
        (b"<html></html>", "text/html", "lists no file of foo"),
        (b'<a href="bar-1.0.tar.gz">x</a>', "text/html", "lists no file of foo"),
        (b"foo", "text/plain; charset=utf-8", "is text/plain, expected a page of the Simple API, JSON or HTML"),
    ],
)
def test_what_is_no_page_is_said(body: bytes, content_type: str, message: str) -> None:
    with pytest.raises(NotAPage) as caught:
        read_page(FOO, body, content_type=content_type, url=URL)

    assert str(caught.value).startswith(message)
