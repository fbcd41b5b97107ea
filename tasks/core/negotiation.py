"""Which form of a simple page a client is given (PEP 691, RFC 9110 section 12.5.1)."""

from __future__ import annotations

from tasks.core.index import HTML_TYPE, JSON_TYPE

PLAIN_HTML = "text/html"
OFFERED = (HTML_TYPE, JSON_TYPE, PLAIN_HTML)
"""What every simple page can be served as."""

# PEP 691: "the latest version of the API"; which is the one we have.
_LATEST = {
    "application/vnd.pypi.simple.latest+json": JSON_TYPE,
    "application/vnd.pypi.simple.latest+html": HTML_TYPE,
}
_EXACT = 2  # how specific a range is that names one media type


def negotiate(accept: str | None, requested: str | None = None) -> str | None:
    """Choose a content type by the ``Accept`` header, or by ``?format=``, which is stronger; None: 406.

    A missing header accepts anything. At equal quality a type that is named comes before one that is merely covered.
    Among named ones JSON is first; who names none, as browsers and the oldest installers do, gets plain HTML.
    """
    if requested is not None:
        wanted = _LATEST.get(requested, requested)
        return wanted if wanted in OFFERED else None
    ranges = _parse(accept) if accept and accept.strip() else [("*/*", 1.0)]
    ranked = [(_rank(offered, ranges), offered) for offered in OFFERED]
    (quality, _, _), chosen = max(ranked)
    return chosen if quality > 0 else None


def _rank(offered: str, ranges: list[tuple[str, float]]) -> tuple[float, int, int]:
    quality, specificity = _quality(offered, ranges)
    order = (PLAIN_HTML, HTML_TYPE, JSON_TYPE) if specificity == _EXACT else (HTML_TYPE, JSON_TYPE, PLAIN_HTML)
    return quality, specificity, order.index(offered)


def _quality(offered: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """Return the quality that the most specific matching range gives, and how specific that range is."""
    group = offered.partition("/")[0] + "/*"
    for specificity, wanted in ((_EXACT, offered), (1, group), (0, "*/*")):
        qualities = [quality for media, quality in ranges if media == wanted]
        if qualities:
            return max(qualities), specificity
    return 0.0, 0


def _parse(accept: str) -> list[tuple[str, float]]:
    ranges = []
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                quality = _number(value.strip())
        if media:
            ranges.append((_LATEST.get(media, media), quality))
    return ranges


def _number(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0  # what cannot be read is not accepted, rather than preferred
    return quality if 0 <= quality <= 1 else 0.0
