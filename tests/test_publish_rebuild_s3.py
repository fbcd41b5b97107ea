"""A bucket of bare wheels is made whole by the command itself, interrupted twice, every request of it on record."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.index import ProjectPage
from tasks.pages import Pages
from tests.stores.recorded_s3 import recorded
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from tests.stores.recorded_s3 import Request
    from tests.stores.s3_servers import Server

ROOT = Path(__file__).parent.parent
EPOCH = "1767323045"


def rebuild(here: Path, server: Server, index: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPARE_TIRE_"))}
    environment = {**kept, **server.environment, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": EPOCH}
    command = [sys.executable, "-m", "tasks.publish", "--index", index, "--rebuild"]
    return subprocess.Popen(
        command, cwd=here, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def bare_bucket(server: Server, wheels: list[Path]) -> str:
    """Upload wheels as a tool would that lets S3 keep their checksums; return where the index is to be."""
    client, bucket = server.client, server.new_bucket()

    def upload(wheel: Path) -> None:
        key = f"team/packages/{wheel.name}"
        client.put_object(Bucket=bucket, Key=key, Body=wheel.read_bytes(), ChecksumAlgorithm="SHA256")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(upload, wheels))
    return f"s3://{bucket}/team"


def test_a_thousand_bare_wheels_in_a_bucket_become_an_index_though_twice_interrupted(tmp_path: Path) -> None:
    wheels = [
        make_wheel(tmp_path, f"p{project}", f"1.{version}", tag=f"cp3{python}-none-any")
        for project in range(20)
        for version in range(5)
        for python in range(10)
    ]
    with recorded(tmp_path) as recording:
        index = bare_bucket(recording.server, wheels)
        recording.forget()
        for signum, code, at in ((signal.SIGINT, 130, 350), (signal.SIGKILL, -signal.SIGKILL, 700), (None, 0, 0)):
            process = rebuild(tmp_path, recording.server, index)
            while signum and recording.read() < at:
                assert process.poll() is None
                time.sleep(0.1)
            if signum:
                process.send_signal(signum)
            _, said = process.communicate()
            assert process.returncode == code, said
        requests = recording.requests()
        pages = {name: stored_page(recording.server, index, name) for name in (f"p{number}" for number in range(20))}

    files = {file.filename: file.sha256 for page in pages.values() for file in page.files}
    assert files == {wheel.name: hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels}
    reads = [(i, one.path) for i, one in enumerate(requests) if one.method == "GET" and one.path.endswith(".whl")]
    assert {(requests[i].range, requests[i].status) for i, _ in reads} == {("bytes=-65536", "206")}
    print(f"{len(requests)} requests, {len(reads)} wheels read")
    assert not read_after_their_state(requests, reads)


def stored_page(server: Server, index: str, name: str) -> ProjectPage:
    """Return a project's page, which its HTML page shows."""
    bucket, _, prefix = index.removeprefix("s3://").partition("/")

    def stored(form: str) -> bytes:
        key = f"{prefix}/simple/{name}/index.{form}"
        return server.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    page = ProjectPage.from_json(stored("json"), name)
    assert stored("html") == Pages().project(page)
    return page


def read_after_their_state(requests: list[Request], reads: list[tuple[int, str]]) -> list[str]:
    """Return the wheels that were read again although their project's state had been written since."""
    written = [(i, one.path) for i, one in enumerate(requests) if (one.method, one.status) == ("PUT", "200")]
    seen: dict[str, int] = {}
    again = []
    for i, path in reads:
        root, _, filename = path.rpartition("/packages/")
        state = f"{root}/simple/{filename.partition('-')[0]}/index.json"
        if path in seen and any(state == other for k, other in written if seen[path] < k < i):
            again.append(path)
        seen[path] = i
    return again
