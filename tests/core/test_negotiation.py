from __future__ import annotations

import pytest

from tasks.core.negotiation import negotiate

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
PLAIN = "text/html"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, PLAIN),
        ("", PLAIN),
        ("*/*", PLAIN),
        (JSON, JSON),
        (HTML, HTML),
        ("text/html", PLAIN),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.latest+html", HTML),
        (f"{JSON}, {HTML}; q=0.1, text/html; q=0.01", JSON),  # pip
        (f"{JSON}, {HTML};q=0.2, text/html;q=0.01", JSON),  # uv
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", PLAIN),  # browsers
        (f"{JSON};q=0.1, {HTML};q=0.9", HTML),
        (f"{JSON.upper()} ; Q=1", JSON),
        (f"{JSON}, {HTML}", JSON),
        (f"{JSON}, */*", JSON),
        (f"{JSON};q=0, */*", PLAIN),
        (f"text/html;q=0, {HTML};q=0, */*;q=0.1", JSON),
        ("application/*", JSON),
        ("text/*", PLAIN),
        ("application/vnd.pypi.simple.v2+json", None),
        ("image/png", None),
        ("*/*;q=0", None),
        (f"{JSON};q=nonsense", None),
        (f"{JSON};q=7", None),
    ],
)
def test_the_accept_header_decides(accept: str | None, chosen: str | None) -> None:
    assert negotiate(accept) == chosen


@pytest.mark.parametrize(
    ("requested", "chosen"),
    [(JSON, JSON), ("application/vnd.pypi.simple.latest+html", HTML), (PLAIN, PLAIN), ("json", None), ("", None)],
)
def test_the_format_in_the_address_is_stronger(requested: str, chosen: str | None) -> None:
    assert negotiate("image/png", requested) == chosen
