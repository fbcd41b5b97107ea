from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from tasks import matrixcache, matrixfile
from tasks.core.errors import BadInput
from tasks.core.golden import Golden, Reader
from tasks.core.matrix_shape import schema

WHOLE = """\
golden:
  checkpoints:
    paths: [./golden/checkpoints/, old]
    reader: {command: [python3, read.py, --json]}
  states:
    paths: golden/states
    reader: {callable: "acme.states:read", folder: src/main/python}
"""
READ = (
    Golden(
        name="checkpoints",
        paths=("golden/checkpoints", "old"),
        reader=Reader(command=("python3", "read.py", "--json")),
    ),
    Golden(
        name="states",
        paths=("golden/states",),
        reader=Reader(callable="acme.states:read", folder="src/main/python"),
    ),
)


def test_formats_are_read_in_their_order_and_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "m.yml"
    path.write_text(WHOLE, encoding="utf-8")
    for _ in range(2):  # the second time from the cache
        assert matrixcache.load(path, tmp_path / "cache").matrix.golden == READ


def test_the_schema_takes_them() -> None:
    reader = {"callable": "a.b:c", "folder": "src"}
    jsonschema.validate({"golden": {"x": {"paths": "p", "reader": reader}}}, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"golden": {"x": {"paths": "p", "reader": {"callable": "a.b"}}}}, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({}, schema())


WRONG = {
    "no reader": ("{paths: p}", "m.yml:2: golden.x: the key 'reader' is missing: what reads the files"),
    "no paths": (
        "{reader: {command: [a]}}",
        "m.yml:2: golden.x: the key 'paths' is missing: the folders of the files, each with its manifest",
    ),
    "two readers": (
        "{paths: p, reader: {command: [a], callable: 'a:b'}}",
        "m.yml:2: golden.x.reader: expected one of the keys command and callable",
    ),
    "neither": (
        "{paths: p, reader: {}}",
        "m.yml:2: golden.x.reader: expected one of the keys command and callable",
    ),
    "no function": (
        "{paths: p, reader: {callable: a.b}}",
        "m.yml:2: golden.x.reader.callable: expected module:function, found 'a.b'",
    ),
    "outside": (
        "{paths: ../p, reader: {command: [a]}}",
        (
            "m.yml:2: golden.x.paths: expected a relative path such as src/main/python, found '../p': "
            "it has to lie in the folder of this file, with '/' between its parts"
        ),
    ),
}


@pytest.mark.parametrize(("said", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_place(said: str, message: str) -> None:
    with pytest.raises(BadInput) as raised:
        matrixfile.parse(f"golden:\n  x: {said}\n".encode(), Path("m.yml"))
    assert raised.value.messages == (message,)
