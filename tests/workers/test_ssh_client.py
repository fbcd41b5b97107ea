"""What OpenSSH's client is given, as it takes it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import ServiceFailed
from tasks.workers.ssh_client import Address, Connection

if TYPE_CHECKING:
    from pathlib import Path


def test_paths_are_paths_whatever_they_hold(tmp_path: Path) -> None:
    folder = tmp_path / "100%"
    folder.mkdir()
    address = Address(host="127.0.0.1", port=1, identity_file="keys/100%", host_key=("ssh-ed25519 AAAA",))
    assert address.options(folder)[2:4] == ["-i", "keys/100%%"]

    with pytest.raises(ServiceFailed) as raised:
        Connection(address, folder, threading.Event()).open("")

    said = "ssh: connect to host 127.0.0.1 port 1: Connection refused"
    assert str(raised.value) == f"127.0.0.1 cannot be reached by ssh: {said}"
