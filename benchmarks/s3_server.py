"""A real S3 server on loopback, moto's, in a process of its own, with a bucket in it."""

from __future__ import annotations

import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3

from tasks import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERVE = """
import os, time
from moto.server import ThreadedMotoServer
parent = os.getppid()
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
while os.getppid() == parent:
    time.sleep(1)
"""
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server."""

    url: str

    def bucket(self, objects: Mapping[str, bytes] | None = None) -> str:
        """Make a bucket with some objects, each a JSON document that anybody may read, in it; return its name."""
        client = boto3.session.Session("bench", "bench", region_name="us-east-1").client("s3", endpoint_url=self.url)
        name = f"bench-{next(_NUMBERS)}"
        client.create_bucket(Bucket=name)

        def put(item: tuple[str, bytes]) -> None:
            client.put_object(Bucket=name, Key=item[0], Body=item[1], ContentType="application/json", ACL="public-read")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, (objects or {}).items()))
        return name


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start the server; it ends with the block."""
    said: list[str] = []
    ready = threading.Event()

    def on_line(line: str) -> None:
        said.append(line)
        ready.set()

    running = process.start([sys.executable, "-W", "ignore", "-c", SERVE], on_line)
    waiter = threading.Thread(target=running.wait, daemon=True)
    waiter.start()
    try:
        if not ready.wait(60) or not said[0].isdigit():
            raise RuntimeError("\n".join(["moto does not start", *said]))
        yield S3Server(f"http://127.0.0.1:{said[0]}")
    finally:
        running.stop()
        waiter.join()
