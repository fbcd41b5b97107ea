from __future__ import annotations

from datetime import UTC, datetime

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tasks.core.releases import Project, ProjectFile, Release, identify
from tasks.core.resolution import LATEST, Unresolved, parse_request, resolve

PYYAML = canonicalize_name("PyYAML")


def project(*versions: str) -> Project:
    """A project with an sdist a version; ``6.0!`` is yanked, ``6.0@12`` was uploaded on the 12th."""
    files = []
    for text in versions:
        version, _, day = text.rstrip("!").partition("@")
        identified = identify(PYYAML, f"pyyaml-{version}.tar.gz")
        assert identified is not None
        files.append(
            ProjectFile(
                filename=f"pyyaml-{version}.tar.gz",
                url=f"https://files.example/pyyaml-{version}.tar.gz",
                version=identified[1],
                kind=identified[0],
                yanked=text.endswith("!"),
                yanked_reason="it does not import" if text.endswith("!") else "",
                upload_time=datetime(2026, 11, int(day), 12, tzinfo=UTC) if day else None,
            )
        )
    return Project.of(PYYAML, files)


def resolved(request: str, *versions: str) -> str:
    return str(resolve(project(*versions), parse_request(request), called="PyYAML").release.version)


def message(request: str, *versions: str) -> str:
    with pytest.raises(Unresolved) as caught:
        resolved(request, *versions)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("latest", LATEST),
        ("6.0.3", Version("6.0.3")),
        ("1.10", Version("1.10")),
        ("~=7.10", SpecifierSet("~=7.10")),
        (">=5,<6", SpecifierSet(">=5,<6")),
    ],
)
def test_a_request_is_parsed(text: str, request_: object) -> None:
    assert parse_request(text) == request_


@pytest.mark.parametrize("text", ["newest", "", ">=", "^7.1", "Latest"])
def test_what_is_no_request_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is neither") as caught:
        parse_request(text)

    assert (
        str(caught.value) == f"{text!r} is neither latest, nor a version such as 6.0.3, nor a specifier such as ~=6.0"
    )


@pytest.mark.parametrize(
    ("request_", "versions", "expected"),
    [
        ("latest", ["6.9", "6.10", "6.2"], "6.10"),
        ("latest", ["6.0", "7.0rc1", "7.0.dev1"], "6.0"),
        ("latest", ["6.0", "6.1!"], "6.0"),
        ("latest", ["6.0", "6.0.post1"], "6.0.post1"),
        ("~=6.0", ["5.9", "6.0", "6.8", "7.0"], "6.8"),
        ("~=6.0", ["6.0", "6.1rc1"], "6.0"),
        (">=6.1rc1", ["6.0", "6.1rc2"], "6.1rc2"),
        ("==6.*", ["6.0", "6.1!"], "6.0"),
        ("6.0", ["6.0", "6.1"], "6.0"),
        ("6.0.0", ["6.0"], "6.0"),
        ("6.1rc1", ["6.0", "6.1rc1"], "6.1rc1"),
        ("6.1", ["6.0", "6.1!"], "6.1"),
    ],
)
def test_a_request_means_a_release(request_: str, versions: list[str], expected: str) -> None:
    assert resolved(request_, *versions) == expected


@pytest.mark.parametrize(
    ("request_", "versions", "expected"),
    [
        ("9.9", ["6.0.2", "6.0.3"], "PyYAML has no version 9.9 (newest: 6.0.3)"),
        ("9.9", ["6.0", "7.0rc1", "6.1!"], "PyYAML has no version 9.9 (newest: 6.0)"),
        ("9.9", [], "PyYAML has no version 9.9 (it has no releases)"),
        ("~=7.99", ["6.0.3"], "PyYAML has no release that matches ~=7.99 (newest: 6.0.3)"),
        ("latest", [], "PyYAML has no releases"),
        ("latest", ["6.0!"], "PyYAML has only yanked releases"),
        (
            "latest",
            ["7.0rc1", "7.0rc2"],
            "PyYAML: all releases are pre-releases; to have the newest, ask for 7.0rc2",
        ),
        (
            "~=7.0",
            ["6.0", "7.1rc1"],
            "PyYAML: all releases that match ~=7.0 are pre-releases; to have the newest, ask for 7.1rc1",
        ),
    ],
)
def test_a_request_without_a_release_is_explained(request_: str, versions: list[str], expected: str) -> None:
    assert message(request_, *versions) == expected


def test_an_exact_pre_release_is_taken_with_a_warning() -> None:
    assert resolve(project("7.0rc1"), Version("7.0rc1"), called="PyYAML").warnings == (
        "PyYAML 7.0rc1 is a pre-release",
    )


def test_an_exact_yanked_version_is_taken_with_a_warning() -> None:
    assert resolve(project("6.0!"), Version("6.0"), called="PyYAML").warnings == (
        "PyYAML 6.0 is yanked: it does not import",
    )


def test_an_ordinary_release_needs_no_warning() -> None:
    assert resolve(project("6.0"), LATEST).warnings == ()


DATED = ["6.0@1", "6.1@10", "6.2@18"]


def test_the_cooldown_keeps_young_releases_out() -> None:
    at_noon = datetime(2026, 11, 10, 12, tzinfo=UTC)

    assert str(resolve(project(*DATED), LATEST, newer_than=at_noon).release.version) == "6.1"


@pytest.mark.parametrize("request_", ["6.2", "~=6.0"])
def test_the_cooldown_is_for_latest_alone(request_: str) -> None:
    resolution = resolve(project(*DATED), parse_request(request_), newer_than=datetime(2026, 11, 10, tzinfo=UTC))

    assert str(resolution.release.version) == "6.2"


def test_a_cooldown_that_admits_nothing_is_said() -> None:
    with pytest.raises(Unresolved) as caught:
        resolve(project(*DATED), LATEST, called="PyYAML", newer_than=datetime(2026, 10, 1, tzinfo=UTC))

    assert str(caught.value) == "PyYAML has no release that the cooldown admits: 6.2 is the newest"


def test_a_cooldown_without_dates_is_an_error_and_no_guess() -> None:
    with pytest.raises(Unresolved) as caught:
        resolve(project("6.0@1", "6.1"), LATEST, called="PyYAML", newer_than=datetime(2026, 11, 10, tzinfo=UTC))

    assert str(caught.value) == "PyYAML 6.1: the public index gives no upload time, which the cooldown needs"


def older_than_6_2(release: Release) -> bool:
    return release.version < Version("6.2")


def test_a_specifier_means_the_newest_release_that_fits() -> None:
    resolution = resolve(project("6.0", "6.1", "6.2"), SpecifierSet("~=6.0"), fits=older_than_6_2)

    assert str(resolution.release.version) == "6.1"


def test_latest_never_falls_back_to_a_release_that_fits() -> None:
    assert str(resolve(project("6.0", "6.2"), LATEST, fits=older_than_6_2).release.version) == "6.2"


def test_a_specifier_that_nothing_fits_is_explained() -> None:
    with pytest.raises(Unresolved) as caught:
        resolve(project("6.2", "6.3"), SpecifierSet("~=6.0"), called="PyYAML", fits=older_than_6_2)

    assert str(caught.value) == "PyYAML has no release that matches ~=6.0 and fits the target: 6.3 is the newest"
