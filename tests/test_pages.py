from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from tasks.core.index import ProjectPage
from tasks.core.index_file import IndexFile
from tasks.core.project_list import ListedProject, ProjectList
from tasks.core.settings import Settings, Status
from tasks.pages import Pages

DEMO = canonicalize_name("demo")


class Links(HTMLParser):
    """Collects each link's attributes, its text under the empty key; ``metas`` and ``other_tags`` besides."""

    def __init__(self, document: bytes) -> None:
        super().__init__()
        self.links: list[dict[str, str | None]] = []
        self.metas: dict[str, str | None] = {}
        self.all_metas: list[tuple[str | None, str | None]] = []
        self.tags: list[str] = []
        self.inside = False
        self.feed(document.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        if tag == "a":
            self.inside = True
            self.links.append({**found, "": ""})
        if tag == "meta" and (name := found.get("name") or found.get("http-equiv")):
            self.metas[name] = found.get("content")
            self.all_metas.append((name, found.get("content")))

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "a"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.links[-1][""] = f"{self.links[-1]['']}{data}"


def read_page(document: bytes) -> list[IndexFile]:
    """Read a PEP 503 page as an installer does."""
    files = []
    for link in Links(document).links:
        url, _, fragment = (link["href"] or "").partition("#")
        assert unquote(url) == f"../../packages/{link['']}"
        metadata = link.get("data-core-metadata")
        assert link.get("data-dist-info-metadata") == metadata
        files.append(
            IndexFile(
                filename=link[""] or "",
                sha256=fragment.removeprefix("sha256="),
                requires_python=link.get("data-requires-python"),
                core_metadata=metadata.removeprefix("sha256=") if metadata else None,
                yanked=link.get("data-yanked"),
            )
        )
    return files


NASTY = '<script>alert("1")</script>&\''
PAGE = ProjectPage(name=DEMO).merged(
    [
        IndexFile(
            filename="demo-1.0-py3-none-any.whl", sha256="a" * 64, requires_python=">=3.9,<4", core_metadata="b" * 64
        ),
        IndexFile(filename="demo-1.1+cu1-py3-none-any.whl", sha256="c" * 64, yanked=""),
        IndexFile(filename="demo-1.2-py3-none-any.whl", sha256="d" * 64, yanked=NASTY, requires_python=NASTY),
    ]
)


def test_html_and_json_of_a_page_say_the_same() -> None:
    state = ProjectPage.from_json(PAGE.to_json(), "page")

    assert read_page(Pages().project(PAGE)) == list(state.files)


def test_a_page_names_its_version_and_ends_with_its_serial() -> None:
    document = Pages().project(PAGE)

    assert Links(document).metas["pypi:repository-version"] == "1.4"
    assert document.endswith(b"</html>\n<!--SERIAL 1-->\n")


def test_nothing_in_a_page_becomes_markup() -> None:
    assert b"<script" not in Pages().project(PAGE)
    odd = IndexFile(filename=NASTY, sha256="a" * 64, url=NASTY)
    assert b"<script" not in Pages().project(ProjectPage(name=DEMO, files=(odd,)))
    nasty = ProjectList(projects=(ListedProject(name=canonicalize_name(NASTY), newest=NASTY),))
    assert b"<script" not in Pages().projects(nasty)
    assert "script" not in Links(Pages().home(nasty)).tags


def metas(document: bytes) -> list[tuple[str | None, str | None]]:
    return [(name, content) for name, content in Links(document).all_metas if (name or "").startswith("pypi:")]


def test_what_is_set_is_in_metas_as_the_peps_name_them() -> None:
    settings = Settings(
        status=Status(state="archived", reason=NASTY),
        tracks=("https://upstream.test/demo/",),
        alternate_locations=("https://a.test/demo/", "https://b.test/demo/"),
    )

    assert metas(Pages().project(PAGE.set(settings))) == [
        ("pypi:repository-version", "1.4"),
        ("pypi:project-status", "archived"),
        ("pypi:project-status-reason", NASTY),
        ("pypi:tracks", "https://upstream.test/demo/"),
        ("pypi:alternate-locations", "https://a.test/demo/"),
        ("pypi:alternate-locations", "https://b.test/demo/"),
    ]
    assert metas(Pages().project(PAGE)) == [("pypi:repository-version", "1.4")]


def test_a_quarantined_project_has_no_links() -> None:
    assert Links(Pages().project(PAGE.set(Settings(status=Status(state="quarantined"))))).links == []


def test_a_link_names_the_attestations_where_the_index_has_an_address() -> None:
    attested = PAGE.merged([IndexFile(filename="demo-2.0-py3-none-any.whl", sha256="e" * 64, attested=True)])

    with_address = Links(Pages().project(attested.set(Settings(index_url="https://wheels.test/")))).links
    without = Links(Pages().project(attested)).links

    assert [link.get("data-provenance") for link in with_address] == [
        None,
        None,
        None,
        "https://wheels.test/packages/demo-2.0-py3-none-any.whl.provenance",
    ]
    assert all("data-provenance" not in link for link in without)


def test_the_list_links_to_each_project() -> None:
    listed = ProjectList().merged([PAGE, ProjectPage(name=canonicalize_name("Other.One"), serial=1)])

    links = Links(Pages().projects(listed)).links
    assert links == [{"href": "demo/", "": "demo"}, {"href": "other-one/", "": "other-one"}]


def test_the_home_page_shows_each_project_with_its_newest_version() -> None:
    document = Pages().home(ProjectList().merged([PAGE]))

    assert {"href": "simple/demo/index.html", "": "demo"} in Links(document).links
    assert b"<td>1.0</td>" in document, "1.1 and 1.2 are yanked"


def test_the_home_page_of_an_empty_index_says_so() -> None:
    assert b"Nothing is published yet." in Pages().home(ProjectList())


def test_the_home_page_allows_itself_nothing_but_its_own_style() -> None:
    policy = Links(Pages().home(ProjectList())).metas["Content-Security-Policy"]

    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_equal_states_give_equal_bytes_and_another_serial_other_ones() -> None:
    listed = ProjectList(serial=1)

    assert Pages().home(listed) == Pages().home(ProjectList(serial=1))
    assert Pages().home(listed) != Pages().home(ProjectList(serial=2))
    assert Pages().projects(listed) != Pages().projects(ProjectList(serial=2))
