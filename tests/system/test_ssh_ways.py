"""Ways to a host that are the user's own: an agent, ``~/.ssh/config``, a jump host."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.system.ssh_stage import INSTANCE, Build, eventually, spam, write_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.system.hosts import Host


class Home:
    """A home directory of root's, where ssh looks for it: not in ``$HOME``, but where ``/etc/passwd`` says."""

    def __init__(self, folder: Path) -> None:
        self._ssh = folder / "home/.ssh"
        self._ssh.mkdir(mode=0o700, parents=True)
        people = folder / "passwd"
        people.write_text(f"root:x:0:0:root:{folder}/home:/bin/sh\n")
        self.through = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', str(people)]
        """Has a program, which follows, run there."""

    def configure(self, **hosts: Mapping[str, object]) -> None:
        """Write ``config``."""
        lines = [f"Host {name}\n" + "".join(f"  {k} {v}\n" for k, v in said.items()) for name, said in hosts.items()]
        (self._ssh / "config").write_text("".join(lines))

    def know(self, host: Host) -> None:
        """Write ``known_hosts``."""
        (self._ssh / "known_hosts").write_text(f"{host.address} {(host.folder / 'host_key.pub').read_text()}")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home that knows nobody."""
    return Home(tmp_path)


@pytest.fixture
def agent(host: Host, tmp_path: Path) -> Iterator[str]:
    """Return the socket of an agent that has the host's key."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as running:
        assert eventually(socket.exists)
        command = ["ssh-add", "-q", str(host.folder / "id")]
        subprocess.run(command, env={**os.environ, "SSH_AUTH_SOCK": str(socket)}, check=True)
        yield str(socket)
        running.terminate()


def test_a_key_may_be_an_agent_s_alone(host: Host, home: Home, agent: str, tmp_path: Path) -> None:
    write_plan(tmp_path, host.instance(INSTANCE, identity_file=None), spam(tmp_path))
    assert Build(tmp_path, through=home.through, SSH_AUTH_SOCK=agent).end()[0] == 0
    assert Build(tmp_path, "--dist=other", through=home.through, SSH_AUTH_SOCK="").end()[0] == 3


def test_a_host_may_be_an_alias_of_the_user_s_with_a_key_that_is_known(host: Host, home: Home, tmp_path: Path) -> None:
    home.configure(builder={"HostName": host.address, "User": "root", "IdentityFile": host.folder / "id"})
    home.know(host)
    unsaid = {"user": None, "identity_file": None, "host_key": None}
    write_plan(tmp_path, host.instance(INSTANCE, host="builder", **unsaid), spam(tmp_path))
    assert Build(tmp_path, through=home.through).end()[0] == 0


def test_a_host_may_be_reached_through_another(host: Host, home: Home, tmp_path: Path) -> None:
    """Which it is itself here: as its own loopback, nobody but it reaches it."""
    home.configure(door={"HostName": host.address, "User": "root", "IdentityFile": host.folder / "id"})
    home.know(host)
    write_plan(tmp_path, host.instance(INSTANCE, host="127.0.0.1", jump="door"), spam(tmp_path))
    assert Build(tmp_path, through=home.through).end()[0] == 0
    assert host.connections() == 2


def test_a_jump_host_that_is_not_known_is_told_from_the_host(host: Host, home: Home, tmp_path: Path) -> None:
    home.configure(door={"HostName": host.address, "User": "root", "IdentityFile": host.folder / "id"})
    write_plan(tmp_path, host.instance(INSTANCE, host="127.0.0.1", jump="door"), spam(tmp_path))
    build = Build(tmp_path, through=home.through)

    assert build.end() == (4, {})

    assert build.error.startswith(
        "error: debian/12,arch=x86_64: the host key of the jump host door is not one that your known_hosts has"
    )


def test_a_jump_host_that_takes_no_key_is_named(host: Host, home: Home, tmp_path: Path) -> None:
    home.configure(door={"HostName": host.address, "User": "root"})
    home.know(host)
    write_plan(tmp_path, host.instance(INSTANCE, host="127.0.0.1", jump="door"), spam(tmp_path))
    build = Build(tmp_path, through=home.through)

    assert build.end() == (3, {})

    assert build.error == (
        "error: debian/12,arch=x86_64: 127.0.0.1 cannot be reached by ssh: "
        f"root@{host.address}: Permission denied (publickey,keyboard-interactive).; "
        "it takes none of the keys that the agent, identity_file or your ssh configuration offer"
    )
