"""ansible-test, the client of core-ci: it gets hold of an instance, hands it over, and gives it back.

It runs as a program, from its own command line, on a collection of ours with one integration target. That hands back
how the host is reached and then waits: for a lock that this process holds, so that the end of this process, however it
comes, is the end of the instance, too.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sysconfig
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import process
from tasks.core import ansible_test as lines
from tasks.core.errors import BadInput, ServiceFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.matrix import Instance
    from tasks.process import Running
    from tasks.progress import Aside

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
COLLECTION = "ansible_collections/spare_tire/worker"
"""Where the collection is in a directory of its own: ansible-test tells its name by that."""
TARGET = "host"
NOTE = "instance"
"""The file with the address of an instance that was asked for, and may have to be given back."""
_LOOK = 0.1  # seconds between looks whether the host is handed over
_ASKED = 15.0  # seconds until core-ci has answered whether there is an instance
_FAREWELL = 90.0  # seconds that ansible-test may take to give the instance back


class AnsibleTest:
    """One run of ansible-test on one instance; ``folder`` is this run's own, empty and private."""

    def __init__(self, name: str, folder: Path, aside: Aside) -> None:
        self._name = name
        self._folder = folder
        self._aside = aside
        self._handed_over = folder / "address.json"
        self._hold = (folder / "hold").open("w")
        fcntl.flock(self._hold, fcntl.LOCK_EX)
        self._running: Running | None = None
        self._said: list[str] = []
        self._id: str | None = None
        self._denial: str | None = None
        self._answered = threading.Event()
        self._over = threading.Event()

    def start(self, instance: Instance, arch: str, pythons: Sequence[str]) -> None:
        """Ask for an instance, with the first of these versions of Python, ``3.12``, and the others after that."""
        self._lay_out(instance, pythons[1:])
        platform = instance.name.partition(",")[0]
        target = [f"remote:{platform}", f"arch={arch}"]
        target += [f"provider={instance.remote_provider}"] if instance.remote_provider else []
        path = (instance.python or {}).get(f"cp{pythons[0].replace('.', '')}")
        target.append(f"python={pythons[0]}" + (f"@{path}" if path else ""))
        argv = [str(Path(sysconfig.get_path("scripts"), "ansible-test")), "integration", TARGET]
        argv += ["--target", ",".join(target)]
        argv += ["--remote-terminate", "always", "-v", "--no-redact"]
        argv += [f"--remote-stage={instance.remote_stage}"] if instance.remote_stage else []
        argv += [f"--remote-endpoint={instance.remote_endpoint}"] if instance.remote_endpoint else []
        environment = {**os.environ, "HOME": str(self._folder / "home")}
        self._running = process.start(argv, self._heard, env=environment, cwd=self._folder / COLLECTION)
        threading.Thread(target=self._attend, args=(self._running,), name="ansible-test", daemon=True).start()

    def _lay_out(self, instance: Instance, further: Sequence[str]) -> None:
        """Write what ansible-test reads: the collection, and a home with the user's credentials and nothing else.

        In a home of its own it finds no instance of the user's, or of another visit, to take for ours.
        """
        collection = self._folder / COLLECTION
        shutil.copytree(TEMPLATES / "collection", collection)
        process.run(["git", "init", "--quiet", str(collection)])
        values = {
            "address_file": str(self._handed_over),
            "hold_file": self._hold.name,
            "platform": instance.name.partition("/")[0],
            "further_pythons": list(further),
        }
        config = collection / "tests/integration/integration_config.yml"
        config.write_text(json.dumps(values), encoding="utf-8")  # which is YAML
        home = self._folder / "home"
        (home / ".ansible/test").mkdir(parents=True)
        _hand_credentials(Path.home(), home)

    def wait(self, seconds: float) -> dict[str, object]:
        """Return what was handed over. Raises :class:`ServiceFailed` or :class:`BadInput` where nothing was."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._over.wait(_LOOK):
                raise lines.why_none(self._name, self._said, metadata.version("ansible-core"))
            if self._denial is not None:
                raise lines.no_machine(self._name, f"{self._denial}; docs/core-ci.md says how to be let in")
            if self._handed_over.exists():
                found: dict[str, object] = json.loads(self._handed_over.read_text(encoding="utf-8"))
                return found
        raise ServiceFailed(
            f"{self._name}: core-ci has no machine ready within {seconds:g} s; remote_timeout in the matrix "
            "gives it more time"
        )

    def stop(self) -> None:
        """Have the instance given back and ansible-test ended; where that fails, the file :data:`NOTE` stays."""
        try:
            if self._handed_over.exists():
                self._hold.close()
                self._over.wait(_FAREWELL)
            elif self._id is not None:
                self._answered.wait(_ASKED)  # one that is under way cannot be taken back
        finally:
            if self._running is not None:
                self._running.stop()
                self._over.wait()
            self._hold.close()

    def _attend(self, running: Running) -> None:
        try:
            running.wait()
        finally:
            self._answered.set()
            self._over.set()

    def _heard(self, line: str) -> None:
        note = self._folder / NOTE
        if address := lines.asked_for(line):
            self._id = address.rpartition("/")[2]
            note.write_text(address, encoding="utf-8")
        elif lines.is_started(line):
            self._answered.set()
        elif lines.is_given_back(line) or (lines.is_refused(line) and not self._answered.is_set()):
            note.unlink(missing_ok=True)
        elif (denial := lines.denial(line)) and not self._answered.is_set():
            self._denial = denial
            self._answered.set()
            note.unlink(missing_ok=True)
        shown = line.replace(self._id, "***") if self._id else line
        self._said.append(shown)
        self._aside.line(shown, is_command=lines.is_proof(line, os.environ.get("AGENT_TEMPDIRECTORY")))


def _hand_credentials(users: Path, home: Path) -> None:
    """Let ansible-test find the user's credentials, whose files stay where they are. Raises :class:`BadInput`."""
    key, auth = ".ansible-core-ci.key", ".ansible-core-ci.auth"
    if (users / key).exists():
        (home / key).symlink_to(users / key)
    if (users / auth).exists():
        user, file = _user_and_key(users / auth)
        (home / auth).write_text(f"{user} {file}\n", encoding="utf-8")
    step, temporary = (os.environ.get(name) for name in ("SYSTEM_TASKINSTANCEID", "AGENT_TEMPDIRECTORY"))
    if step and temporary:  # a step attaches one key, whatever number of instances it asks for
        shared = Path(temporary, f"spare-tire-{step}")
        for suffix in ("", ".pub"):
            (home / f".ansible/test/ansible-core-ci{suffix}").symlink_to(f"{shared}{suffix}")


def _user_and_key(auth: Path) -> tuple[str, Path]:
    try:
        user, file = auth.read_text(encoding="utf-8").strip().split(maxsplit=1)
        return user, Path(file).expanduser()
    except (OSError, ValueError, RuntimeError) as error:  # the last where a ~NAME is nobody's home
        reason = f": {error.strerror}" if isinstance(error, OSError) else ""
        raise BadInput(f"{auth}{reason}: expected USER KEYFILE in one line of UTF-8, as docs/core-ci.md says") from None
