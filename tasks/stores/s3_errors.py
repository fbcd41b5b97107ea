"""What goes wrong with a bucket, in words: what was found and what to do. None of it ever means that nothing is there.

Codes are those of the S3 API's "List of error codes"; servers that speak it use the same. Answers to HEAD have no body,
so their code is the status.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.core.addresses import without_credentials
from tasks.core.errors import ServiceFailed, Unreadable

_NOT_EMPTY = "this is not taken for an empty index"
_CREDENTIALS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile, and that they are this endpoint's"

NEEDED = {
    "read": "s3:GetObject and s3:ListBucket (without the latter S3 answers the same of what is not there)",
    "write": "s3:PutObject",
    "list": "s3:ListBucket",
}
"""What the policy has to allow, by what was to be done."""


class Unconditional(ServiceFailed):
    """The server says that it does not know conditional writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that is an error."""

    status: int
    code: str
    """``NoSuchKey`` and its like."""
    message: str = ""
    """The server's own words."""
    attempts: int = 1

    @property
    def line(self) -> str:
        """The answer for messages: ``503 SlowDown``."""
        return self.code if self.code == str(self.status) else f"{self.status} {self.code}"


_OF_STATUS = {
    "301": "PermanentRedirect",
    "403": "AccessDenied",
    "404": "NoSuchBucket",  # of HEAD on a bucket: that an object is not there is no error
    "500": "InternalError",
    "501": "NotImplemented",
    "503": "SlowDown",
}

_ALIASES = {
    "AllAccessDisabled": "AccessDenied",
    "AuthorizationHeaderMalformed": "PermanentRedirect",
    "BandwidthLimitExceeded": "SlowDown",
    "ExpiredTokenException": "ExpiredToken",
    "Forbidden": "AccessDenied",
    "IllegalLocationConstraintException": "PermanentRedirect",
    "InvalidToken": "ExpiredToken",
    "RequestExpired": "RequestTimeTooSkewed",
    "RequestLimitExceeded": "SlowDown",
    "RequestThrottled": "SlowDown",
    "ServiceUnavailable": "SlowDown",
    "TemporaryRedirect": "PermanentRedirect",
    "Throttling": "SlowDown",
    "ThrottlingException": "SlowDown",
    "TokenRefreshRequired": "ExpiredToken",
    "TooManyRequests": "SlowDown",
    "XAmzContentChecksumMismatch": "BadDigest",
    "XAmzContentSHA256Mismatch": "BadDigest",
}

_ADVICE = {
    "BadDigest": "the server received other bytes than were sent, and wrote nothing: run the same command again",
    "ConditionalRequestConflict": "others are writing it at this moment: run the same command again",
    "EntityTooLarge": "the server takes no object of this size in one put",
    "ExpiredToken": "the session's credentials have expired or are not valid: get new ones and run it again",
    "InternalError": "the server failed: run the same command again",
    "InvalidAccessKeyId": f"the server does not know the access key: {_CREDENTIALS}",
    "NoSuchBucket": "there is no such bucket: make it, or name another by --index",
    "NotImplemented": "the server cannot do that: docs/publishing-to-s3.md says what it must be able to do",
    "PermanentRedirect": "the bucket is in another region or elsewhere: set AWS_DEFAULT_REGION, or AWS_ENDPOINT_URL_S3",
    "RequestTimeTooSkewed": "the server's clock and this machine's differ too much: set this machine's clock",
    "SignatureDoesNotMatch": f"the signature does not fit the access key: {_CREDENTIALS}",
    "SlowDown": "the server asks for fewer requests: run the same command again later, with fewer publishers beside it",
}


CONFLICT = "ConditionalRequestConflict"
"""Somebody else was writing the object at this moment, and who was first is not known yet: ask again."""


def is_unmet(answer: Answer) -> bool:
    """Whether a conditional put was not done because its condition did not hold; without an object no ETag does."""
    return answer.code in {"PreconditionFailed", "412"} or answer.code == "NoSuchKey"


def code_of(answer: Answer) -> str:
    """Return the answer's code, one for each kind of trouble."""
    code = _OF_STATUS.get(answer.code, answer.code)
    return _ALIASES.get(code, code)


def explained(answer: Answer, verb: str, place: str, *, conditional: bool = False) -> ServiceFailed:
    """Return the error for an answer to what was to be done (``read``, ``write``, ``list``) at a place."""
    code = code_of(answer)
    again = f" ({answer.attempts} attempts)" if answer.attempts > 1 else ""
    found = f"cannot {verb} {place}: {answer.line}{again}"
    if code == "AccessDenied":
        kind = Unreadable if verb == "read" else ServiceFailed
        return kind(f"{found}: access is denied; {_NOT_EMPTY}: grant {NEEDED[verb]}")
    if code == "NotImplemented" and conditional:
        return Unconditional(f"{found}: the server knows no conditional writes: see docs/publishing-to-s3.md")
    if code == "PreconditionFailed" and verb == "read":
        return ServiceFailed(f"cannot read {place}: it was replaced while it was read: run the same command again")
    if code == "InvalidObjectState":
        return Unreadable(f"{found}: the object is archived: restore it to a storage class that can be read")
    if code in _ADVICE:
        return ServiceFailed(f"{found}: {_ADVICE[code]}")
    words = f": {without_credentials(answer.message)}" if answer.message else ""
    return ServiceFailed(f"{found}{words}; {_NOT_EMPTY}")
