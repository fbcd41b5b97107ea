"""The short way through an HTML page gives what ``html.parser`` gives, whatever the page is."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.simple_html import Link, read_html

SHA = "d76623373421df22fb4cf8817020cbb7ef15c725b9d5e45f17e189bfc384190f"
PAGE = "https://pkgs.example/simple/foo/"
ANCHOR = f'<a href="https://files.example/a/foo-1.0.tar.gz#sha256={SHA}" data-requires-python="&gt;=3.8">foo-1.0.tar.gz</a><br/>\n'
WHEEL = '<a href="../../w/foo-1.0-py3-none-any.whl" rel="internal" data-yanked="a &amp; b" data-upload-time="2026-11-12T12:26:43Z">x</a>'

# What pages are made of, and what could make an anchor look like one where it is none, or hide one.
PIECES = st.sampled_from(
    [
        ANCHOR,
        WHEEL,
        ANCHOR.replace("https:", "HTTPS:"),
        ANCHOR.replace("#sha256", "#md5"),
        ANCHOR.replace("foo-1.0.tar.gz#", "foo-1.0.tar.gz?token=a/b-1.0.zip#"),
        ANCHOR.replace(SHA, SHA.upper()),
        ANCHOR.replace("</a>", "</a >"),
        ANCHOR.replace("&gt;", "&gt"),
        ANCHOR.replace("&gt;=3.8", "&not;in"),
        ANCHOR.replace('"', "'"),
        ANCHOR.replace("/a/foo", "/a/f%6Fo"),
        ANCHOR.replace("https://files.example/a/", "https://"),
        ANCHOR.replace("https://files.example/a/", "//"),
        ANCHOR.replace("https://files.example/a/", "https://me:pw@files.example/"),
        WHEEL.replace(' data-yanked="a &amp; b"', " data-yanked"),
        WHEEL.replace(' data-yanked="a &amp; b"', ' data-yanked="1" data-yanked="2"'),
        "<!DOCTYPE html>\n<html><body>\n",
        '<meta name="pypi:repository-version" content="1.1">',
        '<base href="https://cdn.example/x/">',
        "<title>Links</title>",
        "<title>",
        "<textarea>",
        "</textarea>",
        "<!--",
        "-->",
        "<!",
        "<?",
        "<![CDATA[",
        "]]>",
        "<script>",
        "</script>",
        "<style>",
        "<plaintext>",
        "<a title='",
        "'>",
        '<p title="',
        '">',
        "<a",
        "<",
        "</",
        ">",
        "&",
        "&am",
        " \n",
        "text",
        "</body></html>\n",
    ]
)


class Reference(HTMLParser):
    """All that a page's anchors say."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.version: str | None = None
        self.anchors: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.anchors.append(dict(attrs))
        if tag == "base" and not self.base:
            self.base = dict(attrs).get("href") or ""
        if tag == "meta" and dict(attrs).get("name") == "pypi:repository-version":
            self.version = dict(attrs).get("content") or ""


def expected(text: str) -> tuple[list[Link], str | None, bool]:
    """What ``html.parser`` makes of a page, which is fed to it whole."""
    parser = Reference()
    parser.feed(text)
    links = []
    for anchor in parser.anchors:
        url, _, fragment = (anchor.get("href") or "").strip().partition("#")
        if url:
            links.append(
                Link(
                    urljoin(parser.base, url) if parser.base else url,
                    None,
                    fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None,
                    anchor.get("data-requires-python"),
                    (anchor["data-yanked"] or "") if "data-yanked" in anchor else None,
                    anchor.get("data-upload-time"),
                )
            )
    return links, parser.version, parser.rawdata.startswith("<")


def agrees(text: str) -> None:
    links, version, truncated = read_html(text)
    assert ([link._replace(filename=None) for link in links], version, truncated) == expected(text)
    for link in links:
        if link.filename is not None:
            assert link.filename == unquote(urlsplit(urljoin(PAGE, link.url)).path.rpartition("/")[2])


@settings(deadline=None, max_examples=400)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_page_is_read_as_html_parser_reads_it(text: str) -> None:
    agrees(text)


@settings(deadline=None, max_examples=200)
@given(
    href=st.text(st.sampled_from("af1-./:?#%;&@~+[]\\\t é\"'<>"), max_size=12),
    value=st.text(st.sampled_from("a>=<3.&;lt#39\"' \n"), max_size=8),
    between=st.text(st.sampled_from("<>ab/r! -\n&;"), max_size=6),
)
def test_any_anchor_is_read_as_html_parser_reads_it(href: str, value: str, between: str) -> None:
    anchor = f'<a href="{href}" data-requires-python="{value}" data-yanked="{value}">foo</a>{between}'
    agrees(ANCHOR + anchor + WHEEL)
    agrees(ANCHOR + WHEEL.replace("../../w/foo", f"{href}/foo") + ANCHOR)
    agrees(WHEEL.replace("foo-1.0-py3-none-any.whl", f"{href}.whl") + ANCHOR)


@pytest.mark.parametrize("anchor", [ANCHOR, WHEEL])
def test_the_usual_anchors_go_the_short_way(anchor: str) -> None:
    """Whose names the expression has found: a page of thousands takes a tenth of the time."""
    page = read_html(f"<!DOCTYPE html>\n<html><body>\n{anchor * 3}</body></html>\n")
    assert [link.filename is not None for link in page.links] == [True] * 3


def test_one_odd_anchor_does_not_lead_the_others_astray() -> None:
    page = read_html(ANCHOR + '<a href="foo-2.0.zip#md5=0">x</a>' + WHEEL)
    assert [link.filename for link in page.links] == ["foo-1.0.tar.gz", None, "foo-1.0-py3-none-any.whl"]
    assert page.links[1].url == "foo-2.0.zip"


def test_a_quote_that_is_left_open_may_swallow_the_next_anchor() -> None:
    """As ``html.parser`` has it: found by the properties above, which seldom find it."""
    text = f'{ANCHOR}<a href="" data-requires-python="""=" data-yanked="""=">foo</a>{WHEEL}'
    agrees(text)
    assert len(read_html(text).links) == 1
