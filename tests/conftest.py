"""What every test starts from."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stores.s3_proxy import Proxy
    from tests.stores.s3_servers import Server

# A shell that runs the tests in its background has them ignore SIGINT, and so would what they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    """An S3 server for all tests; each makes a bucket of its own in it."""
    from tests.stores import s3_servers  # noqa: PLC0415 - boto3 is not in every stage's lock

    with s3_servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def shared_proxy(moto: Server) -> Iterator[Proxy]:
    """The way to the S3 server on which faults are laid and requests are counted; tests take ``proxy``."""
    from tests.stores.s3_proxy import proxied  # noqa: PLC0415 - boto3 is not in every stage's lock

    with proxied(moto) as made:
        yield made


@pytest.fixture
def proxy(shared_proxy: Proxy) -> Proxy:
    """The way to the S3 server, without faults and with nothing counted."""
    shared_proxy.reset()
    return shared_proxy


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An S3 server that ignores conditions."""
    from tests.stores import s3_servers  # noqa: PLC0415 - boto3 is not in every stage's lock

    with s3_servers.rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def localstack(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A second S3 server, which compares checksums and signatures; skips the test where there is no Python 3.13."""
    from tests.stores import s3_servers  # noqa: PLC0415 - boto3 is not in every stage's lock

    with s3_servers.localstack(tmp_path_factory.mktemp("localstack"), pytestconfig.rootpath / ".cache") as server:
        yield server
