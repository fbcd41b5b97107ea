"""Many publishers to one bucket, killed at random, while others read: ``nox -s chaos``, and in short in the tests.

Each publisher is a process of its own that reaches a real S3 server through a proxy of its own. The seed says which of
them are killed, at which request, and whether the server still carries that one out. An observer reads pages and
fetches links all the while; then all are run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from packaging.utils import NormalizedName

from tasks.core.index import ProjectPage, page_html_path, page_json_path, page_path, wheel_path
from tasks.core.project_list import ProjectList
from tasks.core.release_json import project_json, release_path, version_json
from tasks.pages import Pages
from tasks.stores.s3 import S3Store
from tests.stores.s3_proxy import Fault, Proxy, proxied_by
from tests.stores.s3_servers import Server, moto
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(
    rb'href="\.\./\.\./packages/([^"#]+)#sha256=([0-9a-f]{64})" .*?data-core-metadata="sha256=([0-9a-f]{64})"'
)
SERIAL = re.compile(rb"<!--SERIAL (\d+)-->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """When a publisher is killed: at which of its requests, and whether the server carries that one out."""

    request: int
    carried_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything."""

    publishers: int
    own: int
    """Wheels that only one publisher has, half of them of projects that many publish to."""
    common: int
    """Wheels that every publisher has."""
    projects: int
    rounds: int
    """How often publishers are killed and run again, before they are run undisturbed."""


PAUSE = 0.01
"""Seconds that the observer leaves the server to others after each page."""
SHORT = Size(publishers=4, own=2, common=1, projects=2, rounds=1)
FULL = Size(publishers=32, own=6, common=3, projects=5, rounds=3)


class Doomed(Proxy):
    """A publisher's way to the server, on which it is killed at one of its requests.

    It is one as a company's network has it: all publishers reach the server by the same address, as jobs do.
    """

    process: subprocess.Popen[str] | None = None
    kill: Kill | None = None

    def fault(self, method: str, path: str) -> Fault:
        super().fault(method, path)
        if self.kill is None or self.process is None or len(self.asked) < self.kill.request:
            return Fault()
        if len(self.asked) > self.kill.request or not self.kill.carried_out:  # those under way beside it come too late
            self.process.kill()
            return Fault(reset=True)
        return Fault(late=self.process.kill)


@dataclass(slots=True)
class Observer:
    """Reads pages and fetches links until it is stopped; what it finds wrong is in ``faults``."""

    store: S3Store
    faults: list[str] = field(default_factory=list)
    reads: int = 0
    links: int = 0
    _seen: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self, seed: int) -> None:
        """Read until stopped."""
        choice = random.Random(seed)  # noqa: S311 - which page is read next
        try:
            while not self._stop.is_set():
                listed = self._list()
                for name in choice.sample(listed, len(listed)):
                    for path in (page_html_path(name), page_path(name), page_json_path(name)):
                        self._page(path, choice)
                        self._stop.wait(PAUSE)
        except Exception as error:  # noqa: BLE001 - in a thread nobody else would hear of it
            self.faults.append(f"the observer: {error!r}")

    def stop(self) -> None:
        """Let it come to its end."""
        self._stop.set()

    def _list(self) -> list[NormalizedName]:
        names: list[NormalizedName] = []
        for path in ("simple/index.json", "json/index.html"):
            stored = self.store.get(path)
            if stored is None:
                self._note(path, 0, frozenset())
                continue
            listed = ProjectList.from_json(stored.data)
            names = [project.name for project in listed.projects]
            self._note(path, listed.serial, frozenset(names))
        for path in ("simple/index.html", "index.html"):
            stored = self.store.get(path)
            self._note(path, int(SERIAL.findall(stored.data)[0]) if stored else 0, frozenset())
        return names

    def _page(self, path: str, choice: random.Random) -> None:
        stored = self.store.get(path)
        if stored is None:
            self._note(path, 0, frozenset())
            return
        if path.startswith("simple/") and path.endswith(".html"):
            serial = int(SERIAL.findall(stored.data)[0])
            links = [(unquote(name.decode()), a.decode(), b.decode()) for name, a, b in LINK.findall(stored.data)]
            if stored.data.count(b"<a ") != len(links):
                self.faults.append(f"{path} has a link without hashes")
        else:
            page = ProjectPage.from_json(stored.data, path)
            serial = page.serial
            links = [(file.filename, file.sha256, file.core_metadata or "") for file in page.files]
        self._note(path, serial, frozenset(name for name, _, _ in links))
        for name, sha256, metadata in choice.sample(links, min(3, len(links))):
            self._fetch(path, wheel_path(name), sha256)
            self._fetch(path, f"{wheel_path(name)}.metadata", metadata)

    def _fetch(self, page: str, path: str, sha256: str) -> None:
        self.links += 1
        stored = self.store.get(path)
        if stored is None or hashlib.sha256(stored.data).hexdigest() != sha256:
            self.faults.append(f"I1: {page} links to {path} with sha256 {sha256}, and that is not there")

    def _note(self, path: str, serial: int, shown: frozenset[str]) -> None:
        self.reads += 1
        before, then = self._seen.get(path, (0, frozenset()))
        if serial < before:
            self.faults.append(f"I4: {path} went back from serial {before} to {serial}")
        if then - shown:
            self.faults.append(f"I2: {path} lost {sorted(then - shown)}")
        self._seen[path] = (serial, shown)


def make_dists(folder: Path, size: Size) -> dict[str, str]:
    """Make each publisher's ``dist``; return the sha256 of every wheel by its file name."""
    hashes: dict[str, str] = {}
    for number in range(size.publishers):
        wheels = folder / f"dist{number}" / "wheels"
        made = [make_wheel(wheels, f"shared{i % size.projects}", f"1.{i}") for i in range(size.common)]
        for i in range(size.own):
            name = f"shared{i % size.projects}" if i % 2 else f"own{number}"
            made.append(make_wheel(wheels, name, f"2.{number}.{i}"))
        hashes |= {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}
    return hashes


SURELY = 10
"""Requests that every publisher makes who has something to publish."""


def kills(choice: random.Random, size: Size) -> list[Kill | None]:
    """Choose who is killed, and when; some are not, and some have finished by then, but for one at least."""
    doom = [
        Kill(request=choice.randrange(1, 45), carried_out=choice.random() < 0.5) if choice.random() < 0.8 else None
        for _ in range(size.publishers)
    ]
    surely = Kill(request=choice.randint(1, SURELY), carried_out=choice.random() < 0.5)
    doom[choice.randrange(size.publishers)] = surely
    return doom


def publish(folder: Path, index: str, proxies: Sequence[Doomed], doom: Sequence[Kill | None]) -> list[int]:
    """Run all publishers side by side; return their exit codes. A killed one's is negative."""
    for proxy, kill in zip(proxies, doom, strict=True):
        proxy.reset()
        proxy.kill = kill
        number = proxies.index(proxy)
        command = [sys.executable, "-m", "tasks.publish", "--quiet", "--dist", f"dist{number}", "--index", index]
        environment = {**os.environ, **proxy.upstream.environment, "PYTHONPATH": str(ROOT)}
        environment |= {"http_proxy": proxy.server.url, "no_proxy": ""}
        environment |= {"SOURCE_DATE_EPOCH": "1767323045", "SPARE_TIRE_MATRIX": ""}
        with (folder / f"said{number}").open("a") as said:
            proxy.process = subprocess.Popen(command, cwd=folder, env=environment, stderr=said, text=True)
    return [proxy.process.wait() for proxy in proxies if proxy.process]


def differences(store: S3Store, hashes: Mapping[str, str]) -> Iterator[str]:
    """Yield what in the index is not as it has to be once everybody has finished."""
    listing = store.get("simple/index.json")
    if listing is None:
        yield "there is no list"
        return
    listed, pages = ProjectList.from_json(listing.data), Pages()
    expected = {
        "simple/index.html": pages.projects(listed),
        "json/index.html": listing.data,
        "index.html": pages.home(listed),
    }
    there: dict[str, str] = {}
    for project in listed.projects:
        state = store.get(page_path(project.name))
        if state is None:
            yield f"{project.name} has no state"
            continue
        page = ProjectPage.from_json(state.data, project.name)
        there |= {file.filename: file.sha256 for file in page.files}
        expected[page_html_path(page.name)] = pages.project(page)
        expected[page_json_path(page.name)] = state.data
        expected[release_path(page.name)] = project_json(page)
        expected |= {release_path(page.name, each): version_json(page, each) for each in page.versions}
        if (project.serial, project.state) != (page.serial, page.digest):
            yield f"the list has {project.name} at serial {project.serial}, its page is at {page.serial}"
    for path, data in expected.items():
        stored = store.get(path)
        if stored is None or stored.data != data:
            yield f"{path} is not what its state renders to"
    if there != hashes:
        yield f"the pages list {len(there)} wheels, {len(hashes)} were published"
    for filename, sha256 in hashes.items():
        stored = store.get(wheel_path(filename))
        if stored is None or hashlib.sha256(stored.data).hexdigest() != sha256:
            yield f"{filename} is not there, or has other bytes"


def chaos(server: Server, size: Size, seed: int, folder: Path) -> list[str]:
    """Let it happen in ``folder``; return what went wrong, after having said what was done."""
    choice = random.Random(seed)  # noqa: S311 - it is meant to be repeated
    hashes = make_dists(folder, size)
    os.environ.update(server.environment)
    bucket = server.new_bucket()
    store = S3Store(f"s3://{bucket}/team")
    observer = Observer(store)
    watching = threading.Thread(target=observer.watch, args=(seed,), daemon=True)
    faults: list[str] = []
    begun = time.perf_counter()
    with ExitStack() as stack:
        proxies = [stack.enter_context(proxied_by(Doomed, server)) for _ in range(size.publishers)]
        watching.start()
        killed = 0
        for _ in range(size.rounds):
            codes = publish(folder, store.location, proxies, kills(choice, size))
            killed += sum(code < 0 for code in codes)
            faults += [f"a publisher ended with exit code {code}" for code in codes if code > 0]
        nobody: list[Kill | None] = [None] * size.publishers
        codes = publish(folder, store.location, proxies, nobody)
        faults += [f"a rerun ended with exit code {code}" for code in codes if code]
        observer.stop()
        watching.join()
        codes = publish(folder, store.location, proxies[:1], nobody[:1])
        writes = [one for proxy in proxies[:1] for one in proxy.asked if not one.startswith(("GET", "HEAD"))]
        faults += [f"I5: publishing again wrote {one}" for one in writes]
    faults += [*observer.faults, *differences(store, hashes)]
    if not killed:
        faults.append("nobody was killed, so that nothing was shown")
    if not observer.links:
        faults.append("the observer has fetched no link, so that nothing was shown")
    seconds = time.perf_counter() - begun
    print(
        f"seed {seed}: {size.publishers} publishers, {len(hashes)} wheels, {killed} kills, {observer.reads} pages read, "
        f"{observer.links} links fetched, {seconds:.0f} s: {len(faults) or 'no'} faults"
    )
    if faults:
        faults += sorted(path.read_text() for path in folder.glob("said*") if path.stat().st_size)
    return faults


def chosen_seed() -> int:
    """Return ``CHAOS_SEED``, or one of chance."""
    return int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))


def main() -> int:
    """Run the full form, as often as is wanted; return the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s chaos --", description=__doc__)
    parser.add_argument("--times", type=int, default=1, help="how often, each with the next seed")
    parser.add_argument("--json", action="store_true", help="print the faults as JSON")
    options = parser.parse_args()
    first = chosen_seed()
    faults: list[str] = []
    with moto() as server:
        for seed in range(first, first + options.times):
            print(f"CHAOS_SEED={seed}", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                faults += [f"seed {seed}: {fault}" for fault in chaos(server, FULL, seed, Path(folder))]
    print(json.dumps(faults) if options.json else "\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
