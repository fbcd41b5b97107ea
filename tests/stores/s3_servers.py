"""Real S3 servers on loopback, each a process of its own, and a bucket with a store in it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import re
import socket
import subprocess
import sys
import sysconfig
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tasks.stores.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from types_boto3_s3 import S3Client

    from tasks.stores.s3_client import Patience

KEY_ID, SECRET = "the-key-id", "the-secret-key"
_NUMBERS = itertools.count(1)

MOTO = """
import io, sys, threading
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

moto = DomainDispatcherApplication(create_backend_app)
writing = threading.Lock()

def one_write_at_a_time(environ, start_response):
    # moto tests a condition and writes later: once in some hundred races two writers are told that they were the first.
    if environ["REQUEST_METHOD"] != "PUT":
        return moto(environ, start_response)
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    with writing:
        return moto(environ, start_response)

class KeepsConnections(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

server = make_server("127.0.0.1", 0, one_write_at_a_time, True, request_handler=KeepsConnections)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"port={server.server_port}", flush=True)
sys.stdin.read()  # until whoever started it has gone
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """An S3 server that runs."""

    url: str

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

    @property
    def client(self) -> S3Client:
        """A client of the tests' own, to set the scene and to look behind it."""
        return _client(self.url)

    def new_bucket(self) -> str:
        """Make a bucket that nobody else has."""
        bucket = f"bucket-{next(_NUMBERS)}"
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def store(
        self, monkeypatch: pytest.MonkeyPatch, location: str | None = None, *, patience: Patience | None = None
    ) -> S3Store:
        """Open a store as a stage would, from the environment; without a location in a bucket of its own."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        return S3Store(location or f"s3://{self.new_bucket()}/team/index", patience=patience)

    def emptied_store(self) -> S3Store:
        """Return the same store each time, emptied: a client takes as long to make as a dozen requests."""
        store = _store(self)
        empty(self, store)
        return store


def empty(server: Server, store: S3Store) -> None:
    """Remove everything that lies in the store."""
    for page in server.client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=store.prefix):
        if found := page.get("Contents"):
            keys: list[Any] = [{"Key": each["Key"]} for each in found]
            server.client.delete_objects(Bucket=store.bucket, Delete={"Objects": keys})


@functools.cache
def _store(server: Server) -> S3Store:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return server.store(monkeypatch)


@functools.cache
def _client(url: str) -> S3Client:
    settings: Any = {"retries": {"total_max_attempts": 1}}
    return boto3.session.Session(KEY_ID, SECRET).client(
        "s3", endpoint_url=url, region_name="us-east-1", config=Config(**settings)
    )


@contextmanager
def moto(page: int = 1000) -> Iterator[Server]:
    """Start a server of moto's: it honours conditions, keeps checksums and compares them with nothing.

    It lists as many objects a ``page``.
    """
    environment = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": str(page)}
    with _running([sys.executable, "-W", "ignore", "-c", MOTO], r"port=(\d+)", environment) as port:
        yield Server(url=f"http://127.0.0.1:{port}")


@contextmanager
def rclone(directory: Path) -> Iterator[Server]:
    """Start rclone's server over a directory: it ignores conditions."""
    program = Path(sysconfig.get_path("scripts"), "rclone")
    argv: list[str | Path] = [program, "serve", "s3", directory, "--addr=127.0.0.1:0", f"--auth-key={KEY_ID},{SECRET}"]
    with _running([*argv, "--etag-hash=MD5", "--config="], r"s3 server on \[http://127\.0\.0\.1:(\d+)") as port:
        yield Server(url=f"http://127.0.0.1:{port}")


LOCALSTACK = {
    "SERVICES": "s3",
    "GATEWAY_SERVER": "hypercorn",  # any other listens on all addresses
    "S3_SKIP_SIGNATURE_VALIDATION": "0",
    "DISABLE_EVENTS": "1",
    "SKIP_SSL_CERT_DOWNLOAD": "1",
    "DNS_ADDRESS": "0",
}


@contextmanager
def localstack(directory: Path, cache: Path) -> Iterator[Server]:
    """Start localstack: it honours conditions, and compares checksums and signatures. Skips where it cannot be had."""
    python = _localstack_python(cache)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, **LOCALSTACK, "GATEWAY_LISTEN": f"127.0.0.1:{port}", "HOME": str(directory)}
    with _running([python, "-m", "localstack.runtime.main"], r"(Ready)\.", environment, directory):
        yield Server(url=f"http://127.0.0.1:{port}")


def _localstack_python(cache: Path) -> Path:
    """Return the interpreter of an environment that holds what ``localstack.txt`` locks; it is made once."""
    lock = Path(__file__).with_name("localstack.txt")
    home = cache / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    python = home / "bin" / "python"
    if not home.is_dir():
        found = _uv("python", "find", "--no-python-downloads", "3.13", check=False)
        if found.returncode:
            pytest.skip(f"localstack needs Python 3.13: {found.stderr.strip()}")
        part = home.with_name(f"{home.name}.{os.getpid()}")
        _uv("venv", "--quiet", f"--python={found.stdout.strip()}", "--relocatable", str(part))
        _uv("pip", "sync", "--quiet", "--require-hashes", f"--python={part}", str(lock))
        with contextlib.suppress(OSError):  # somebody else was quicker
            part.rename(home)
    return python


def _uv(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {"UV_SYSTEM_CERTS": "1", **os.environ}  # it then trusts whom pip and the system trust
    argv = [sys.executable, "-m", "uv", *arguments]
    return subprocess.run(argv, check=check, capture_output=True, text=True, env=environment)


@contextmanager
def _running(
    argv: Sequence[str | Path],
    ready: str,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Iterator[str]:
    """Run a server until the block ends; gives what the group of ``ready`` matches in what it says first."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=directory,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    rest = threading.Thread(target=process.stdout.read)  # so that it never waits for a reader
    with process:
        try:
            for line in process.stdout:
                said.append(line)
                if found := re.search(ready, line):
                    rest.start()
                    yield found[1]
                    return
            pytest.fail(f"{argv[0]} does not start:\n{''.join(said)}")
        finally:
            process.kill()
            if rest.is_alive():
                rest.join()
