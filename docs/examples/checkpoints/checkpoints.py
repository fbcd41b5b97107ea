"""Reads the checkpoints of a task runner: what a stream of its records says of a task and its processes.

A record is its length, 4 bytes, big-endian, then that many bytes of Thrift's binary protocol: the union
``1: header, 2: process status, 3: task status``. The reader takes what any version of the runner has left behind: a
state before the header, a header without the fields that came later, fields that it does not know, and a stream that
ends within a record, as that of a runner does that was killed or had no room left.

It needs the standard library alone. ``python checkpoints.py FILE`` prints as JSON what a file says.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

HEADER, PROCESS_STATUS, TASK_STATUS = 1, 2, 3
HEADER_FIELDS = {1: "task_id", 2: "launch_time_ms", 3: "sandbox", 4: "ports"}
PROCESS_FIELDS = {1: "seq", 2: "process", 3: "state", 4: "pid", 5: "start_time", 6: "stop_time", 7: "return_code"}
TASK_FIELDS = {1: "state", 2: "timestamp_ms", 3: "runner_pid"}
PROCESS_STATES = ("WAITING", "RUNNING", "SUCCESS", "FAILED")
TASK_STATES = ("CLAIMED", "ACTIVE", "SUCCESS", "FAILED")

_STOP, _BOOL, _BYTE, _DOUBLE, _I16, _I32, _I64, _STRING = 0, 2, 3, 4, 6, 8, 10, 11
_STRUCT, _MAP, _SET, _LIST = 12, 13, 14, 15
_NUMBERS = {_BOOL: ">?", _BYTE: ">b", _DOUBLE: ">d", _I16: ">h", _I32: ">i", _I64: ">q"}
_DEEPEST = 32


class Malformed(ValueError):
    """A record that is whole, and no record of a runner's."""


def read(path: Path) -> dict[str, Any]:
    """Return what a checkpoint says: header, states of the task in order, last status of each process.

    ``whole`` is whether the stream ends with a record's end. Raises :class:`Malformed`.
    """
    data = path.read_bytes()
    if not data:
        raise Malformed("the file is empty, expected a stream of records")
    found: dict[str, Any] = {"header": None, "states": [], "processes": {}, "records": 0, "whole": True}
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if len(data) < at + 4 or len(data) < end:
            found["whole"] = False
            break
        _take(found, data[at + 4 : end], at)
        at = end
    return found


def _take(found: dict[str, Any], record: bytes, at: int) -> None:
    try:
        reader = _Binary(record)
        union = reader.struct()
        reader.done()
    except (IndexError, struct.error, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Malformed(f"byte {at}: no record of Thrift's binary protocol: {error}") from error
    found["records"] += 1
    for number, fields in union.items():
        if not isinstance(fields, dict):
            raise Malformed(f"byte {at}: field {number} of the union is no struct")
        if number == HEADER:
            found["header"] = _named(fields, HEADER_FIELDS)
        elif number == PROCESS_STATUS:
            status = _named(fields, PROCESS_FIELDS, PROCESS_STATES)
            found["processes"].setdefault(status["process"], {}).update(status)
        elif number == TASK_STATUS:
            found["states"].append(_named(fields, TASK_FIELDS, TASK_STATES)["state"])


def _named(fields: dict[Any, Any], names: dict[int, str], states: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the fields that are known by their names, and a state by its own; what came later is left out."""
    named = {names[number]: value for number, value in sorted(fields.items()) if number in names}
    if states and isinstance(named.get("state"), int) and 0 <= named["state"] < len(states):
        named["state"] = states[named["state"]]
    return named


class _Binary:
    """A cursor over one record (https://github.com/apache/thrift, doc/specs/thrift-binary-protocol.md)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Read fields up to the stop: each a type, a number of two bytes, a value."""
        if depth > _DEEPEST:
            raise ValueError("it is nested too deep")
        fields = {}
        while (kind := self._number(_BYTE)) != _STOP:
            number = self._number(_I16)
            fields[number] = self._value(kind, depth)
        return fields

    def done(self) -> None:
        """Make sure that nothing is left."""
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes are left over")

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _NUMBERS:
            return self._number(kind)
        if kind == _STRING:
            return self._bytes(self._number(_I32)).decode()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind == _MAP:
            key, value = self._number(_BYTE), self._number(_BYTE)
            return {self._value(key, depth + 1): self._value(value, depth + 1) for _ in range(self._number(_I32))}
        if kind in {_SET, _LIST}:
            element = self._number(_BYTE)
            return [self._value(element, depth + 1) for _ in range(self._number(_I32))]
        raise ValueError(f"there is no type {kind}")

    def _number(self, kind: int) -> Any:
        form = _NUMBERS[kind]
        return struct.unpack(form, self._bytes(struct.calcsize(form)))[0]

    def _bytes(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._data):
            raise ValueError("a value goes beyond the record's end")
        self._at += size
        return self._data[self._at - size : self._at]


if __name__ == "__main__":
    try:
        print(json.dumps(read(Path(sys.argv[1])), indent=1))
    except Malformed as error:
        sys.exit(f"{sys.argv[1]}: {error}")
