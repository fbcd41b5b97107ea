from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from packaging.version import Version

from tasks.core.errors import BadInput
from tasks.core.golden import Reader
from tasks.golden_files.manifest import (
    Break,
    Found,
    GoldenFile,
    Manifest,
    difference,
    forgotten,
    judged,
    misread,
    unaccepted,
)

DATA = b"made by 0.1.0\n"
FILE = GoldenFile(
    sha256=hashlib.sha256(DATA).hexdigest(), made_by=Version("0.1.0"), shows="what it shows", finds={"name": "x"}
)
BROKEN = Break(version=Version("2"), reason="nobody has such files any more")
NOTHING = Found(failure="it is empty")


def test_a_file_that_is_as_it_was_and_is_read_as_it_must_be() -> None:
    assert judged(FILE, DATA) is None
    assert misread(FILE, Found(value={"name": "x"}), NOTHING, empty=False) is None


def test_a_file_that_was_changed() -> None:
    changed = hashlib.sha256(b"changed").hexdigest()
    assert judged(FILE, b"changed") == (
        f"was changed: its sha256 is {changed}, it was {FILE.sha256}; golden files do not change: restore it"
    )


def test_a_file_that_the_reader_does_not_take() -> None:
    found = Found(failure="version 1 is too old")
    assert misread(FILE, found, NOTHING, empty=False) == "is not read: version 1 is too old"


def test_a_file_in_which_something_else_is_found() -> None:
    found = Found(value={"name": "y"})
    assert misread(FILE, found, NOTHING, empty=False) == 'is read as something else: name is "y", expected "x"'


def test_a_reader_that_finds_the_same_in_an_empty_file_has_not_read() -> None:
    found = Found(value={"name": "x"})
    assert misread(FILE, found, found, empty=False) == "is not read: the reader finds the same in an empty file"


def test_an_empty_golden_file_may_be_read_as_an_empty_file_is() -> None:
    found = Found(value={"name": "x"})
    assert misread(FILE, found, found, empty=True) is None


DIFFERENCES: dict[str, tuple[Any, Any, str | None]] = {
    "equal": ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, None),
    "a newer reader finds more": ({"a": 1}, {"a": 1, "b": 2}, None),
    "a key is missing": ({"a": {"b": 1}}, {"a": {}}, "a.b is missing, expected 1"),
    "a value": ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "a[0].b is 2, expected 1"),
    "a longer list": ({"a": [1]}, {"a": [1, 2]}, "a is [1, 2], expected [1]"),
    "true is not 1": ([1], [True], "[0] is true, expected 1"),
    "1.0 is not 1": (1, 1.0, "it is 1.0, expected 1"),
    "null is not missing": ({"a": None}, {}, "a is missing, expected null"),
    "long": ("x" * 99, 1, f'it is 1, expected "{"x" * 59}…'),
}


@pytest.mark.parametrize(("expected", "found", "said"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_the_first_difference_is_named_by_its_place(expected: object, found: object, said: str | None) -> None:
    assert difference(expected, found) == said


@pytest.mark.parametrize("current", [None, Version("2.0.0"), Version("3.1")])
def test_a_major_version_accepts_a_break_in_writing(current: Version | None) -> None:
    assert unaccepted(replace(FILE, accepted=BROKEN), current) is None


UNACCEPTED = {
    "a minor version": (
        replace(BROKEN, version=Version("1.2")),
        "the break is accepted for 1.2, which is no major version: expected 1.0.0, 2.0.0 …",
    ),
    "before the first": (
        replace(BROKEN, version=Version("0.0")),
        "the break is accepted for 0.0, which is no major version: expected 1.0.0, 2.0.0 …",
    ),
    "a pre-release": (
        replace(BROKEN, version=Version("2.0rc1")),
        "the break is accepted for 2.0rc1, which is no major version: expected 1.0.0, 2.0.0 …",
    ),
    "the version that made it": (
        replace(BROKEN, version=Version("1.0")),
        "the break is accepted for 1.0, which is no later than 1.0.0, which made it",
    ),
    "a version to come": (
        replace(BROKEN, version=Version("3")),
        "the break is accepted for 3, and this is 2.5: until then it has to be read",
    ),
    "without a reason": (
        replace(BROKEN, reason="  "),
        "the break is accepted for 2 without a reason: write why",
    ),
}


@pytest.mark.parametrize(("accepted", "said"), UNACCEPTED.values(), ids=UNACCEPTED)
def test_nothing_else_accepts_one(accepted: Break, said: str) -> None:
    assert unaccepted(replace(FILE, made_by=Version("1.0.0"), accepted=accepted), Version("2.5")) == said


def test_a_manifest_is_written_as_it_was_read() -> None:
    manifest = Manifest(files={"b/c.json": replace(FILE, accepted=BROKEN), "a.json": FILE})
    assert Manifest.from_json(manifest.to_json(), "manifest.json") == manifest
    assert list(json.loads(manifest.to_json())["files"]) == ["a.json", "b/c.json"]


HEAD = '"format": "spare-tire/golden-manifest", "version": 1'
ENTRY = '{"sha256": "0", "made_by": "1", "shows": "", "finds": 1}'
UNREADABLE = {
    "not JSON": (
        "{",
        "m: not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1); restore it from version control",
    ),
    "another format": ("{}", "m: expected an object with the format spare-tire/golden-manifest, version 1"),
    "a list": ("[]", "m: expected an object with the format spare-tire/golden-manifest, version 1"),
    "a newer version": (
        '{"format": "spare-tire/golden-manifest", "version": 2}',
        "m: expected an object with the format spare-tire/golden-manifest, version 1",
    ),
    "a list of files": (
        f'{{{HEAD}, "files": []}}',
        "m: files is [], expected an object; restore it from version control",
    ),
    "a break without its version": (
        f'{{{HEAD}, "files": {{"a": {ENTRY[:-1]}, "accepted": {{}}}}}}}}',
        "m: a: the key 'version' is missing",
    ),
    "a file twice": (
        f'{{{HEAD}, "files": {{"a": {ENTRY}, "a": {ENTRY}}}}}',
        "m: not JSON: the key 'a' is there twice; restore it from version control",
    ),
    "a key that is missing": (f'{{{HEAD}, "files": {{"a": {{}}}}}}', "m: a: the key 'sha256' is missing"),
    "nothing to find": (
        f'{{{HEAD}, "files": {{"a": {ENTRY.replace("finds", "found")}}}}}',
        "m: a: the key 'found' is not known",
    ),
    "no version": (
        f'{{{HEAD}, "files": {{"a": {ENTRY.replace(": " + chr(34) + "1" + chr(34), ": " + chr(34) + "one" + chr(34))}}}}}',
        "m: a: made_by is 'one', expected a version (PEP 440)",
    ),
    "no text": (
        f'{{{HEAD}, "files": {{"a": {ENTRY.replace(chr(34) + "0" + chr(34), "0")}}}}}',
        "m: a: sha256 is 0, expected text",
    ),
    "up and away": (
        f'{{{HEAD}, "files": {{"../a": {ENTRY}}}}}',
        "m: ../a: expected the path of a file below the manifest's folder",
    ),
    "absolute": (
        f'{{{HEAD}, "files": {{"/a": {ENTRY}}}}}',
        "m: /a: expected the path of a file below the manifest's folder",
    ),
    "itself": (
        f'{{{HEAD}, "files": {{"manifest.json": {ENTRY}}}}}',
        "m: manifest.json: expected the path of a file below the manifest's folder",
    ),
}


@pytest.mark.parametrize(("text", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_manifest_is_bad_input(text: str, said: str) -> None:
    with pytest.raises(BadInput) as raised:
        Manifest.from_json(text.encode(), "m")
    assert raised.value.messages == (said,)


def test_a_manifest_may_grow_and_accept() -> None:
    now = Manifest(files={"a": replace(FILE, accepted=BROKEN), "b": FILE})
    assert forgotten("a", FILE, now) is None


def test_a_manifest_may_not_lose_a_file() -> None:
    assert forgotten("a", FILE, Manifest()) == ("was taken out of the manifest; golden files do not go: restore both")


def test_a_manifest_may_not_say_something_else_of_a_file() -> None:
    now = Manifest(files={"a": replace(FILE, finds={"name": "y"}, sha256="0" * 64)})
    assert forgotten("a", FILE, now) == (
        'the manifest once said something else of it: finds.name is "y", expected "x"; restore it'
    )


def test_a_manifest_may_not_ask_for_more_of_a_file() -> None:
    now = Manifest(files={"a": replace(FILE, finds={"name": "x", "more": 1})})
    assert forgotten("a", FILE, now) == (
        "the manifest once said something else of it: it has to find more now; restore it"
    )


def test_a_reader_is_a_command_or_a_callable() -> None:
    for reader in ({}, {"command": ("a",), "callable": "a:b"}):
        with pytest.raises(ValueError, match=r"^expected one of the keys command and callable$"):
            Reader(**reader)  # type: ignore[arg-type]


def test_a_command_has_no_folder_of_its_own() -> None:
    with pytest.raises(ValueError, match=r"^folder is for a callable: a command runs in the folder of this file$"):
        Reader(command=("a",), folder="src")
