from __future__ import annotations

from datetime import UTC, datetime

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tasks.core.releases import (
    Kind,
    Project,
    ProjectFile,
    Release,
    ServedWheel,
    admits,
    identify,
    parse_requires_python,
)

PYYAML = canonicalize_name("PyYAML")


def file(filename: str, *, yanked: str | None = None, requires: str = "", day: int | None = None) -> ProjectFile:
    identified = identify(PYYAML, filename)
    assert identified is not None
    kind, version = identified
    return ProjectFile(
        filename=filename,
        url=f"https://files.example/{filename}",
        version=version,
        kind=kind,
        requires_python=parse_requires_python(requires),
        yanked=yanked is not None,
        yanked_reason=yanked or "",
        upload_time=None if day is None else datetime(2026, 11, day, tzinfo=UTC),
    )


def release_of(*files: ProjectFile) -> Release:
    (release,) = Project.of(PYYAML, files).releases
    return release


@pytest.mark.parametrize(
    ("project", "filename", "kind", "version"),
    [
        ("pyyaml", "pyyaml-6.0.3.tar.gz", Kind.SDIST, "6.0.3"),
        ("pyyaml", "PyYAML-6.0.tar.gz", Kind.SDIST, "6.0"),
        ("pyyaml", "PyYAML-3.05.zip", Kind.SDIST, "3.5"),
        ("pyyaml", "PyYAML-3.05.tar.bz2", Kind.SDIST, "3.5"),
        ("lazy-object-proxy", "lazy-object-proxy-1.0.tar.gz", Kind.SDIST, "1.0"),
        ("lazy-object-proxy", "lazy_object_proxy-1.0.tar.gz", Kind.SDIST, "1.0"),
        ("foo", "foo-1.0-1.tar.gz", Kind.SDIST, "1.0.post1"),
        ("foo", "foo-1.0-beta.tar.gz", Kind.SDIST, "1.0b0"),
        ("foo-2", "foo-2-1.0.tar.gz", Kind.SDIST, "1.0"),
        ("pyyaml", "PyYAML-6.0.3-cp312-cp312-manylinux_2_17_x86_64.whl", Kind.WHEEL, "6.0.3"),
        ("pyyaml", "pyyaml-6.0.3-1-py3-none-any.whl", Kind.WHEEL, "6.0.3"),
    ],
)
def test_a_file_is_known_by_its_name(project: str, filename: str, kind: Kind, version: str) -> None:
    assert identify(canonicalize_name(project), filename) == (kind, Version(version))


@pytest.mark.parametrize(
    "filename",
    [
        "PyYAML-5.1.win32-py2.7.exe",
        "PyYAML-5.1-py2.7.egg",
        "pyyaml-6.0.3-cp312.whl",
        "other-6.0.3.tar.gz",
        "other-6.0.3-py3-none-any.whl",
        "pyyaml-latest.tar.gz",
        "pyyaml.tar.gz",
        "pyyaml-6.0.3.tar.gz.asc",
        "",
    ],
)
def test_other_files_are_none_of_the_project(filename: str) -> None:
    assert identify(PYYAML, filename) is None


def test_releases_are_sorted_by_version_and_not_by_text() -> None:
    names = ["pyyaml-6.10.tar.gz", "pyyaml-6.9.tar.gz", "pyyaml-6.10rc1.tar.gz"]
    project = Project.of(PYYAML, [file(name) for name in names])

    assert [str(release.version) for release in project.releases] == ["6.9", "6.10rc1", "6.10"]


def test_the_order_of_the_page_does_not_matter() -> None:
    files = [file("pyyaml-6.0.tar.gz"), file("pyyaml-6.0-py3-none-any.whl"), file("PyYAML-6.0.0.zip")]

    assert Project.of(PYYAML, files) == Project.of(PYYAML, reversed(files))


def test_two_spellings_of_a_version_are_one_release() -> None:
    release = release_of(file("PyYAML-6.0.tar.gz"), file("PyYAML-6.0.0-py3-none-any.whl"))

    assert release.wheels == (ServedWheel("PyYAML-6.0.0-py3-none-any.whl"),)
    assert Project.of(PYYAML, [file("PyYAML-6.0.tar.gz")]).release(Version("6.0.0")) is not None


@pytest.mark.parametrize(
    ("filenames", "preferred"),
    [
        (["PyYAML-3.5.zip", "PyYAML-3.5.tar.gz", "PyYAML-3.5.tar.bz2"], "PyYAML-3.5.tar.gz"),
        (["PyYAML-3.5.tar.xz", "PyYAML-3.5.tar.bz2", "PyYAML-3.5.zip"], "PyYAML-3.5.zip"),
        (["pyyaml-3.5.tar.gz", "PyYAML-3.5.tar.gz"], "PyYAML-3.5.tar.gz"),
    ],
)
def test_one_of_several_sdists_is_preferred(filenames: list[str], preferred: str) -> None:
    sdist = release_of(*(file(name) for name in filenames)).sdist

    assert sdist is not None
    assert sdist.filename == preferred


def test_a_yanked_sdist_comes_after_one_that_is_not() -> None:
    sdist = release_of(file("pyyaml-3.5.tar.gz", yanked="broken"), file("pyyaml-3.5.zip")).sdist

    assert sdist is not None
    assert sdist.filename == "pyyaml-3.5.zip"


def test_a_release_is_yanked_when_all_its_files_are() -> None:
    sdist, wheel = "pyyaml-6.0.tar.gz", "pyyaml-6.0-py3-none-any.whl"
    partly = release_of(file(sdist, yanked="broken"), file(wheel))
    wholly = release_of(file(sdist, yanked="broken"), file(wheel, yanked=""))

    assert (partly.yanked, partly.yanked_reason) == (False, "")
    assert (wholly.yanked, wholly.yanked_reason) == (True, "broken")


def test_requires_python_and_date_are_those_of_what_would_be_built() -> None:
    wheel = file("pyyaml-6.0-py3-none-any.whl", requires=">=3.6", day=1)
    with_sdist = release_of(wheel, file("pyyaml-6.0.tar.gz", requires=">=3.8", day=2))
    without = release_of(wheel)

    assert (with_sdist.requires_python, with_sdist.upload_time) == (
        SpecifierSet(">=3.8"),
        datetime(2026, 11, 2, tzinfo=UTC),
    )
    assert (without.requires_python, without.upload_time) == (SpecifierSet(">=3.6"), datetime(2026, 11, 1, tzinfo=UTC))
    assert without.sdist is None


@pytest.mark.parametrize(
    ("requires", "interpreter", "admitted"),
    [
        ("", "3.8", True),
        (">=3.8", "3.8", True),
        (">=3.9", "3.8", False),
        (">=3.8.1", "3.8", True),  # some patch level of 3.8 is enough
        (">=3.8.1", "3.8.0", False),
        ("!=3.9.0,!=3.9.1,>=3.9", "3.9", True),
        ("<3.13", "3.13", False),
        (">=3.13", "3.13.0rc1", False),
        ("<4,>=2.7,!=3.0.*,!=3.1.*", "3.14", True),
        (">=3.6.*", "3.5", True),  # PEP 440 does not know it: as in pip, it limits nothing
    ],
)
def test_requires_python_admits(requires: str, interpreter: str, *, admitted: bool) -> None:
    release = release_of(file("pyyaml-6.0.tar.gz", requires=requires))

    assert admits(release, Version(interpreter)) is admitted
