"""The store in an S3 bucket, AWS' or any compatible one's: conditional writes, and ETags as tokens.

Endpoint, region, profile and credentials are boto3's business: its variables, files and roles, nothing of ours.
"""

from __future__ import annotations

import base64
import hashlib
import random
import time
from contextlib import closing, contextmanager
from typing import IO, TYPE_CHECKING, Any, TypeVar

from tasks.core.errors import ServiceFailed
from tasks.core.storage import Absent, Changed, Condition, Head, IfMatch, Kind, Stored, Written
from tasks.stores.ranges import TAIL, open_ranges
from tasks.stores.s3_client import (
    BOTO_ERRORS,
    CUT_SHORT,
    HUNG_UP,
    ClientError,
    Patience,
    answer_of,
    attempts_of,
    bucket_and_prefix,
    fault,
    open_client,
)
from tasks.stores.s3_errors import CONFLICT, explained, is_unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

T = TypeVar("T")

_SMALL = 8 << 20
"""Bytes of a file that are held in memory while they are sent; a larger one is read as it goes."""
_CHUNK = 1 << 20


class S3Store:
    """An index in a bucket, under a prefix or at its top. A token is the object's ETag, in its quotes.

    Threads may share a store: it has one client with one pool of connections. Nothing is sent before the first
    operation.
    """

    def __init__(self, location: str, *, patience: Patience | None = None) -> None:
        self.bucket, self.prefix = bucket_and_prefix(location)
        self.location = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self._patience = patience or Patience()
        self._client = open_client(self.location, self._patience)
        self._pauses = self._patience.pauses[: attempts_of(self._client) - 1]
        self._md5_etags: bool | None = None
        self._bucket_seen = False

    @property
    def proof_key(self) -> str:
        """What a proof that the bucket honours conditions is remembered by: who serves it, and where in it."""
        where = f"{self._client.meta.endpoint_url} {self.bucket} {self.prefix}"
        return hashlib.sha256(where.encode()).hexdigest()[:16]

    def get(self, path: str) -> Stored | None:
        """Return an object's bytes and its ETag, by one request."""
        key = self._key(path)
        with self._failures("read", path):
            stored = self._patiently(lambda: self._get(key))
        if stored is not None and self._md5_etags is None:
            self._md5_etags = stored.token == _md5_etag(stored.data)
        return stored

    def head(self, path: str) -> Head | None:
        """Return an object's ETag and size, and its sha256 where the bucket keeps that."""
        key = self._key(path)
        with self._failures("read", path):
            return self._head(key)

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        """Put an object by one request, with its sha256, so that a server that knows checksums stores nothing else."""
        key = self._key(path)
        with self._failures("write", path, conditional=condition is not None), _opened(data) as (body, digest):
            if sha256 not in {None, digest.hex()}:
                raise ServiceFailed(f"{path} changed while it was published; nothing was written: run it again")
            answer = self._put(key, body, digest, kind, condition)
            if isinstance(answer, Written) and isinstance(body, bytes):
                self._md5_etags = answer.token == _md5_etag(body)
            return answer

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the objects' paths as the pages of the listing come; hidden names are no objects."""
        last = ""
        more: dict[str, Any] = {}
        while True:
            with self._failures("list", prefix):
                page = self._client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix + prefix, **more)
            for found in page.get("Contents", []):
                path = found["Key"].removeprefix(self.prefix)
                if path <= last:
                    raise ServiceFailed(f"cannot list {self._place(prefix)}: {path!r} comes after {last!r}, not sorted")
                last = path
                if not _is_hidden(path):
                    yield path
            if not page["IsTruncated"]:
                return
            if not page.get("NextContinuationToken"):
                raise ServiceFailed(f"cannot list {self._place(prefix)}: the listing breaks off after {last!r}")
            more = {"ContinuationToken": page["NextContinuationToken"]}

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO | None]:
        """Open an object as a file that is read in ranges; its last 64 KiB come with the opening, as one request."""
        key = self._key(path)
        with self._failures("read", path):
            found = self._patiently(lambda: self._tail(key))
        if found is None:
            yield None
            return
        tail, size, token = found

        def fetch(start: int, stop: int) -> bytes:
            with self._failures("read", path):
                return self._patiently(lambda: self._range(key, f"bytes={start}-{stop - 1}", token)[0])

        with open_ranges(size, fetch, tail) as file:
            yield file

    def token_of(self, data: bytes) -> str | None:
        """Return the MD5 in quotes, once the bucket has been seen to make ETags that way; else None."""
        return _md5_etag(data) if self._md5_etags else None

    def _get(self, key: str) -> Stored | None:
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if not self._is_absent(error):
                raise
            return None
        with closing(answer["Body"]) as body:
            return Stored(data=body.read(), token=answer["ETag"])

    def _head(self, key: str) -> Head | None:
        try:
            answer = self._client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if answer_of(error).status != 404:  # noqa: PLR2004 - HEAD has no body: the status is all there is
                raise
            if not self._bucket_seen:  # and the status is the same where there is no bucket
                self._client.head_bucket(Bucket=self.bucket)
                self._bucket_seen = True
            return None
        self._bucket_seen = True
        return Head(token=answer["ETag"], size=answer["ContentLength"], sha256=_sha256_of(answer))

    def _tail(self, key: str) -> tuple[bytes, int, str] | None:
        """Return the last bytes of an object, its size and its ETag."""
        try:
            data, size, token = self._range(key, f"bytes=-{TAIL}")
        except ClientError as error:
            if self._is_absent(error):
                return None
            if answer_of(error).code != "InvalidRange":  # of an empty object
                raise
        else:
            if len(data) == min(size, TAIL):  # some servers do not know a range that is longer than the object
                return data, size, token
        head = self._head(key)
        if head is None or not head.size:
            return (b"", 0, head.token) if head else None
        return self._range(key, f"bytes={max(0, head.size - TAIL)}-{head.size - 1}", head.token)

    def _range(self, key: str, wanted: str, token: str | None = None) -> tuple[bytes, int, str]:
        """Return some bytes of an object, its size and its ETag; an object that is another by now is an error."""
        same: dict[str, Any] = {"IfMatch": token} if token else {}
        answer = self._client.get_object(Bucket=self.bucket, Key=key, Range=wanted, **same)
        with closing(answer["Body"]) as body:
            data = body.read()
        size = answer.get("ContentRange", "").rpartition("/")[2]
        if not size and token:
            raise ServiceFailed(f"cannot read s3://{self.bucket}/{key}: the server sends the whole, not {wanted}")
        return data[-TAIL:] if not size else data, int(size or len(data)), answer["ETag"]

    def _put(
        self, key: str, body: bytes | IO[bytes], digest: bytes, kind: Kind, condition: Condition
    ) -> Written | Changed:
        conditions: dict[str, Any] = {"IfNoneMatch": "*"} if isinstance(condition, Absent) else {}
        if isinstance(condition, IfMatch):
            conditions = {"IfMatch": condition.token}
        pauses, repeated = iter(self._pauses), False
        while True:
            try:
                answer = self._client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ContentType=kind.content_type,
                    CacheControl=kind.cache_control,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=base64.b64encode(digest).decode(),
                    **conditions,
                )
            except ClientError as error:
                repeated = repeated or answer_of(error).attempts > 1
                pause = next(pauses, None)
                if answer_of(error).code == CONFLICT and pause is not None:
                    _rest(pause)
                    if not isinstance(body, bytes):
                        body.seek(0)
                elif condition is not None and is_unmet(answer_of(error)):
                    # A put whose answer was lost has been repeated by botocore, and then met its own work.
                    ours = self._token_if(key, digest) if repeated else None
                    return Changed() if ours is None else Written(ours)
                else:
                    raise
            except HUNG_UP:
                # A server that does not want a large file may hang up while it is sent, and never be heard.
                if isinstance(body, bytes) or not isinstance(condition, Absent) or self._head(key) is None:
                    raise
                ours = self._token_if(key, digest)
                return Changed() if ours is None else Written(ours)
            else:
                return Written(answer["ETag"])

    def _token_if(self, key: str, digest: bytes) -> str | None:
        """Return the ETag of an object if its bytes have that sha256."""
        head = self._head(key)
        if head is None or head.sha256 not in {None, digest.hex()}:
            return None
        found = head.sha256 or self._patiently(lambda: self._digest(key, head.token))
        return head.token if found == digest.hex() else None

    def _digest(self, key: str, token: str) -> str:
        """Return an object's sha256 from its bytes; they are not held in memory."""
        answer = self._client.get_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED", IfMatch=token)
        with closing(answer["Body"]) as body:
            digest = hashlib.sha256()
            for chunk in body.iter_chunks(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def _patiently(self, read: Callable[[], T]) -> T:
        """Read again what was cut short: botocore repeats requests, but not the reading of what they answer."""
        for pause in self._pauses:
            try:
                return read()
            except CUT_SHORT:
                _rest(pause)
        return read()

    def _is_absent(self, error: ClientError) -> bool:
        """Whether there is a bucket, and no such object in it."""
        absent = answer_of(error).code == "NoSuchKey"
        self._bucket_seen = self._bucket_seen or absent
        return absent

    def _key(self, path: str) -> str:
        if any(not part or part.startswith(".") or "\\" in part or "\0" in part for part in path.split("/")):
            raise ValueError(f"{path!r} is no path in an index")
        return self.prefix + path

    @contextmanager
    def _failures(self, verb: str, path: str, *, conditional: bool = False) -> Iterator[None]:
        """Turn what boto3 raises into one message that says what to do."""
        try:
            yield
        except ClientError as error:
            raise explained(answer_of(error), verb, self._place(path), conditional=conditional) from error
        except BOTO_ERRORS as error:
            raise fault(error, verb, self._place(path), self._client, self._patience) from error

    def _place(self, path: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{path}"


@contextmanager
def _opened(data: bytes | Path) -> Iterator[tuple[bytes | IO[bytes], bytes]]:
    """Give what is to be sent, and its sha256; large files are left where they are."""
    if isinstance(data, bytes):
        yield data, hashlib.sha256(data).digest()
        return
    with data.open("rb") as file:
        if data.stat().st_size <= _SMALL:
            content = file.read()
            yield content, hashlib.sha256(content).digest()
            return
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        yield file, digest


def _md5_etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _sha256_of(head: HeadObjectOutputTypeDef) -> str | None:
    """Return the sha256 that the store keeps, if it is the whole object's and not one of its parts' checksums."""
    kept = head.get("ChecksumSHA256", "")
    if not kept or "-" in kept or head.get("ChecksumType") == "COMPOSITE":
        return None
    return base64.b64decode(kept).hex()


def _is_hidden(path: str) -> bool:
    """Whether it is no path in an index, as folder markers and other tools' notes are."""
    return any(not part or part.startswith(".") for part in path.split("/"))


def _rest(pause: float) -> None:
    time.sleep(random.uniform(0, pause))  # noqa: S311 - publishers that met once are not to meet again
