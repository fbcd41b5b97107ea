"""A visit to an idle host by ssh, beside the same builds without: the host is this machine, by an sshd on loopback."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import statistics
import sys
import sysconfig
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report import Row, report
from tasks import process
from tasks.workers.local import find_uv

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = {"MarkupSafe": ["3.0.3"], "lazy-object-proxy": ["1.12.0"], "wrapt": ["1.17.3"]}
INSTANCE = "here/ssh"
ROUNDS = 5
ROOT = Path(__file__).resolve().parents[1]
TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"


def main() -> int:
    """Build three packages in turn with each worker, after a first run that fills what is kept."""
    started = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="bench-ssh-") as name:
        folder = Path(name)
        os.chdir(folder)
        with _sshd(folder) as instance:
            _plan(instance)
            took = {"local": [_build("local", folder)], INSTANCE: [_build(INSTANCE, folder)]}
            for _ in range(ROUNDS):
                for worker, seconds in took.items():
                    seconds.append(_build(worker, folder))
            connections = (folder / "sshd.log").read_text().count("Accepted publickey for ")
        os.chdir(started)
    usual = {worker: statistics.median(seconds[1:]) for worker, seconds in took.items()}
    ssh, local = usual[INSTANCE], usual["local"]
    return report(
        "ssh",
        [
            Row(work=f"{len(PACKAGES)} wheels on this machine", figure=local, unit="s"),
            Row(work="the same by ssh", figure=ssh, unit="s"),
            Row(work="so the visit costs", figure=ssh - local, unit="s", at_most=3),
            Row(work="connections of a visit", figure=connections / (ROUNDS + 1), unit="connections", at_most=1),
        ],
    )


@contextmanager
def _sshd(folder: Path) -> Iterator[dict[str, Any]]:
    """Serve this machine on loopback to one key; give the instance that reaches it.

    ``SHLVL`` keeps bash from reading a ``.bashrc`` for every session, which is the user's and not what is measured.
    """
    for key in ("id", "host_key"):
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / key)])
    shutil.copy(folder / "id.pub", folder / "authorized_keys")
    (folder / "scratch").mkdir()
    path = f"{Path(find_uv() or sys.executable).parent}:{os.environ['PATH']}"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n"
        f"PidFile none\nStrictModes no\nLogLevel VERBOSE\nUsePAM no\n"
        f'SetEnv "TMPDIR={folder}/scratch" "PATH={path}" SHLVL=1 {_installers()}\n'
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    argv = [program, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "sshd.log")]
    running = process.start(argv, print)
    waiting = threading.Thread(target=running.wait)
    waiting.start()
    try:
        while "Server listening" not in _text(folder / "sshd.log"):
            time.sleep(0.05)
        yield {
            "worker": "ssh",
            "host": "127.0.0.1",
            "port": port,
            "user": getpass.getuser(),
            "identity_file": str(folder / "id"),
            "host_key": " ".join((folder / "host_key.pub").read_text().split()[:2]),
            "python": {TAG: f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"},
        }
    finally:
        running.stop()
        waiting.join()


def _plan(instance: dict[str, Any]) -> None:
    """Plan the packages for this machine twice, once as a host that is reached by ssh."""
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    target = {"arch": os.uname().machine, "platform_tag": platform, "python": [TAG], "upstream": "ignore"}
    matrix = {
        "instances": {"local": {"worker": "local"}, INSTANCE: instance},
        "targets": {"here": {"instance": "local", **target}, "there": {"instance": INSTANCE, **target}},
        "packages": PACKAGES,
    }
    for name, target_name in (("local", "here"), (INSTANCE, "there")):
        file = f"{target_name}.json"
        Path("wheel_matrix.yml").write_text(json.dumps(matrix))
        done = process.run(
            [sys.executable, "-m", "tasks.plan", "--plan", file, "--target", target_name], env=_environment(Path.cwd())
        )
        if done.returncode:
            raise SystemExit(f"planning for {name}: {done.stderr}")


def _build(instance: str, folder: Path) -> float:
    """Build what is planned for an instance, into an empty ``dist``; return the seconds."""
    shutil.rmtree("dist", ignore_errors=True)
    plan = "here.json" if instance == "local" else "there.json"
    jobs = "--jobs=2"
    start = time.perf_counter()
    done = process.run([sys.executable, "-m", "tasks.build", instance, "--plan", plan, jobs], env=_environment(folder))
    took = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"building on {instance}: {done.stderr}")
    return took


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "scratch")}


def _installers() -> str:
    """Return what the environment says to installers, which sshd gives to nobody of itself."""
    said = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_CERT_"))}
    return " ".join(f'"{name}={value}"' for name, value in sorted({"UV_SYSTEM_CERTS": "1", **said}.items()))


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
