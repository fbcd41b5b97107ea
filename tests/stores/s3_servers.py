"""Real S3 servers on loopback, each a process of its own, and a bucket with a store in it."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tasks.stores.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from types_boto3_s3 import S3Client

    from tasks.stores.s3_client import Patience

KEY_ID, SECRET = "the-key-id", "the-secret-key"
_NUMBERS = itertools.count(1)

MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until whoever started it has gone
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """An S3 server that runs."""

    url: str
    knows_checksums: bool = True
    """Whether it keeps the sha256 that a put brings along."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead boto3 there, and nowhere else."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def client(self) -> S3Client:
        """Return a client of the tests' own, to set the scene and to look behind it."""
        settings: Any = {"retries": {"total_max_attempts": 1}}
        return boto3.session.Session(KEY_ID, SECRET).client(
            "s3", endpoint_url=self.url, region_name="us-east-1", config=Config(**settings)
        )

    def new_bucket(self) -> str:
        """Make a bucket that nobody else has."""
        bucket = f"bucket-{next(_NUMBERS)}"
        self.client().create_bucket(Bucket=bucket)
        return bucket

    def store(
        self, monkeypatch: pytest.MonkeyPatch, location: str | None = None, *, patience: Patience | None = None
    ) -> S3Store:
        """Open a store as a stage would, from the environment; without a location in a bucket of its own."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        return S3Store(location or f"s3://{self.new_bucket()}/team/index", patience=patience)


@contextmanager
def moto() -> Iterator[Server]:
    """Start moto's server: it honours conditions, keeps checksums and compares them with nothing."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        yield Server(url=f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
