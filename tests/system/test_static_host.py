"""pip and uv install from a bucket as a static host serves it: objects as they are stored, index documents for ``…/``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tasks.publish import main
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stores.s3_servers import Server

pytestmark = pytest.mark.needs("nginx")

# As S3's own static hosting, a CDN before a bucket, or any web server does it: no negotiation, no types but the stored.
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 64; }}
http {{
    access_log {folder}/requests;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            rewrite ^(.*)/$ /{bucket}/team$1/index.html break;
            rewrite ^(.*)$ /{bucket}/team$1 break;
            proxy_pass {s3};
            proxy_set_header Host {host};
        }}
    }}
}}
"""
FIRST, SECOND = "1767225600", "1798761600"  # 2026-01-01 and 2027-01-01


@pytest.fixture(scope="module")
def host(moto: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a static host before a bucket with two versions, the second one a year younger."""
    folder = tmp_path_factory.mktemp("host")
    bucket = moto.new_bucket()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in moto.environment.items():
            patch.setenv(name, value)
        for version, epoch in (("1.0", FIRST), ("2.0", SECOND)):
            shutil.rmtree("dist", ignore_errors=True)
            make_wheel(folder / "dist" / "wheels", "demo", version)
            patch.setenv("SOURCE_DATE_EPOCH", epoch)
            assert main(["--index", f"s3://{bucket}/team", "--quiet"]) == 0
    for found in moto.client.list_objects_v2(Bucket=bucket)["Contents"]:
        moto.client.put_object_acl(Bucket=bucket, Key=found["Key"], ACL="public-read")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, port=port, bucket=bucket, s3=moto.url, host=urlsplit(moto.url).netloc)
    )
    with subprocess.Popen(["nginx", "-c", config, "-e", folder / "errors"], stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")


def installed(folder: Path, *command: str | Path) -> list[str]:
    """Run an installer without configuration; return what it has put into ``folder``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    told = {**kept, "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "127.0.0.1"}
    ran = subprocess.run([*command, "demo"], env=told, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return sorted(path.name for path in folder.glob("*.dist-info"))


def pip(folder: Path, index: str, *options: str) -> list[str]:
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"]
    return installed(folder, *command, "--target", folder, "--index-url", index, *options)


def uv(folder: Path, index: str, *options: str) -> list[str]:
    command = ["uv", "pip", "install", "--no-config", "--no-cache", "--no-deps", "--python", sys.executable]
    return installed(folder, *command, "--target", folder, "--index-url", index, *options)


@pytest.mark.parametrize("root", ["simple", "json"])
def test_pip_installs_from_either_root(host: str, tmp_path: Path, root: str) -> None:
    assert pip(tmp_path, f"{host}/{root}/") == ["demo-2.0.dist-info"]


def test_pip_takes_what_was_uploaded_before_a_date_from_the_json_root(host: str, tmp_path: Path) -> None:
    dated = ("--uploaded-prior-to", "2026-06-01T00:00:00Z")

    assert pip(tmp_path, f"{host}/json/", *dated) == ["demo-1.0.dist-info"]


@pytest.mark.needs("uv")
@pytest.mark.parametrize("root", ["simple", "json"])
def test_uv_installs_from_either_root(host: str, tmp_path: Path, root: str) -> None:
    assert uv(tmp_path, f"{host}/{root}/") == ["demo-2.0.dist-info"]


@pytest.mark.needs("uv")
def test_uv_takes_what_was_uploaded_before_a_date_from_the_json_root(host: str, tmp_path: Path) -> None:
    dated = ("--exclude-newer", "2026-06-01T00:00:00Z")

    assert uv(tmp_path, f"{host}/json/", *dated) == ["demo-1.0.dist-info"]


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/simple/demo/", "text/html; charset=utf-8"),
        ("/json/demo/", "application/vnd.pypi.simple.v1+json"),
        ("/packages/demo-1.0-py3-none-any.whl", "application/zip"),
    ],
)
def test_objects_come_with_the_types_that_they_were_stored_with(host: str, path: str, content_type: str) -> None:
    with urlopen(f"{host}{path}") as answer:  # noqa: S310 - loopback
        assert answer.headers["Content-Type"] == content_type
