from __future__ import annotations

import pytest
from packaging.tags import Tag

from tasks.core.targets import PythonTag, Target, accepted, parse_platforms


@pytest.mark.parametrize(
    ("tag", "abi", "interpreter", "dotted"),
    [
        ("cp314", None, "cp314", "3.14"),
        ("cp39", "cp39", "cp39", "3.9"),
        ("cp312", "abi3", "cp312", "3.12"),
        ("cp314t", None, "cp314", "3.14"),
    ],
)
def test_an_interpreter_tag_is_parsed(tag: str, abi: str | None, interpreter: str, dotted: str) -> None:
    python = PythonTag.parse(tag, abi)
    assert (python.tag, python.abi, python.interpreter, python.dotted) == (tag, abi or tag, interpreter, dotted)


@pytest.mark.parametrize(
    ("tag", "abi", "message"),
    [
        ("cp3", None, "an interpreter tag looks like cp314"),
        ("py3", None, "an interpreter tag looks like cp314"),
        ("cp312", "cp311", "the ABI of cp312 is cp312 or abi3"),
        ("cp314t", "abi3", "free-threaded interpreters have no stable ABI before abi3t"),
    ],
)
def test_a_bad_interpreter_tag_says_what_was_expected(tag: str, abi: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PythonTag.parse(tag, abi)


def test_interpreters_are_ordered_by_version_not_by_text() -> None:
    assert PythonTag.parse("cp39") < PythonTag.parse("cp310")


@pytest.mark.parametrize("text", ["", "a-b", "any", "a..b", "a b"])
def test_a_bad_platform_tag_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a platform tag looks like"):
        parse_platforms(text)


def test_a_compressed_set_of_platform_tags_is_folded_to_lower_case() -> None:
    assert parse_platforms("freebsd_15_1_RELEASE_amd64.b_1") == ("freebsd_15_1_release_amd64", "b_1")


@pytest.mark.parametrize(
    ("platform", "takes", "refuses"),
    [
        ("freebsd_15_1_release_amd64", "freebsd_15_1_release_amd64", "freebsd_15_0_release_amd64"),
        ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux_2_29_x86_64"),
        ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux2014_aarch64"),
        ("manylinux_2_12_x86_64", "manylinux1_x86_64", "manylinux2014_x86_64"),
        ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_18_aarch64"),
        ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64", "manylinux_2_17_x86_64"),
        ("macosx_14_0_arm64", "macosx_11_0_universal2", "macosx_15_0_arm64"),
    ],
)
def test_a_platform_takes_what_is_older_and_not_what_is_newer(platform: str, takes: str, refuses: str) -> None:
    assert takes in set(accepted(platform))
    assert refuses not in set(accepted(platform))


def test_a_free_threaded_interpreter_takes_no_abi3() -> None:
    target = Target(name="t", instance="i/1", arch="x", platforms=("p_1",), pythons=())
    assert Tag("cp313", "abi3", "p_1") in target.install_tags(PythonTag.parse("cp313"))
    assert Tag("cp313", "abi3", "p_1") not in target.install_tags(PythonTag.parse("cp313t"))
    assert Tag("cp313", "cp313t", "p_1") in target.install_tags(PythonTag.parse("cp313t"))
