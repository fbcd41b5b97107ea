from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks import build, components, plan, publish
from tests.monorepos import ROOT, copy_example, write
from tests.publishes import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

OUT = Path("dist/components")
SLUG = "acme_text_slug-1.4.0-py3-none-any.whl"
REFUSAL = (
    f"error: {ROOT}/acme/text/slug: {SLUG} is published, and was built of other sources or by other tools; "
    "raise the version\n"
)
FAILED = "1 component: 0 built, 0 unchanged, 1 failed\n"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the example, and publish its wheels."""
    folder = tmp_path_factory.mktemp("published")
    copy_example(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SPARE_TIRE_INDEX", "SPARE_TIRE_MATRIX", "SOURCE_DATE_EPOCH"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        assert components.main(["build", "--quiet"]) == 0
        assert publish.main([*map(str, sorted(OUT.iterdir())), "--quiet"]) == 0
    return folder


@pytest.fixture
def here(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a monorepo where nothing was built, whose matrix names the index that has all of it."""
    copy_example(tmp_path)
    index = os.path.relpath(published / "dist/index", tmp_path)
    write(tmp_path, {"wheel_matrix.yml": f"index: {index}\n" + (tmp_path / "wheel_matrix.yml").read_text()})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(here: Path) -> None:
    path = here / ROOT / "acme/text/slug/__init__.py"
    path.write_text(path.read_text() + "\nMORE = 1\n")


def test_pip_installs_from_the_published_index_the_code_that_the_pex_runs(published: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    index = (published / "dist/index/simple").as_uri()
    options = ["--quiet", "--no-compile", f"--extra-index-url={index}", "acme.tools.release==1.4.0"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", f"--python={tmp_path / 'venv/bin/python'}"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([*pip, "install", *options], env=env, check=True, capture_output=True)
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    sources = published / ROOT
    installed = {path.relative_to(site): digest(path) for path in (site / "acme").rglob("*") if path.is_file()}
    kept = [path for path in (sources / "acme").rglob("*") if path.suffix in {".py", ".md"}]
    assert installed == {path.relative_to(sources): digest(path) for path in kept}
    pex = [sys.executable, published / OUT / "acme.tools.release" / "newest-version.pex"]
    home = {**environment(), "HOME": str(tmp_path), "PEX_ROOT": str(tmp_path / "pex")}
    home.pop("PYTHONPATH")
    outputs = [
        subprocess.run([*program, "9.0", "10.0"], env=home, check=True, capture_output=True, text=True).stdout
        for program in ([tmp_path / "venv/bin/newest-version"], pex)
    ]
    assert outputs == ["10.0\n", "10.0\n"]


def test_components_go_through_plan_build_and_publish_like_any_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_example(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert plan.main(["--quiet"]) == 0
    assert build.main(["--quiet"]) == 0
    assert publish.main(["--quiet"]) == 0
    wheels = {path.name: digest(path) for path in Path("dist/wheels").iterdir()}
    assert len(wheels) == 4
    record = json.loads(Path(f"dist/records/{SLUG}.json").read_bytes())
    (source,) = record["predicate"]["buildDefinition"]["resolvedDependencies"][:1]
    assert source["uri"] == "file:plan.sources/acme_text_slug-1.4.0.tar.gz"
    assert plan.main(["--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["actions"] == []
    # What `components -- build` makes of the same sources is the same to the byte, so the two never refuse each other.
    assert components.main(["build", "--quiet"]) == 0
    assert {path.name: digest(path) for path in OUT.rglob("*.whl")} == wheels


def test_of_a_changed_component_the_dependants_are_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_example(tmp_path)
    monkeypatch.chdir(tmp_path)
    only = ["--package", "acme.text.slug", "--package", "acme.release.notes", "--package", "acme.release.version"]
    for made in ("built", "kept"):
        assert plan.main(["--quiet", *only]) == 0
        assert build.main(["--quiet", "--json"]) == 0
        assert {each["outcome"] for each in json.loads(capsys.readouterr().out)["actions"]} == {made}
    change(tmp_path)
    assert plan.main(["--quiet", *only]) == 0
    assert build.main(["--quiet", "--json"]) == 0
    done = {each["package"]: each["outcome"] for each in json.loads(capsys.readouterr().out)["actions"]}
    assert done == {"acme.release.notes": "built", "acme.release.version": "kept", "acme.text.slug": "built"}


def test_what_is_published_may_be_built_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert components.main(["build", f"{ROOT}/acme/text"]) == 0
    assert capsys.readouterr().err == "1 component: 1 built, 0 unchanged, 0 failed\n"
    assert (here / OUT / "acme.text.slug" / SLUG).is_file()


def test_changed_sources_under_a_published_version_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(here)
    assert components.main(["build", f"{ROOT}/acme/release/notes"]) == 4
    assert capsys.readouterr().err == (
        f"{REFUSAL}error: acme.release.notes: not built, since acme.text.slug failed, which it requires\n"
        "2 components: 0 built, 0 unchanged, 2 failed\n"
    )
    assert list((here / OUT).iterdir()) == []
    write(here, {".version": "1.4.1\n"})
    assert components.main(["build", f"{ROOT}/acme/text"]) == 0


def test_a_refusal_hides_no_failure(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(here)
    path = here / ROOT / "acme/release/version/BUILD"
    text = path.read_text().replace("  dependencies = [", "  dependencies = [':_data',")
    write(here, {str(path): f"{text}\nresources(name = '_data', sources = globs('*.pyc'))\n"})
    write(path.parent, {"table.pyc": b"1"})
    assert components.main(["build", "--json", f"{ROOT}/acme/text", f"{ROOT}/acme/release/version"]) == 4
    out, err = capsys.readouterr()
    assert json.loads(out) == {"components": [], "failed": ["acme.release.version", "acme.text.slug"]}
    assert err == (
        f"{REFUSAL}error: acme.release.version: acme_release_version-1.4.0-py3-none-any.whl lacks "
        "acme/release/version/table.pyc, which is in the sources\n"
        "2 components: 0 built, 0 unchanged, 2 failed\n"
    )


def test_the_index_is_chosen_as_everywhere(
    here: Path, published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change(here)
    assert components.main(["build", f"{ROOT}/acme/text", "--index=empty"]) == 0
    (here / OUT).rename(here / "before")
    capsys.readouterr()
    monkeypatch.setenv("SPARE_TIRE_INDEX", str(published / "dist/index"))
    assert components.main(["build", f"{ROOT}/acme/text"]) == 4
    assert capsys.readouterr().err == REFUSAL + FAILED


def test_an_index_is_read_over_http(here: Path, published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(here)
    with serving(published / "dist/index") as url:
        assert components.main(["build", f"{ROOT}/acme/text", f"--index={url}"]) == 4
    assert capsys.readouterr().err == REFUSAL + FAILED
    with serving(published) as url:
        assert components.main(["build", f"{ROOT}/acme/text", f"--index={url}"]) == 3


def test_an_index_of_another_tool_tells_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {"other/simple/index.html": '<a href="demo/">demo</a>'})
    with serving(here / "other") as url:
        assert components.main(["build", f"{ROOT}/acme/text", f"--index={url}"]) == 2
    assert capsys.readouterr().err == (
        f"error: {url}simple/index.json: there is no such page; name an index of spare-tire's, or have publish -- --rebuild make one\n"
    )


def test_a_directory_of_another_tools_wheels_tells_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {"other/packages/demo-1.0-py3-none-any.whl": "a wheel"})
    assert components.main(["build", f"{ROOT}/acme/text", "--index=other"]) == 2
    assert capsys.readouterr().err == (
        "error: other/simple/index.json: there is no such page; name an index of spare-tire's, or have publish -- --rebuild make one\n"
    )


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
