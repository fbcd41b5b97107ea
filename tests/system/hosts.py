"""Hosts for tests: a network namespace, a file system and a process table of their own each, and a real sshd.

A root file system is made once by mmdebstrap and kept in the cache (``$XDG_CACHE_HOME`` or ``.cache``); each host has a
layer of its own over it, so nothing that one does is seen by another, or by the next test run. Takes root on Debian.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tasks.core.matrix import Instance
from tasks.workers.local import find_uv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

SUITE = "bookworm"
PACKAGES = (
    "apt", "base-files", "coreutils", "dash", "diffutils", "dpkg", "findutils", "gcc", "grep", "libc-bin", "libc6-dev",
    "openssh-server", "procps", "python3", "python3-dev", "python3-pip-whl", "python3-venv", "sed", "tar",
    "tcsh",
)  # fmt: skip
OFFERED = (
    "libffi-dev", "libffi8", "libpkgconf3", "libpython3.11-dev", "libsodium-dev", "libsodium23", "libssl-dev",
    "libyaml-0-2", "libyaml-dev", "make", "opendoas", "patch", "pkgconf", "pkgconf-bin", "sudo",
)  # fmt: skip
"""What its own repository has, below ``/srv/debs``: a host reaches no other."""
HOOK = f"""\
set -e
for deb in "$1"/var/cache/apt/archives/*.deb; do
    dpkg-deb --field "$deb" | sed '/^Package:/a Status: install ok installed'
    echo
done >"$1/var/lib/dpkg/status"
mkdir -p "$1/srv/debs"
cd "$1/srv/debs"
APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --quiet download {" ".join(OFFERED)}
for deb in *.deb; do
    dpkg-deb --field "$deb"
    printf 'Filename: ./%s\\nSize: %s\\n' "$deb" "$(wc -c <"$deb")"
    printf 'SHA256: %s\\n\\n' "$(sha256sum "$deb" | cut -d ' ' -f 1)"
done >Packages
"""
"""Write down what is unpacked as installed, as ``apt-get`` there wants it, and make the repository."""
SETTINGS = """\
HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/fixture_keys .ssh/authorized_keys
UsePAM no
PidFile none
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
LogLevel VERBOSE
ForceCommand /bin/logged
"""
LOGGED = """\
#!/bin/sh
printf '%s\\n' "$SSH_ORIGINAL_COMMAND" >>/var/log/commands
exec "$SHELL" -c "$SSH_ORIGINAL_COMMAND"
"""
START = """\
set -e
mount -t overlay overlay -o lowerdir="$LOWER",upperdir="$HOST/upper",workdir="$HOST/work" "$HOST/tree"
mount -t proc proc "$HOST/tree/proc"
mount --rbind /dev "$HOST/tree/dev"
mount -t tmpfs tmpfs "$HOST/tree/run"
mount -t tmpfs -o size="$TMP_SIZE" tmpfs "$HOST/tree/tmp"
mkdir -p "$HOST/tree/run/sshd" "$HOST/tree/var/log"
exec chroot "$HOST/tree" /usr/sbin/sshd -D -f /etc/ssh/fixture_config -E /var/log/sshd
"""
LOCKS = Path("/run/spare-tire-hosts")
QEMU = {"arm64": "qemu-aarch64"}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def cache() -> Path:
    """Return the directory in which root file systems are kept from one run to the next."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home or ".cache").absolute() / "spare-tire-hosts"


def root_file_system(architecture: str = "amd64") -> Path:
    """Return a small Debian with a compiler, CPython and sshd, unpacked only; ``architecture`` as Debian names it."""
    if architecture in QEMU:
        _register(QEMU[architecture])
    asked = " ".join([SUITE, architecture, *PACKAGES, HOOK, LOGGED, SETTINGS, "compiled 3"])
    place = cache() / f"{architecture}-{sha256(asked.encode()).hexdigest()[:16]}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be making it
        if not place.is_dir():
            part = place.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            options = ["--mode=root", "--variant=extract", f"--architectures={architecture}", f"--extract-hook={HOOK}"]
            command = ["mmdebstrap", "--quiet", *options, f"--include={','.join(PACKAGES)}", SUITE, str(part)]
            subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            _furnish(part, architecture)
            _compile(part, architecture)
            part.rename(place)
    return place


def _furnish(root: Path, architecture: str) -> None:
    """Write what installing the packages would have written."""
    people = "root:x:0:0:root:/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
    (root / "etc/passwd").write_text(f"{people}packager:x:1000:1000::/home/packager:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\npackager:x:1000:\n")
    (root / "etc/shadow").write_text("root:*:19000::::::\nsshd:!:19000::::::\npackager:*:19000::::::\n")
    (root / "etc/ssh").mkdir(exist_ok=True)
    (root / "etc/ssh/fixture_config").write_text(SETTINGS)
    (root / "bin/logged").write_text(LOGGED)
    (root / "bin/logged").chmod(0o755)
    (root / "usr/bin/cc").symlink_to("gcc")
    (root / "home/packager").mkdir(parents=True)
    os.chown(root / "home/packager", 1000, 1000)
    (root / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/srv/debs ./\n")
    for name in re.findall(r"^Package: (.+)", (root / "var/lib/dpkg/status").read_text(), re.MULTILINE):
        for file in (name, f"{name}:{architecture}"):  # the lists of their files, which nobody needs
            (root / f"var/lib/dpkg/info/{file}.list").touch()
    (root / "tmp").chmod(0o1777)
    subprocess.run(["ldconfig", "-r", str(root)], check=True)


def _compile(root: Path, architecture: str) -> None:
    """Compile the modules of its Python, which is the same whatever the processor: not where that is emulated."""
    if architecture not in QEMU:
        compile_all = ["python3", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "/usr/lib"]
        subprocess.run(["chroot", str(root), *compile_all], check=True)
        return
    other = root_file_system()
    for folder in other.glob("usr/lib/python3*/**/__pycache__"):
        beside = root / folder.relative_to(other)
        if beside.parent.is_dir():
            shutil.copytree(folder, beside, dirs_exist_ok=True)


def _register(program: str) -> None:
    """Have the kernel run binaries of another processor by qemu."""
    formats = Path("/proc/sys/fs/binfmt_misc")
    if not (formats / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(formats)], check=True)
    if not (formats / program).exists():
        with (formats / "register").open("wb", buffering=0) as register:
            register.write(Path(f"/usr/lib/binfmt.d/{program}.conf").read_bytes().rstrip(b"\n"))


@dataclass(kw_only=True)
class Host:
    """One host; entering turns it on, leaving takes it away with all that it holds."""

    lower: Path
    tmp_size: str = "2g"
    """Of its ``/tmp``, where builds run."""
    machine: str = "x86_64"
    with_uv: bool = True
    """Whether it has the program uv, which makes environments faster than pip."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="spare-tire-host-"))
        for name in ("upper", "work", "tree"):
            (self.folder / name).mkdir()
        for key in ("id", "host_key"):
            self._make_key(self.folder / key)
        etc = self.folder / "upper/etc/ssh"
        etc.mkdir(parents=True)
        shutil.copy(self.folder / "id.pub", etc / "fixture_keys")
        shutil.copy(self.folder / "host_key", etc / "host_key")
        shutil.copy(self.folder / "host_key.pub", etc / "ssh_host_ed25519_key.pub")  # where everybody looks for it
        if self.with_uv and self.machine == os.uname().machine:
            (self.upper / "usr/local/bin").mkdir(parents=True)
            shutil.copy(find_uv() or "", self.upper / "usr/local/bin/uv")
        self._lock, self.number = _take_number()
        self._lock.write(str(self.folder))
        self._lock.flush()
        self.namespace = f"spare-tire-{self.number}"
        self.address = f"10.77.{self.number}.2"
        self.gateway = f"10.77.{self.number}.1"
        """This machine, as the host sees it."""
        try:
            self._connect()
            self.turn_on()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _connect(self) -> None:
        _ip("link", "add", self.veth, "type", "veth", "peer", "name", f"{self.veth}-there")
        _ip("netns", "add", self.namespace)
        _ip("address", "add", f"{self.gateway}/24", "dev", self.veth)
        _ip("link", "set", self.veth, "up")
        _ip("link", "set", f"{self.veth}-there", "netns", self.namespace, "name", "eth0")
        _ip("-n", self.namespace, "address", "add", f"{self.address}/24", "dev", "eth0")
        for name in ("lo", "eth0"):
            _ip("-n", self.namespace, "link", "set", name, "up")

    def __exit__(self, *_: object) -> None:
        self.turn_off()
        _clear(self.number)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    @property
    def veth(self) -> str:
        """The end of its cable that is on this machine."""
        return f"st{self.number}"

    @property
    def upper(self) -> Path:
        """Its own layer: what was written there, but for ``/tmp`` and ``/run``."""
        return self.folder / "upper"

    def instance(self, name: str, **changed: object) -> Instance:
        """Return the instance that reaches it."""
        said: dict[str, object] = {
            "host": self.address,
            "user": "root",
            "identity_file": str(self.folder / "id"),
            "host_key": (" ".join((self.folder / "host_key.pub").read_text().split()[:2]),),
            **changed,
        }
        return Instance.from_dict(name, {"worker": "ssh", **said})

    def turn_on(self) -> None:
        """Start it, and wait until sshd takes connections."""
        variables = {**os.environ, "LOWER": str(self.lower), "HOST": str(self.folder), "TMP_SIZE": self.tmp_size}
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", START]
        argv = ["ip", "netns", "exec", self.namespace, *isolated]
        errors = (self.folder / "start").open("wb")
        self._process = subprocess.Popen(argv, env=variables, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        errors.close()
        deadline = time.monotonic() + 20
        while "Server listening" not in self.log():
            if self._process.poll() is not None or time.monotonic() > deadline:
                message = f"the host does not start: {(self.folder / 'start').read_text()}{self.log()}"
                raise RuntimeError(message)
            time.sleep(0.02)

    def turn_off(self) -> None:
        """Stop it at once, with all that runs there; what is in ``/tmp`` is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        (self.upper / "var/log/sshd").unlink(missing_ok=True)

    def vanish(self) -> None:
        """Take it off the network for good, with its namespace."""
        self.turn_off()
        _ip("route", "add", "unreachable", self.address)
        end = f"{self.veth}-there"  # the cable stays, and with it the number: no other host takes the address
        for words in (("eth0", "down"), ("eth0", "name", end), (end, "netns", str(os.getpid()))):
            _ip("-n", self.namespace, "link", "set", *words)
        _ip("netns", "delete", self.namespace)

    def plug(self, *, into: bool) -> None:
        """Pull its cable, of which neither side is told, or put it back."""
        _ip("link", "set", self.veth, "up" if into else "down")

    def cut(self) -> int:
        """Break every connection to it; return how many there were."""
        found = [
            pid
            for pid, command in self.processes().items()
            if command.startswith("sshd: ") and "[listener]" not in command
        ]
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(found)

    def processes(self) -> dict[int, str]:
        """Return the command lines of what runs there, by this machine's process ids."""
        return dict(_tree(self._process.pid)) if self._process is not None else {}

    @property
    def files(self) -> Path:
        """Its file system as it sees it, ``/tmp`` included."""
        return Path(f"/proc/{self._init}/root")

    @property
    def _init(self) -> int:
        assert self._process is not None
        (init,) = _children(self._process.pid)
        return init

    def run(self, script: str) -> str:
        """Run a shell script there, not over the network; return what it prints."""
        enter = ["nsenter", f"--target={self._init}", "--all", "chroot", str(self.folder / "tree")]
        done = subprocess.run([*enter, "sh", "-c", script], check=True, capture_output=True, text=True)
        return done.stdout

    def lend(self, folder: Path, place: str) -> None:
        """Show it a directory of this machine, read-only, until it is turned off."""
        there = self.folder / "tree" / place.lstrip("/")
        outside = ["nsenter", f"--target={self._init}", "--mount"]
        there_too = f"mkdir -p {there} && mount --bind {folder} {there} && mount -o remount,bind,ro {there}"
        subprocess.run([*outside, "sh", "-c", there_too], check=True, capture_output=True)

    def log(self) -> str:
        """Return what sshd has logged."""
        return self._read("sshd")

    def connections(self) -> int:
        """Return how many connections were made to it."""
        return self.log().count("Accepted publickey for ")

    def commands(self) -> list[str]:
        """Return the commands that were given over its connections."""
        return self._read("commands").splitlines()

    def _read(self, name: str) -> str:
        path = self.upper / "var/log" / name
        return path.read_text() if path.exists() else ""

    @staticmethod
    def _make_key(path: Path) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)

    def change_key(self) -> None:
        """Give it another host key, as a host that was set up anew has."""
        for path in self.folder.glob("host_key*"):
            path.unlink()
        self._make_key(self.folder / "host_key")
        shutil.copy(self.folder / "host_key", self.upper / "etc/ssh/host_key")
        self.turn_off()
        self.turn_on()


def make_host(architecture: str = "amd64", *, tmp_size: str = "2g", with_uv: bool = True) -> Host:
    """Return a host with a Debian of that architecture, not yet turned on."""
    lower = root_file_system(architecture)
    return Host(lower=lower, machine=MACHINES[architecture], tmp_size=tmp_size, with_uv=with_uv)


def lacking(programs: Mapping[str, str]) -> str | None:
    """Say why there can be no hosts here; ``None`` where there can. ``programs`` as in ``noxfile.PROGRAMS``."""
    if os.geteuid() != 0:
        return "hosts of their own take root"
    missing = [name for name in ("ip", "mmdebstrap", "sshd", "unshare") if not shutil.which(name)]
    wanted = ", ".join(programs.get(name, name) for name in missing)
    return f"hosts take {wanted}; `nox -s tests-system` installs them" if missing else None


def _take_number() -> tuple[IO[str], int]:
    """Return a number that no other host has, with its lock, and with nothing of a test run that was killed.

    Whoever has the lock has the number: the kernel takes it from those who die.
    """
    LOCKS.mkdir(exist_ok=True)
    for number in range(10, 100):
        lock = (LOCKS / str(number)).open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            _clear(number)
            lock.seek(0)
            shutil.rmtree(lock.read() or "/nowhere", ignore_errors=True)  # the folder of a host that was not turned off
            lock.truncate(0)
            return lock, number
    raise RuntimeError("there is no number left for a host")


def _clear(number: int) -> None:
    """Remove all that there may be of the host of a number, which is locked."""
    namespace = f"spare-tire-{number}"
    if Path("/run/netns", namespace).exists():
        for pid in _ip("netns", "pids", namespace).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    for words in (
        ("route", "delete", "unreachable", f"10.77.{number}.2"),
        ("netns", "delete", namespace),
        ("link", "delete", f"st{number}"),
    ):
        with suppress(subprocess.CalledProcessError):  # it may have gone already
            _ip(*words)


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _tree(pid: int) -> Iterator[tuple[int, str]]:
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in _children(pid):
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield child, command.strip()
            yield from _tree(child)
