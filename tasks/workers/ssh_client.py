"""OpenSSH's own client: one connection to a host, over which many sessions run.

The connection's own session runs ``keep`` of ``templates/ssh_agent.sh``, which listens as long as this process lives.
All others go through its control socket and can make no connection of their own. Agent, ``~/.ssh/config`` and jump
hosts are the user's; the host key is always checked, and nobody is ever asked for a password.
"""

from __future__ import annotations

import os
import shlex
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks import process
from tasks.core.errors import Refused, ServiceFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tasks.core.errors import SpareTireError
    from tasks.core.matrix import Instance

LOST = 255
"""The exit code of ``ssh`` where it is not the remote program's."""
READY = "spare-tire-ready"
PATIENCE = 90.0
"""Seconds from the beginning until the host has said what it is."""
_TICK = 0.2  # seconds between looks whether it is still wanted
_TCP = 15  # seconds until a host that does not answer is given up
_ALIVE = (10, 3)  # seconds between questions whether the other side is there; how many may go unanswered
_NOTICE = 5.0  # seconds in which the connection's own end is known after a session has ended by it
_FAREWELL = 20.0  # seconds that the far side may take to clean up
_ALIAS = "spare-tire-worker"

_OPTIONS = {
    "BatchMode": "yes",
    "ClearAllForwardings": "yes",
    "ConnectTimeout": str(_TCP),
    "ControlMaster": "yes",
    "ControlPersist": "no",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "LogLevel": "ERROR",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "ServerAliveCountMax": str(_ALIVE[1]),
    "ServerAliveInterval": str(_ALIVE[0]),
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
    "VerifyHostKeyDNS": "no",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """How to reach a host; what is ``None`` is for the user's ssh configuration to say."""

    host: str
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    host_key: tuple[str, ...] | None = None
    jump: str | None = None

    @classmethod
    def of(cls, instance: Instance) -> Address:
        """Return an ssh instance's."""
        return cls(
            host=instance.host or "",
            port=instance.port,
            user=instance.user,
            identity_file=instance.identity_file,
            host_key=instance.host_key,
            jump=instance.jump,
        )

    def options(self, folder: Path) -> list[str]:
        """Return the client's options for it; ``folder`` gets the known host keys."""
        made = []
        key = None if self.identity_file is None else _literal(self.identity_file)
        for flag, value in (("-l", self.user), ("-p", self.port), ("-i", key), ("-J", self.jump)):
            made += [flag, str(value)] if value is not None else []
        if self.identity_file is not None:
            made += ["-o", "IdentitiesOnly=yes"]
        if self.host_key is not None:
            known = folder / "known_hosts"
            known.write_text("".join(f"{_ALIAS} {key}\n" for key in self.host_key), encoding="ascii")
            made += ["-o", f"HostKeyAlias={_ALIAS}", "-o", f'UserKnownHostsFile="{_literal(known)}"']
            made += ["-o", "GlobalKnownHostsFile=/dev/null"]
        return made


class Connection:
    """One connection. Threads may share it once it is open."""

    def __init__(self, address: Address, folder: Path, stopping: threading.Event) -> None:
        """Take an empty directory of one's own, whose path is short enough for a socket.

        Once ``stopping`` is set there is no more waiting for the host.
        """
        self._address = address
        self._stopping = stopping
        self._folder = folder
        self._socket = _literal(folder / "s")
        self._lines: list[str] = []
        self._ready = threading.Event()
        self._over = threading.Event()

    def open(self, opening: str) -> list[str]:
        """Connect, have ``sh`` read the opening, and return what it says before it is ready.

        Raises :class:`ServiceFailed` for a host that cannot be reached, :class:`Refused` for one that is another.
        """
        options = [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
        argv = ["ssh", "-T", "-S", self._socket, *options, *self._address.options(self._folder)]
        self._master = process.start([*argv, "--", self._address.host, "exec sh -s"], self._heard, listening=True)
        threading.Thread(target=self._attend, name="ssh", daemon=True).start()
        try:
            self._master.tell(opening)
            deadline = time.monotonic() + PATIENCE
            while not (answered := self._ready.wait(_TICK)):
                if self._stopping.is_set() or time.monotonic() > deadline:
                    break
        except BaseException:  # an interruption: nothing is left waiting for the host
            self.close(politely=False)
            raise
        if not answered:
            self.close(politely=False)
            raise ServiceFailed(f"{self._address.host} does not answer within {PATIENCE:g} s")
        if self._lines[-1:] != [READY]:
            raise _reason(self._address, self._lines)
        return self._lines[:-1]

    def session(self, agent: str, words: Sequence[str]) -> list[str]:
        """Return the command line that has the host's ``agent`` do something; values are quoted."""
        quoted = shlex.join([agent, *words]).replace("!", r"'\!'")  # csh has a meaning for it between quotes, too
        options = ["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "ControlMaster=no", "-o", "ProxyCommand=false"]
        argv = ["ssh", "-F", "none", "-T", "-S", self._socket, *options]
        return [*argv, "--", self._address.host, f"exec sh {quoted}"]

    def lost(self) -> bool:
        """Whether the connection is over, once a session has ended with :data:`LOST`."""
        return self._over.wait(_NOTICE)

    def close(self, *, politely: bool = True) -> None:
        """End the connection; ``politely`` has the host end what runs there, and remove the visit's directory."""
        if politely and not self._over.is_set():
            self._master.tell("done\n")
            self._over.wait(_FAREWELL)
        self._master.stop()
        self._over.wait()

    def _heard(self, line: str) -> None:
        if self._ready.is_set():
            return
        self._lines.append(line)
        if line == READY:
            self._ready.set()

    def _attend(self) -> None:
        try:
            self._master.wait()
        finally:
            self._over.set()
            self._ready.set()


def _literal(path: Path | str) -> str:
    """Return a path as ssh takes it, where ``%`` begins a token."""
    return str(path).replace("%", "%%")


def _reason(address: Address, lines: Sequence[str]) -> SpareTireError:
    """Say why there is no connection, from what ssh and the host have said."""
    host, said = address.host, "\n".join(lines)
    print_ = next((word for line in lines for word in line.rstrip(".").split() if word.startswith("SHA256:")), "")
    if "HOST IDENTIFICATION HAS CHANGED" in said or "host key is known for" in said or "verification failed" in said:
        on_the_way = address.host_key is not None and _ALIAS not in said
        if on_the_way:
            host = f"the jump host {address.jump or ''}".rstrip()
        whose = "your known_hosts has" if on_the_way or not address.host_key else "the matrix has"
        found = f" ({print_})" if print_ else ""
        return Refused(
            f"the host key of {host}{found} is not one that {whose}: it is another host, or has a new key; "
            "compare the key's fingerprint on the host itself before you change host_key or known_hosts"
        )
    words = [line.strip() for line in lines if line.strip() and not line.startswith("spare-tire-fact ")]
    last = words[-1] if words else "the connection ended before the host had said what it is"
    if denied := next((line for line in words if "Permission denied" in line), ""):
        last = f"{denied}; it takes none of the keys that the agent, identity_file or your ssh configuration offer"
        if address.identity_file and not os.path.isfile(os.path.expanduser(address.identity_file)):  # noqa: PTH111, PTH113 - never raise
            last += f"; {address.identity_file}, the identity_file, is not a file here"
    return ServiceFailed(f"{host} cannot be reached by ssh: {last}")
