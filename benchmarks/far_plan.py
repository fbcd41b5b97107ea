"""Planning the FreeBSD part of the shipped matrix where both indexes are far away."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from benchmarks.bench_pages import STAMP
from benchmarks.far_away import Answer, far_away, passing_to
from benchmarks.report import Row
from benchmarks.s3_server import CREDENTIALS
from tasks import process
from tasks.core.index import LIST_PATH, ProjectPage, page_path
from tasks.core.index_file import IndexFile
from tasks.core.project_list import ProjectList
from tasks.services.default_index import default_index
from tasks.services.http import Http
from tasks.services.pip_config import read_pip_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.far_away import FarAway
    from benchmarks.s3_server import S3Server

ROOT = Path(__file__).resolve().parents[1]
STORE_DELAY, PUBLIC_DELAY = 0.06, 0.03
ROUNDS = 5
_PASSED_ON = {"content-type", "etag", "last-modified"}
FLOOR = """
import concurrent.futures, json, os, sys
import boto3, requests
names = sys.argv[1:]
bucket = os.environ["SPARE_TIRE_INDEX"].removeprefix("s3://")
client = boto3.client("s3")
session = requests.Session()
def read(key):
    return json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
def ask(name):
    accepted = {"Accept": "application/vnd.pypi.simple.v1+json"}
    return session.get(os.environ["PIP_INDEX_URL"] + name + "/", headers=accepted).content
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    asked = pool.map(ask, names)
    read("simple/index.json")
    list(pool.map(read, [f"simple/{name}/index.json" for name in names]))
    list(asked)
"""
"""What any program pays that has boto3 and requests ask for the same pages: it decides and writes nothing, and reads
nothing out of the public index's."""


def rows(server: S3Server) -> Iterator[Row]:
    """Plan with an index that has every wheel: without any cache, then again; from the bucket and over HTTP."""
    shutil.copy(ROOT / "wheel_matrix.yml", "wheel_matrix.yml")
    with far_away(Public(), PUBLIC_DELAY) as public:
        common = {**CREDENTIALS, "PIP_INDEX_URL": f"{public.url}/simple/", "PYTHONPATH": str(ROOT)}
        bucket = server.bucket(_published(common))
        with far_away(passing_to(server.url), STORE_DELAY) as store:
            common["AWS_ENDPOINT_URL_S3"] = store.url
            yield (least := _floor({**common, "SPARE_TIRE_INDEX": f"s3://{bucket}"}))
            for how, index in (("signed", f"s3://{bucket}"), ("over HTTP", f"{store.url}/{bucket}")):
                cold, *others = _measured(how, {**common, "SPARE_TIRE_INDEX": index}, store, public)
                yield cold
                yield Row(
                    work=f"plan of the FreeBSD part, {how}, beside that least",
                    figure=cold.figure / least.figure,
                    unit="×",
                )
                yield from others


def _measured(how: str, environment: Mapping[str, str], store: FarAway, public: FarAway) -> Iterator[Row]:
    seconds: dict[str, list[float]] = {"no cache": [], "again": []}
    requests: dict[str, tuple[int, int]] = {}
    for _ in range(ROUNDS):
        shutil.rmtree(".cache", ignore_errors=True)
        for when, found in seconds.items():
            store.requests.clear()
            public.requests.clear()
            started = time.perf_counter()
            _plan(environment)
            found.append(time.perf_counter() - started)
            requests[when] = len(store.requests), len(public.requests)
    for when, found in seconds.items():
        asked, of_public = requests[when]
        yield Row(
            work=f"plan of the FreeBSD part, {how}, {when}",
            figure=statistics.median(found),
            unit="s",
            at_most=0.5 if when == "no cache" else None,
            note=f"{asked} requests to the store, {of_public} to the public index",
        )
        if when == "again":
            yield Row(work=f"plan of the FreeBSD part, {how}, again", figure=asked, unit="store requests", at_most=1)


def _floor(environment: Mapping[str, str]) -> Row:
    plan = json.loads(Path("build/plan.json").read_bytes())
    names = sorted({canonicalize_name(action["package"]) for action in plan["actions"]})
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        _run([sys.executable, "-c", FLOOR, *names], environment)
        found.append(time.perf_counter() - started)
    return Row(
        work="the least that boto3 and requests take to ask for the same pages, signed",
        figure=statistics.median(found),
        unit="s",
        note=f"{len(names)} projects, both indexes at the same time; nothing is decided",
    )


def _published(environment: Mapping[str, str]) -> dict[str, bytes]:
    """Return the objects of an index that has every wheel of the FreeBSD part, as a plan names them."""
    _plan({**environment, "SPARE_TIRE_INDEX": "empty"})
    files: dict[str, list[IndexFile]] = {}
    for action in json.loads(Path("build/plan.json").read_bytes())["actions"]:
        filename = action["wheel"] if isinstance(action["wheel"], str) else action["wheel"]["filename"]
        entry = IndexFile(filename=filename, sha256="5" * 64, size=1, upload_time=STAMP, recipe=action["key"])
        files.setdefault(canonicalize_name(action["package"]), []).append(entry)
    pages = [ProjectPage(name=canonicalize_name(name)).merged(found) for name, found in sorted(files.items())]
    listed = ProjectList().merged(pages)
    return {**{page_path(page.name): page.to_json() for page in pages}, LIST_PATH: listed.to_json()}


class Public:
    """Answers as the public index does, which is asked once for each page."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Answer] = {}
        self._lock = threading.Lock()
        settings = read_pip_settings()
        self._index = (settings.index_url or default_index()).rstrip("/")
        self._http = Http(self._index, settings=settings)

    def __call__(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a request as the index did."""
        del method, body
        accepted = headers.get("Accept", "*/*")
        with self._lock:
            if (target, accepted) not in self._known:
                url = self._index + target.removeprefix("/simple")
                self._known[target, accepted] = self._http.get(
                    url,
                    lambda reply: Answer(
                        reply.status,
                        {name: text for name, text in reply.headers.items() if name.lower() in _PASSED_ON},
                        b"".join(reply.chunks()),
                    ),
                    {"Accept": accepted},
                )
            return self._known[target, accepted]


def _plan(environment: Mapping[str, str]) -> None:
    _run([sys.executable, "-m", "tasks.plan", "--quiet", "--target", "freebsd-*"], environment)


def _run(argv: list[str], environment: Mapping[str, str]) -> None:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "SPARE_TIRE_", "PIP_", "PYTHONDONTWRITE"))
    }
    done = process.run(argv, env={**kept, **environment})
    if done.returncode:
        raise SystemExit(f"{' '.join(argv[:3])}: exit code {done.returncode}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    from benchmarks.report import report
    from benchmarks.s3_server import s3_server

    os.chdir(sys.argv[1])
    with s3_server() as running:
        sys.exit(report("far_plan", list(rows(running))))
