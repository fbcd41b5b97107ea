"""What reading a wheel that lies elsewhere costs."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from tasks.stores.ranges import TAIL, open_ranges
from tasks.wheelfile import read_open_wheel, read_wheel
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


class Elsewhere:
    """Gives ranges of some bytes, and remembers which."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fetched: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> bytes:
        self.fetched.append((start, stop))
        return self.data[start:stop]


def test_the_tail_is_fetched_once() -> None:
    elsewhere = Elsewhere(bytes(3 * TAIL))
    with open_ranges(3 * TAIL, elsewhere) as file:
        for place in (3 * TAIL - 22, 3 * TAIL - 500, 2 * TAIL, 3 * TAIL - 1):
            file.seek(place)
            assert len(file.read(20)) == min(20, 3 * TAIL - place)

    assert elsewhere.fetched == [(2 * TAIL, 3 * TAIL)]


def test_what_lies_before_the_tail_is_fetched_as_it_is_read() -> None:
    elsewhere = Elsewhere(bytes(5 * TAIL))
    with open_ranges(5 * TAIL, elsewhere) as file:
        file.read(10)
        file.read(10)  # the same piece
        file.seek(2 * TAIL + 7)
        file.read(10)

    assert elsewhere.fetched == [(0, TAIL), (2 * TAIL + 7, 3 * TAIL + 7)]


def test_a_file_is_read_through_in_the_pieces_asked_for() -> None:
    data = bytes(range(256)) * 2048  # 8 tails
    elsewhere = Elsewhere(data)
    with open_ranges(len(data), elsewhere) as file:
        read = b"".join(iter(lambda: file.read(4 * TAIL), b""))

    assert read == data
    assert elsewhere.fetched == [(0, 4 * TAIL), (4 * TAIL, 7 * TAIL), (7 * TAIL, 8 * TAIL)]


def test_a_seek_before_the_beginning_is_an_error() -> None:
    with open_ranges(3, Elsewhere(b"abc")) as file, pytest.raises(ValueError, match="seek to -1, expected a place in"):
        file.seek(-4, 2)


def test_what_fetching_raises_goes_through() -> None:
    def fetch(start: int, stop: int) -> bytes:
        raise ConnectionResetError(f"{start}-{stop}")

    with open_ranges(3, fetch) as file, pytest.raises(ConnectionResetError, match="0-3"):
        file.read()


def test_a_directory_that_is_longer_than_the_tail_is_read_in_one_more_piece(tmp_path: Path) -> None:
    more = {f"{i:0200}.txt": b"" for i in range(400)}
    data = make_wheel(tmp_path, more=more).read_bytes()
    elsewhere = Elsewhere(data)

    with open_ranges(len(data), elsewhere) as file, zipfile.ZipFile(file) as archive:
        assert len(archive.namelist()) == 404

    assert len(elsewhere.fetched) == 2
    assert elsewhere.fetched[0] == (len(data) - TAIL, len(data))


def test_a_small_wheel_is_one_fetch_and_reads_as_the_file_does(tmp_path: Path) -> None:
    path = make_wheel(tmp_path)
    elsewhere = Elsewhere(path.read_bytes())

    with open_ranges(path.stat().st_size, elsewhere) as file:
        assert read_open_wheel(file, path.name) == read_wheel(path)

    assert elsewhere.fetched == [(0, path.stat().st_size)]
