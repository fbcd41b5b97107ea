from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from tasks.core.wheels import problems
from tasks.wheelfile import UnreadableWheel, read_wheel, sha256_of
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


def test_a_wheel_is_read_with_its_members_and_metadata(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "demo", "1.0")
    contents = read_wheel(path)
    assert contents.filename == "demo-1.0-py3-none-any.whl"
    assert (contents.size, contents.sha256) == (path.stat().st_size, sha256_of(path))
    assert [member.path for member in contents.members] == [
        "demo.py",
        "demo-1.0.dist-info/METADATA",
        "demo-1.0.dist-info/WHEEL",
        "demo-1.0.dist-info/RECORD",
    ]
    assert contents.metadata == b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
    assert list(problems(contents)) == []


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "it holds 0 .dist-info directories, expected one"),
        (
            {"a-1.dist-info/METADATA": "", "b-1.dist-info/METADATA": ""},
            "it holds 2 .dist-info directories, expected one",
        ),
        ({"a-1.dist-info/METADATA": ""}, "a-1.dist-info/WHEEL is missing"),
    ],
)
def test_an_archive_that_is_no_wheel_says_why(tmp_path: Path, members: dict[str, str], reason: str) -> None:
    path = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    with pytest.raises(UnreadableWheel, match=reason):
        read_wheel(path)


def test_a_file_that_is_no_zip_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a-1-py3-none-any.whl"
    path.write_bytes(b"not a zip")
    with pytest.raises(UnreadableWheel, match="File is not a zip file"):
        read_wheel(path)


def test_a_name_that_is_no_wheels_says_so(tmp_path: Path) -> None:
    path = make_wheel(tmp_path).rename(tmp_path / "demo.whl")
    with pytest.raises(UnreadableWheel, match=r"Invalid wheel filename"):
        read_wheel(path)


def test_a_member_that_is_damaged_says_so(tmp_path: Path) -> None:
    path = make_wheel(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"VERSION = '1.0'", b"VERSION = '9.9'", 1))
    with pytest.raises(UnreadableWheel, match=r"Bad CRC-32 for file 'demo\.py'"):
        read_wheel(path)
