"""A small task runner: it runs programs one after the other and leaves a checkpoint of what became of them.

``runner.py claim CHECKPOINT`` notes that somebody has taken the task on, before there is anything to run;
``runner.py run CHECKPOINT TASK NAME=COMMAND…`` runs it. Both append to the file. It writes with Apache's own library,
``thrift``, so that the reader beside it is held to what that writes, not to what the reader's author thinks it does.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from checkpoints import (
    HEADER,
    HEADER_FIELDS,
    PROCESS_FIELDS,
    PROCESS_STATES,
    PROCESS_STATUS,
    TASK_FIELDS,
    TASK_STATES,
    TASK_STATUS,
)
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TYPES = {
    "task_id": (TType.STRING, "writeString"),
    "launch_time_ms": (TType.I64, "writeI64"),
    "sandbox": (TType.STRING, "writeString"),
    "ports": (TType.MAP, ""),
    "seq": (TType.I64, "writeI64"),
    "process": (TType.STRING, "writeString"),
    "state": (TType.I32, "writeI32"),
    "pid": (TType.I32, "writeI32"),
    "start_time": (TType.DOUBLE, "writeDouble"),
    "stop_time": (TType.DOUBLE, "writeDouble"),
    "return_code": (TType.I32, "writeI32"),
    "timestamp_ms": (TType.I64, "writeI64"),
    "runner_pid": (TType.I32, "writeI32"),
}


class Checkpoint:
    """Appends records to a file, each at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def header(self, **said: object) -> None:
        """Say what the task is."""
        self._append(HEADER, HEADER_FIELDS, said)

    def process(self, **said: object) -> None:
        """Say what became of a process."""
        self._append(PROCESS_STATUS, PROCESS_FIELDS, said)

    def task(self, state: str) -> None:
        """Say what became of the task."""
        said = {"state": TASK_STATES.index(state), "timestamp_ms": int(time.time() * 1000), "runner_pid": os.getpid()}
        self._append(TASK_STATUS, TASK_FIELDS, said)

    def _append(self, member: int, names: dict[int, str], said: dict[str, object]) -> None:
        buffer = TMemoryBuffer()
        protocol = TBinaryProtocol(buffer)
        protocol.writeFieldBegin("", TType.STRUCT, member)
        for number, name in names.items():
            if said.get(name) is not None:
                _write(protocol, number, name, said[name])
        protocol.writeFieldStop()
        protocol.writeFieldStop()
        record = buffer.getvalue()
        self._file.write(len(record).to_bytes(4, "big") + record)


def _write(protocol: Any, number: int, name: str, value: Any) -> None:
    kind, method = _TYPES[name]
    protocol.writeFieldBegin(name, kind, number)
    if kind == TType.MAP:
        protocol.writeMapBegin(TType.STRING, TType.I64, len(value))
        for key in sorted(value):
            protocol.writeString(key)
            protocol.writeI64(value[key])
    else:
        getattr(protocol, method)(value)


def claim(chosen: argparse.Namespace) -> None:
    """Note that the task is taken on."""
    Checkpoint(chosen.checkpoint).task("CLAIMED")


def run(chosen: argparse.Namespace) -> None:
    """Run the processes, each once, and stop at the first that fails."""
    checkpoint = Checkpoint(chosen.checkpoint)
    ports = {name: int(port) for name, _, port in (each.partition("=") for each in chosen.port)}
    checkpoint.header(
        task_id=chosen.task, launch_time_ms=int(time.time() * 1000), sandbox=chosen.sandbox, ports=ports or None
    )
    checkpoint.task("ACTIVE")
    commands = [each.partition("=") for each in chosen.processes]
    for name, _, _ in commands:
        checkpoint.process(seq=0, process=name, state=PROCESS_STATES.index("WAITING"))
    failed = any(_run(checkpoint, name, command) for name, _, command in commands)
    checkpoint.task("FAILED" if failed else "SUCCESS")


def _run(checkpoint: Checkpoint, name: str, command: str) -> bool:
    """Run a process; return whether it failed."""
    with subprocess.Popen(shlex.split(command)) as process:
        running = PROCESS_STATES.index("RUNNING")
        checkpoint.process(seq=1, process=name, state=running, pid=process.pid, start_time=time.time())
        code = process.wait()
    state = PROCESS_STATES.index("FAILED" if code else "SUCCESS")
    checkpoint.process(seq=2, process=name, state=state, stop_time=time.time(), return_code=code)
    return bool(code)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("task", nargs="?")
    parser.add_argument("processes", nargs="*", metavar="NAME=COMMAND")
    parser.add_argument("--sandbox", help="the folder that the task works in")
    parser.add_argument("--port", action="append", default=[], metavar="NAME=NUMBER")
    chosen = parser.parse_args()
    VERBS[chosen.verb](chosen)


VERBS: dict[str, Callable[[argparse.Namespace], None]] = {"claim": claim, "run": run}

if __name__ == "__main__":
    main()
