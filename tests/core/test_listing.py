from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from tasks.core.listing import Sorter
from tasks.core.releases import Project, identify
from tasks.core.simple_page import read_page

if TYPE_CHECKING:
    from packaging.version import Version

FOO = canonicalize_name("foo-bar")
URL = "https://pkgs.example/simple/foo-bar/"

NAMES = st.builds(
    "{}-{}{}-{}-{}-{}{}".format,
    st.sampled_from(["foo_bar", "Foo.Bar", "foo-bar", "foo__bar", "bar", ""]),
    st.sampled_from(["1.0", "1.0.0", "1.0rc1", "1!2", "x", ""]),
    st.sampled_from(["", "-1", "-1a", "-a", "-"]),
    st.sampled_from(["py3", "cp312", "cp311.cp312", "3", "", "py3."]),
    st.sampled_from(["none", "abi3", ""]),
    st.sampled_from(["any", "win32", "a.b", "a..b", "", "a-b"]),
    st.sampled_from([".whl", ".tar.gz", ".zip", ".exe", ""]),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(NAMES, max_size=12))
def test_files_are_sorted_as_one_by_one(filenames: list[str]) -> None:
    place = Sorter(FOO)
    expected: dict[Version, list[list[str]]] = {}
    for name in filenames:
        placed, found = place(name), identify(FOO, name)
        assert (placed and placed[0]) == (found and found[0])
        if placed and found:
            placed[1].append([name])
            expected.setdefault(found[1], []).append([name])

    assert {version: list(rows) for version, rows in place.files.items()} == expected


def test_a_wheel_of_a_known_release_still_needs_tags() -> None:
    """Tags that made no wheel's name once do not make one later, nor do others than those that were seen."""
    names = [
        "foo_bar-1.0-py3-none-any.whl",
        "foo_bar-1.0-3-none-any.whl",
        "foo_bar-2.0-py3-none-any.whl",
        "foo_bar-1.0-3-none-any.whl",
    ]
    place = Sorter(FOO)
    assert [place(name) is not None for name in names] == [True, False, True, False]


def test_of_two_spellings_of_a_version_the_first_is_shown_and_the_release_is_one() -> None:
    names = ["foo_bar-1.0.0-py3-none-any.whl", "foo_bar-1.0-py2-none-any.whl", "foo_bar-1.0.tar.gz"]
    body = "".join(f'<a href="{name}">x</a>' for name in names).encode()
    project = read_page(FOO, body, content_type="text/html", url=URL).project()

    (release,) = project.releases
    assert str(release.version) == "1.0.0"
    assert [wheel.filename for wheel in release.wheels] == sorted(names[:2])
    assert release.sdist is not None
    assert release.sdist.url == f"{URL}foo_bar-1.0.tar.gz"


def test_releases_are_compared_by_what_is_in_them() -> None:
    def project(digest: str) -> Project:
        body = f'<a href="foo-bar-1.0.tar.gz#sha256={digest}">x</a>'.encode()
        return read_page(FOO, body, content_type="text/html", url=URL).project()

    assert project("5" * 64) == project("5" * 64)
    assert project("5" * 64) != project("6" * 64)
    assert hash(project("5" * 64)) == hash(project("5" * 64))


def test_releases_are_a_sequence() -> None:
    body = b"".join(b'<a href="foo-bar-%d.0.tar.gz">x</a>' % number for number in (10, 9, 1))
    releases = read_page(FOO, body, content_type="text/html", url=URL).project().releases

    assert [str(release.version) for release in releases] == ["1.0", "9.0", "10.0"]
    assert [str(release.version) for release in reversed(releases)] == ["10.0", "9.0", "1.0"]
    assert releases[:2] == (releases[0], releases[1])
    assert releases[-1] is releases[2]
    assert len(releases) == 3
