"""The worked case: what Apache's library writes, the example's reader reads."""

from __future__ import annotations

import importlib.util
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent.parent / "docs/examples/checkpoints"
GOLDEN = HERE / "golden"
SANDBOX = ("--sandbox", "/var/lib/tasks/x")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("checkpoints", HERE / "checkpoints.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLE = load()


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = EXAMPLE.read(path)
    return found


def runner(*argv: str | Path) -> list[str]:
    return [sys.executable, "-B", str(HERE / "runner.py"), *map(str, argv)]


def states(found: dict[str, Any]) -> dict[str, str]:
    return {name: status["state"] for name, status in found["processes"].items()}


def test_what_the_writer_writes_today_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    subprocess.run(runner("claim", path), check=True)
    command = runner("run", path, "x-1", "a=true", "b=false", "c=true", *SANDBOX, "--port", "http=31001")
    subprocess.run(command, check=True)
    found = read(path)
    header = {key: value for key, value in found["header"].items() if key != "launch_time_ms"}
    assert header == {"task_id": "x-1", "sandbox": "/var/lib/tasks/x", "ports": {"http": 31001}}
    assert found["states"] == ["CLAIMED", "ACTIVE", "FAILED"]
    assert states(found) == {"a": "SUCCESS", "b": "FAILED", "c": "WAITING"}
    assert found["processes"]["b"]["return_code"] == 1
    assert (found["records"], found["whole"]) == (11, True)


def test_a_stream_is_read_up_to_where_it_breaks_off(tmp_path: Path) -> None:
    """Wherever that is: of each record all or nothing."""
    data = (GOLDEN / "whole.ckpt").read_bytes()
    path = tmp_path / "cut.ckpt"
    records = []
    for size in range(1, len(data) + 1):
        path.write_bytes(data[:size])
        found = read(path)
        records.append(found["records"])
        assert found["whole"] == (size in _ends(data))
    assert records == [sum(end <= size for end in _ends(data)) for size in range(1, len(data) + 1)]


def _ends(data: bytes) -> list[int]:
    ends, at = [], 0
    while at < len(data):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
        ends.append(at)
    return ends


def test_a_runner_that_had_no_room_left_leaves_what_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "full.ckpt"
    limit = 300

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    command = runner("run", path, "x-2", "a=true", "b=true", "c=true", *SANDBOX)
    done = subprocess.run(command, preexec_fn=no_room, capture_output=True, check=False)
    assert done.returncode == 1
    assert path.stat().st_size == limit
    found = read(path)
    assert (found["header"]["task_id"], found["states"], found["whole"]) == ("x-2", ["ACTIVE"], False)


GOLDEN_FILES = {
    "claimed": {"states": ["CLAIMED", "ACTIVE", "SUCCESS"], "header": {"task_id", "launch_time_ms", "sandbox"}},
    "early": {"states": ["ACTIVE", "SUCCESS"], "header": {"task_id", "launch_time_ms"}},
    "whole": {"states": ["ACTIVE", "SUCCESS"], "header": {"task_id", "launch_time_ms", "sandbox", "ports"}},
    "full": {"states": ["ACTIVE"], "header": {"task_id", "launch_time_ms", "sandbox"}},
}


@pytest.mark.parametrize("name", GOLDEN_FILES)
def test_a_golden_file_shows_what_it_is_there_for(name: str) -> None:
    found = read(GOLDEN / f"{name}.ckpt")
    assert found["states"] == GOLDEN_FILES[name]["states"]
    assert set(found["header"]) == GOLDEN_FILES[name]["header"]
    assert found["whole"] == (name != "full")


def test_the_state_of_a_claimed_task_comes_before_its_header() -> None:
    data = (GOLDEN / "claimed.ckpt").read_bytes()
    field = 4 + 1  # the record's length, the type of the union's member: then comes its number
    first, second = 0, _ends(data)[0]
    assert [int.from_bytes(data[at + field : at + field + 2], "big") for at in (first, second)] == [3, 1]


def record(hexadecimal: str) -> bytes:
    data = bytes.fromhex(hexadecimal)
    return len(data).to_bytes(4, "big") + data


def test_fields_and_members_that_came_later_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "later.ckpt"
    task = "0b0001 00000001 78"  # 1: "x"
    later = (
        "0f0063 08 00000002 00000001 00000002  0d0064 0b 06 00000001 00000001 79 0007  0c0065 00  0e0066 03 00000001 09"
    )
    path.write_bytes(record(f"0c0001 {task} {later} 00 00") + record("0c0009 00 00"))
    found = read(path)
    assert found["header"] == {"task_id": "x"}
    assert (found["records"], found["whole"]) == (2, True)


MALFORMED = {
    "empty": (b"", "the file is empty, expected a stream of records"),
    "no type": (
        record("0c0001 63"),
        "byte 0: no record of Thrift's binary protocol: a value goes beyond the record's end",
    ),
    "an unknown type": (record("0c0001 630001"), "byte 0: no record of Thrift's binary protocol: there is no type 99"),
    "left over": (record("0c0001 00 00 00"), "byte 0: no record of Thrift's binary protocol: 1 bytes are left over"),
    "no struct": (record("080001 00000001 00"), "byte 0: field 1 of the union is no struct"),
    "too long a text": (
        record("00") + record("0c0001 0b0001 7fffffff 78 00 00"),
        "byte 5: no record of Thrift's binary protocol: a value goes beyond the record's end",
    ),
    "too deep": (record("0c0001" * 99), "byte 0: no record of Thrift's binary protocol: it is nested too deep"),
}


@pytest.mark.parametrize(("data", "message"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_record_is_an_error_with_its_place(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "bad.ckpt"
    path.write_bytes(data)
    done = subprocess.run([sys.executable, HERE / "checkpoints.py", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{path}: {message}\n")


def test_the_example_prints_what_it_finds() -> None:
    path = GOLDEN / "claimed.ckpt"
    done = subprocess.run([sys.executable, HERE / "checkpoints.py", path], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == read(path)
