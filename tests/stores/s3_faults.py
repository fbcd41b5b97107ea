"""What can go wrong with a bucket, as it comes over the wire, and what a user is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.stores.s3_proxy import Fault
from tests.stores.s3_servers import KEY_ID, SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from tests.stores.s3_proxy import Proxy

CREDENTIALS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile, and that they are this endpoint's"
LOGIN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role is given"
NOT_EMPTY = "this is not taken for an empty index"
SECRETS = (KEY_ID, SECRET, "the-string-to-sign", "the-token")


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A fault of every read, and what follows ``cannot read …: ``."""

    said: str
    fault: Fault | None = None
    of_ranges: bool = True
    """Whether it can be seen when only a range is read."""
    environment: Mapping[str, str] | None = None
    """In the fault's place: how boto3 is set up. Empty values unset."""

    def befall(self, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have every read through the proxy go wrong in this way."""
        if self.fault:
            proxy.lay("GET", ".*", self.fault)
        for name, value in (self.environment or {}).items():
            if value:
                monkeypatch.setenv(name, value)
            else:
                monkeypatch.delenv(name)

    def words(self, proxy: Proxy) -> str:
        """Return what is said of it there."""
        return self.said.replace("ENDPOINT ", f"{proxy.server.url} ")


READING = {
    "access denied": Trouble(
        fault=Fault(status=403, code="AccessDenied"),
        said=f"403 AccessDenied: access is denied; {NOT_EMPTY}: grant s3:GetObject and s3:ListBucket (without the latter "
        "S3 answers the same of what is not there)",
    ),
    "unknown access key": Trouble(
        fault=Fault(status=403, code="InvalidAccessKeyId"),
        said=f"403 InvalidAccessKeyId: the server does not know the access key: {CREDENTIALS}",
    ),
    "wrong secret": Trouble(
        fault=Fault(status=403, code="SignatureDoesNotMatch"),
        said=f"403 SignatureDoesNotMatch: the signature does not fit the access key: {CREDENTIALS}",
    ),
    "expired token": Trouble(
        fault=Fault(status=400, code="ExpiredToken"),
        said="400 ExpiredToken: the session's credentials have expired or are not valid: get new ones and run it again",
    ),
    "clock skew": Trouble(
        fault=Fault(status=403, code="RequestTimeTooSkewed"),
        said="403 RequestTimeTooSkewed: the server's clock and this machine's differ too much: set this machine's clock",
    ),
    "no bucket": Trouble(
        fault=Fault(status=404, code="NoSuchBucket"),
        said="404 NoSuchBucket: there is no such bucket: make it, or name another by --index",
    ),
    "slow down": Trouble(
        fault=Fault(status=503, code="SlowDown"),
        said="503 SlowDown: the server asks for fewer requests: run the same command again later, with fewer publishers "
        "beside it",
    ),
    "a balancer's 503": Trouble(
        fault=Fault(status=503, body=b"<html><body>Service Unavailable</body></html>"),
        said="503: the server asks for fewer requests: run the same command again later, with fewer publishers beside it",
    ),
    "internal error": Trouble(
        fault=Fault(status=500, code="InternalError"),
        said="500 InternalError: the server failed: run the same command again",
    ),
    "another region": Trouble(
        fault=Fault(status=301, code="PermanentRedirect"),
        said="301 PermanentRedirect (2 attempts): the bucket is in another region or elsewhere: set AWS_DEFAULT_REGION, or AWS_ENDPOINT_URL_S3",
    ),
    "not implemented": Trouble(
        fault=Fault(status=501, code="NotImplemented"),
        said="501 NotImplemented: the server cannot do that: docs/publishing-to-s3.md says what it must be able to do",
    ),
    "archived": Trouble(
        fault=Fault(status=403, code="InvalidObjectState"),
        said="403 InvalidObjectState: the object is archived: restore it to a storage class that can be read",
    ),
    "a code that nobody knows": Trouble(
        fault=Fault(status=418, code="Teapot"),
        said=f"418 Teapot: Teapot it is.; {NOT_EMPTY}",
    ),
    "not found, says no S3 server": Trouble(
        fault=Fault(status=404, body=b"<html><body>nothing here</body></html>"),
        said="404: there is no such bucket: make it, or name another by --index",
    ),
    "reset": Trouble(
        fault=Fault(reset=True),
        said=f"ENDPOINT closed the connection without an answer; {NOT_EMPTY}",
    ),
    "cut short": Trouble(
        fault=Fault(status=200, body=b"<html>", headers={"ETag": '"0"'}, cut=True),
        said=f"the answer is cut short, at each attempt; {NOT_EMPTY}",
    ),
    "damaged": Trouble(
        fault=Fault(status=200, body=b"<html>", headers={"ETag": '"0"', "x-amz-checksum-sha256": "A" * 43 + "="}),
        of_ranges=False,
        said=f"the answer's bytes have not the checksum that it states, at each attempt; {NOT_EMPTY}",
    ),
    "nobody listens": Trouble(
        environment={"AWS_ENDPOINT_URL_S3": "http://user:the-token@127.0.0.1:1"},
        said=f"http://127.0.0.1:1 cannot be reached: Connection refused; {NOT_EMPTY}",
    ),
    "a token of the job's that is not there": Trouble(
        environment={
            "AWS_ACCESS_KEY_ID": "",
            "AWS_SECRET_ACCESS_KEY": "",
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/publisher",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token",
        },
        said=f"/nowhere/token cannot be read: No such file or directory; {NOT_EMPTY}",
    ),
    "a key that was pasted with its line's end": Trouble(
        environment={"AWS_ACCESS_KEY_ID": f"{KEY_ID}\n"},
        said=f"the access key or the session token holds a line break: {LOGIN}, without it; {NOT_EMPTY}",
    ),
    "a session token that was pasted with its line's end": Trouble(
        environment={"AWS_SESSION_TOKEN": "the-token\n"},
        said=f"the access key or the session token holds a line break: {LOGIN}, without it; {NOT_EMPTY}",
    ),
    "no credentials": Trouble(
        environment={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        said=f"boto3 finds no credentials: {LOGIN}; {NOT_EMPTY}",
    ),
}
