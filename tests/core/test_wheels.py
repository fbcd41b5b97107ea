from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tasks.core.wheels import ExpectedWheel, Member, WheelContents, WheelName, mismatches, problems

NAME = "x_y-1.0-cp312-cp312-linux_x86_64.whl"
INFO = "x_y-1.0.dist-info"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def row(path: str, text: str) -> str:
    encoded = base64.urlsafe_b64encode(bytes.fromhex(digest(text))).rstrip(b"=").decode()
    return f"{path},sha256={encoded},{len(text)}\n"


def wheel(
    filename: str = NAME, *, metadata: str = "Name: X.y\nVersion: 1.0\n", tag: str = "cp312-cp312-linux_x86_64"
) -> WheelContents:
    files = {"x.py": "1", f"{INFO}/METADATA": metadata, f"{INFO}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n"}
    record = "".join(row(path, text) for path, text in files.items()) + f"{INFO}/RECORD,,\n"
    files[f"{INFO}/RECORD"] = record
    return WheelContents(
        filename=filename,
        sha256="0" * 64,
        size=1,
        members=tuple(Member(path=path, size=len(text), sha256=digest(text)) for path, text in files.items()),
        dist_info=INFO,
        metadata=metadata.encode(),
        wheel=files[f"{INFO}/WHEEL"].encode(),
        record=record.encode(),
    )


def with_member(contents: WheelContents, path: str) -> WheelContents:
    return replace(contents, members=(*contents.members, Member(path=path, size=1, sha256=digest("1"))))


def test_a_sound_wheel_has_no_problems() -> None:
    assert list(problems(wheel())) == []


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (wheel(metadata="Name: z\nVersion: 1.0\n"), "METADATA names z, the file name x-y"),
        (wheel(metadata="Version: 1.0\n"), "METADATA names no project, the file name x-y"),
        (wheel(metadata="Name: x-y\nVersion: 1.1\n"), "METADATA has version 1.1, the file name 1.0"),
        (wheel(metadata="Name: x-y\n"), "METADATA has version (none), the file name 1.0"),
        (
            wheel(tag="py3-none-any"),
            "WHEEL lists the tags py3-none-any, the file name cp312-cp312-linux_x86_64",
        ),
        (wheel(tag="garbage"), "WHEEL has a tag that is none: Tag 'garbage' must have exactly three components"),
        (replace(wheel(), record=b"x" * 200_000), "RECORD cannot be read: field larger than field limit (131072)"),
        (with_member(wheel(), "extra.py"), "extra.py is not in RECORD"),
        (replace(wheel(), members=wheel().members[1:]), "RECORD lists x.py, which is not in the wheel"),
        (
            replace(wheel(), members=(Member(path="x.py", size=1, sha256=digest("2")), *wheel().members[1:])),
            "x.py does not have the hash that RECORD gives it",
        ),
        (with_member(wheel(), "../x.py"), "../x.py leaves the wheel's root"),
        (with_member(wheel(), "/x.py"), "/x.py leaves the wheel's root"),
        (with_member(wheel(), "C:/x.py"), "C:/x.py leaves the wheel's root"),
        (with_member(wheel(), "x.py"), "x.py is in the wheel twice"),
        (replace(wheel(), filename="x-1.whl"), "Invalid wheel filename (wrong number of parts): 'x-1'"),
    ],
)
def test_what_is_wrong_with_a_wheel_is_said(contents: WheelContents, problem: str) -> None:
    assert problem in list(problems(contents))


def test_of_members_that_were_not_read_the_sizes_are_compared() -> None:
    sound = wheel()
    unread = replace(sound, members=tuple(replace(member, sha256=None) for member in sound.members))
    first, *others = unread.members
    longer = replace(unread, members=(replace(first, size=2), *others))

    assert list(problems(unread)) == []
    assert list(problems(longer)) == ["x.py does not have the size that RECORD gives it"]


def test_a_record_without_sizes_says_nothing_of_members_that_were_not_read() -> None:
    sound = wheel()
    unread = tuple(replace(member, sha256=None) for member in sound.members)

    assert list(problems(replace(sound, members=unread, record=sound.record.replace(b",1\n", b",\n")))) == []


def test_signatures_need_no_hash_in_record() -> None:
    assert list(problems(with_member(wheel(), f"{INFO}/RECORD.jws"))) == []


EXPECTED = ExpectedWheel(
    name=canonicalize_name("X.Y"),
    version=Version("1.0"),
    build=(),
    interpreter="cp312",
    abi="cp312",
    platforms=("linux_x86_64",),
)


def test_the_expected_wheel_is_named_as_build_backends_name_it() -> None:
    assert EXPECTED.filename == NAME
    assert replace(EXPECTED, build=(2, ""), platforms=("a_1", "b_1")).filename == "x_y-1.0-2-cp312-cp312-a_1.b_1.whl"


@pytest.mark.parametrize(
    ("filename", "found"),
    [
        (NAME, []),
        ("X.y-1.0-CP312-cp312-LINUX_x86_64.whl", []),
        ("x_y-1.0-cp312-cp312-manylinux_2_17_x86_64.linux_x86_64.whl", []),
        ("z-1.0-cp312-cp312-linux_x86_64.whl", ["the wheel is of z, not of x-y"]),
        ("x_y-2.0-cp312-cp312-linux_x86_64.whl", ["the wheel has version 2.0, expected 1.0"]),
        ("x_y-1.0-3-cp312-cp312-linux_x86_64.whl", ["the wheel has build tag (3, ''), expected none"]),
        (
            "x_y-1.0-py3-none-any.whl",
            [
                (
                    "the wheel has tags py3-none-any; expected cp312-cp312-linux_x86_64; if pure Python is meant, "
                    "give the package `build: {native: false}` in the matrix"
                )
            ],
        ),
    ],
)
def test_a_wheel_is_compared_with_its_action_as_values(filename: str, found: list[str]) -> None:
    assert list(mismatches(wheel(filename), EXPECTED)) == found


def test_of_a_package_that_need_not_be_native_a_wheel_for_every_platform_does() -> None:
    assert list(mismatches(wheel("x_y-1.0-py3-none-any.whl"), EXPECTED, native=False)) == []
    assert list(mismatches(wheel("x_y-1.0-cp312-cp312-win_amd64.whl"), EXPECTED, native=False)) != []


def test_a_name_that_is_no_wheels_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"Invalid wheel filename"):
        WheelName.parse("x-1.0.zip")


@pytest.mark.parametrize("filename", ["x-1.0-1/../../y-py3-none-any.whl", "x-1.0-1\\y-py3-none-any.whl"])
def test_a_path_is_no_wheels_name_although_a_build_tag_may_be_anything(filename: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"Invalid wheel filename (it is a path): {filename!r}")):
        WheelName.parse(filename)
