"""What a wheel or its build requires and only we have: of ``dist``, of our index, or of this very visit."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.build import main as build
from tasks.core.index import ProjectPage
from tasks.core.index_file import IndexFile
from tasks.core.plan import Plan
from tasks.core.project_list import ProjectList
from tasks.core.settings import QUARANTINED, Settings, Status
from tests.builds import wheel_name
from tests.services.web_server import Reply, web_server
from tests.test_build_requirements import Factory, factory_in
from tests.workers.helper_jobs import write_wheel

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

EGGS = "eggs-1.0-py3-none-any.whl"


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    return factory_in(tmp_path, monkeypatch)


def serve(version: str = "1.0", *, settings: Settings | None = None, **changes: Any) -> str:  # noqa: ANN401 - fields of any kind
    """Put a wheel of eggs on our index, beside those that it has; return the wheel's digest."""
    packages, page = Path("ours/packages"), Path("ours/simple/eggs/index.json")
    for folder in (packages, page.parent):
        folder.mkdir(parents=True, exist_ok=True)
    wheel = write_wheel(packages, "eggs", version)
    digest = sha256(wheel.read_bytes()).hexdigest()
    name: NormalizedName = "eggs"  # type: ignore[assignment]
    old = ProjectPage.from_json(page.read_bytes(), "eggs") if page.exists() else ProjectPage(name=name)
    file = IndexFile(**{"filename": wheel.name, "sha256": digest, **changes})
    made = ProjectPage(name=name, files=(*old.files, file), settings=settings or Settings())
    page.write_bytes(made.to_json())
    Path("ours/simple/index.json").write_bytes(ProjectList().merged([made]).to_json())
    return digest


def kept() -> list[str]:
    return sorted(path.name for path in Path("dist").glob("wheels/*"))


def install_of(name: str) -> str:
    """What the record says of a wheel's installation."""
    record = json.loads(Path(f"dist/records/{wheel_name(name)}.json").read_bytes())
    checks = next(each for each in record["predicate"]["runDetails"]["byproducts"] if each["name"] == "checks")
    return str(next(each["detail"] for each in checks["annotations"]["checks"] if each["name"] == "install"))


def said_by_helper(factory: Factory, name: str) -> list[str]:
    return [line for line in factory.log(name) if line.startswith(("spare-tire: building", "spare-tire: checking"))]


# ── What a wheel requires ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wheel_that_a_former_run_made_is_what_a_new_one_requires(factory: Factory) -> None:
    factory.publish("eggs", pure=False)
    factory.publish("spam", runtime="eggs>=1", pure=False)
    assert factory.run({"eggs": ["latest"]}) == 0

    assert factory.run({"spam": ["latest"]}) == 0

    assert install_of("spam") == f"{wheel_name('spam')}, with {wheel_name('eggs')}"
    ending = f" has no wheel on the public index; taking {wheel_name('eggs')} of ours"
    assert (
        len([line for line in factory.log("spam") if line.startswith("spare-tire: eggs") and line.endswith(ending)])
        == 1
    )
    assert said_by_helper(factory, "spam") == [
        "spare-tire: building spam 1.0",
        f"spare-tire: checking {wheel_name('spam')}",
        f"spare-tire: checking {wheel_name('spam')}",
    ]


def test_what_the_same_visit_makes_is_waited_for_and_built_once(factory: Factory) -> None:
    factory.publish("eggs", pure=False)
    factory.publish("spam", runtime="eggs", files={"large.txt": "x" * 9000}, pure=False)

    assert factory.run({"spam": ["latest"], "eggs": ["latest"]}, "--jobs=1") == 0

    assert "spare-tire: waiting for eggs 1.0, which this visit builds" in factory.log("spam")
    every = [*said_by_helper(factory, "spam"), *said_by_helper(factory, "eggs")]
    assert [line for line in every if "building" in line] == [
        "spare-tire: building spam 1.0",
        "spare-tire: building eggs 1.0",
    ]
    assert install_of("spam") == f"{wheel_name('spam')}, with {wheel_name('eggs')}"


def test_wheels_that_require_each_other_are_both_made(factory: Factory) -> None:
    factory.publish("eggs", runtime="spam", pure=False)
    factory.publish("spam", runtime="eggs", pure=False)

    assert factory.run({"spam": ["latest"], "eggs": ["latest"]}, "--jobs=2") == 0

    assert kept() == [wheel_name("eggs"), wheel_name("spam")]
    for name in ("eggs", "spam"):
        assert [line for line in said_by_helper(factory, name) if "building" in line] == [
            f"spare-tire: building {name} 1.0"
        ]


def test_what_nobody_has_fails_the_check(factory: Factory, capsys: pytest.CaptureFixture[str]) -> None:
    factory.publish("spam", runtime="eggs>=1", pure=False)

    assert factory.run({"spam": ["latest"]}) == 1

    where = f"eggs is not on the public index {factory.simple.as_uri()}/"
    assert f"{wheel_name('spam')}: the wheel's check failed (install): {where}; the log is" in capsys.readouterr().err
    visit = json.loads(next(Path("dist/visits").iterdir()).read_bytes())
    assert [each["failed_check"] for each in visit["actions"]] == ["install"]


def test_our_index_is_asked_for_what_a_wheel_requires(factory: Factory) -> None:
    factory.publish("spam", runtime="eggs<2", pure=False)
    for version in ("1.0", "1.5", "2.0"):
        serve(version)

    assert factory.run({"spam": ["latest"]}) == 0

    assert install_of("spam") == f"{wheel_name('spam')}, with eggs-1.5-py3-none-any.whl"


def test_our_index_is_read_over_http_too(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    factory.publish("spam", runtime="eggs", pure=False)
    serve()
    with web_server() as server:
        for path in (path for path in Path("ours").rglob("*") if path.is_file()):
            server.replies[f"/{path.relative_to('ours')}"] = Reply(body=path.read_bytes())
        monkeypatch.setenv("SPARE_TIRE_INDEX", server.url)

        assert factory.run({"spam": ["latest"]}) == 0

        asked = [asked.path for asked in server.asked]
    assert install_of("spam") == f"{wheel_name('spam')}, with {EGGS}"
    assert asked == ["/simple/index.json", "/simple/index.json", "/simple/eggs/index.json", f"/packages/{EGGS}"]


def test_a_host_that_denies_us_our_index_is_not_taken_for_one_without_the_requirement(
    factory: Factory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.publish("eggs")  # the public index's, which nobody has to mean
    factory.publish("spam", runtime="eggs", pure=False)
    serve()
    with web_server() as server:
        monkeypatch.setenv("SPARE_TIRE_INDEX", server.url)
        server.replies["/simple/index.json"] = Reply(body=ProjectList().to_json())
        assert factory.run({"spam": ["latest"]}, "--no-check") == 0  # for its plan
        shutil.rmtree("dist")
        server.replies["/simple/index.json"] = server.replies["/simple/"] = Reply(status=403)

        assert build(["--quiet"]) == 1

        denied = f"{server.url}/simple/: the server answers 403 Forbidden, and 403 Forbidden for simple/index.json"
    assert f"failed (install): {denied}; this is not taken for an empty index" in capsys.readouterr().err


@pytest.mark.parametrize(
    "unfit",
    [
        {"yanked": "rotten"},
        {"requires_python": ">=4"},
        {"settings": Settings(status=Status(state=QUARANTINED))},
        {"url": "https://x.test/eggs-1.0-py3-none-any.whl"},
    ],
    ids=lambda unfit: next(iter(unfit)),
)
def test_what_our_index_does_not_offer_is_not_taken(factory: Factory, unfit: dict[str, Any]) -> None:
    factory.publish("spam", runtime="eggs", pure=False)
    serve(**unfit)

    assert factory.run({"spam": ["latest"]}) == 1


def test_a_wheel_of_our_index_with_other_bytes_is_not_taken(
    factory: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.publish("spam", runtime="eggs", pure=False)
    found = serve(sha256="0" * 64)

    assert factory.run({"spam": ["latest"]}) == 1

    reason = f"our index has packages/{EGGS} with the sha256 {found}, its page says {'0' * 64}"
    assert f"the wheel's check failed (install): {reason}; the log is" in capsys.readouterr().err


# ── What a build requires ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_build_requirement_that_we_have_is_not_built_from_its_sdist(factory: Factory) -> None:
    factory.publish("eggs")  # an sdist alone
    factory.publish("spam", requires=("eggs",), before="import eggs", pure=False)
    digest = serve()

    assert factory.run({"spam": ["latest"]}) == 0

    resolved = factory.definition("spam")["resolvedDependencies"]
    assert resolved[1:] == [
        {"name": "eggs==1.0", "uri": "pkg:pypi/eggs@1.0"},
        {"name": EGGS, "digest": {"sha256": digest}, "annotations": {"ownWheel": "eggs==1.0"}},
    ]


def test_a_build_requirement_that_the_visit_makes_is_built_once(factory: Factory) -> None:
    factory.publish("eggs", pure=False)
    factory.publish("spam", requires=("eggs",), before="import eggs", files={"large.txt": "x" * 9000}, pure=False)

    assert factory.run({"spam": ["latest"], "eggs": ["latest"]}, "--jobs=1") == 0

    assert not [line for line in factory.log("spam") if line == "spare-tire: building eggs 1.0"]
    assert factory.definition("spam")["resolvedDependencies"][-1]["annotations"] == {"ownWheel": "eggs==1.0"}


def test_actions_whose_builds_require_each_other_say_so(factory: Factory, capsys: pytest.CaptureFixture[str]) -> None:
    factory.publish("eggs", requires=("spam",), pure=False)
    factory.publish("spam", requires=("eggs",), pure=False)

    assert factory.run({"spam": ["latest"], "eggs": ["latest"]}, "--jobs=1") == 1

    assert "the build requirements go round in a circle, and none has a wheel here: eggs → spam → eggs" in (
        capsys.readouterr().err
    )


def test_wheels_of_dist_that_no_record_vouches_for_are_not_taken(factory: Factory) -> None:
    factory.publish("spam", runtime="eggs", pure=False)
    Path("dist/wheels").mkdir(parents=True)
    write_wheel(Path("dist/wheels"), "eggs")

    assert factory.run({"spam": ["latest"]}) == 1


@pytest.mark.parametrize("written", ["Ham_Eggs", "ham.eggs"])
def test_wheels_of_dist_are_found_however_their_backend_writes_the_name(factory: Factory, written: str) -> None:
    factory.publish("spam", runtime="ham-eggs", pure=False)
    for folder in ("wheels", "records"):
        Path("dist", folder).mkdir(parents=True)
    wheel = write_wheel(Path("dist/wheels"), written)
    Path(f"dist/records/{wheel.name}.json").write_text("{}")

    assert factory.run({"spam": ["latest"]}) == 0

    assert install_of("spam") == f"{wheel_name('spam')}, with {wheel.name}"


# ── What the visit itself makes ───────────────────────────────────────────────────────────────────────────────────────


def test_a_newer_release_that_is_planned_is_waited_for_although_an_older_one_is_there(factory: Factory) -> None:
    factory.publish("eggs", pure=False)
    assert factory.run({"eggs": ["latest"]}) == 0
    factory.publish("eggs", "2.0", pure=False)
    factory.publish("spam", runtime="eggs", files={"large.txt": "x" * 9000}, pure=False)

    assert factory.run({"spam": ["latest"], "eggs": ["latest"]}, "--jobs=1") == 0

    assert install_of("spam") == f"{wheel_name('spam')}, with {wheel_name('eggs', '2.0')}"


def test_a_planned_requirement_that_fails_is_not_tried_again(
    factory: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.publish("eggs", before="print('no eggs'); raise SystemExit('out of eggs')", pure=False)
    factory.publish("spam", runtime="eggs", pure=False)

    assert factory.run({"spam": ["latest"], "eggs": ["latest"]}, "--jobs=1") == 1

    said = capsys.readouterr().err
    reason = "the requirement eggs 1.0 cannot be built: the build failed: out of eggs"
    assert f"{wheel_name('spam')}: the wheel's check failed (install): {reason}; the log is" in said
    assert said.count("  | no eggs\n") == 1


def test_a_row_of_actions_waits_together(factory: Factory) -> None:
    """A wheel for every platform does for both targets, so the second is not begun while the first one waits."""
    factory.publish("eggs", pure=False)
    factory.publish("spam", runtime="eggs", files={"large.txt": "x" * 9000})
    packages = {"spam": {"versions": ["latest"], "build": {"native": False}}, "eggs": ["latest"]}
    assert factory.run(packages, "--jobs=1", "--no-check") == 0  # for its plan
    shutil.rmtree("dist")
    plan = Plan.from_json(Path("build/plan.json").read_bytes(), "plan.json")
    spam = next(each for each in plan.actions if each.package == "spam")
    other = replace(spam, target="other", wheel=replace(spam.wheel, platforms=("linux_other",)))
    Path("build/plan.json").write_bytes(replace(plan, actions=(*plan.actions, other)).to_json())

    assert build(["--quiet", "--jobs=1"]) == 0

    visit = json.loads(next(Path("dist/visits").iterdir()).read_bytes())
    assert sorted(each["outcome"] for each in visit["actions"]) == ["built", "built", "shared"]
    log = Path("dist/logs/spam-1.0-py3-none-any.whl.txt.gz")
    lines = gzip.decompress(log.read_bytes()).decode().splitlines()
    assert lines.count("spare-tire: building spam 1.0") == 1


# ── Projects that are ours alone ──────────────────────────────────────────────────────────────────────────────────────


def pinned(factory: Factory, name: str, *requires: str) -> dict[str, str]:
    """Return the entry of a project whose sdist the matrix gives; the public index has one of that name, too."""
    sdist = pack_private(factory, name, requires)
    return {"versions": ["1.0"], "sdist": f"{sdist.as_uri()}#sha256={sha256(sdist.read_bytes()).hexdigest()}"}  # type: ignore[dict-item]


def pack_private(factory: Factory, name: str, requires: tuple[str, ...]) -> Path:
    private = factory.folder / "private"
    private.mkdir()
    made = factory.publish(name, requires=requires, pure=False)
    sdist = made.rename(private / made.name)
    (factory.simple / name / "index.html").unlink()
    write_namesake(factory.simple / name)
    return sdist


def write_namesake(folder: Path) -> None:
    """Put a wheel of a higher version on the public index: whoever asks that takes it."""
    wheel = write_wheel(folder, folder.name, "9.0")
    digest = sha256(wheel.read_bytes()).hexdigest()
    (folder / "index.html").write_text(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>')


def test_a_namesake_on_the_public_index_is_not_taken_for_ours(factory: Factory) -> None:
    factory.publish("spam", requires=("eggs",), before="import eggs; assert eggs.__path__", runtime="eggs", pure=False)

    assert factory.run({"spam": ["latest"], "eggs": pinned(factory, "eggs")}) == 0

    assert install_of("spam") == f"{wheel_name('spam')}, with {wheel_name('eggs')}"
    assert factory.definition("spam")["resolvedDependencies"][1]["name"] == "eggs==1.0"


def test_a_namesake_is_not_taken_for_an_earlier_one_of_ours_that_the_build_itself_requires(
    factory: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = pinned(factory, "eggs", "eggs")

    assert factory.run({"eggs": entry}) == 1

    assert "go round in a circle, and none has a wheel here: eggs → eggs" in capsys.readouterr().err
    serve("0.5")
    assert factory.run({"eggs": entry}) == 0
    assert factory.definition("eggs")["resolvedDependencies"][1]["name"] == "eggs==0.5"


def test_what_is_ours_and_is_not_here_is_said_to_be(factory: Factory, capsys: pytest.CaptureFixture[str]) -> None:
    factory.publish("spam", runtime="eggs>=2", pure=False)

    assert factory.run({"spam": ["latest"], "eggs": pinned(factory, "eggs")}) == 1

    reason = "eggs>=2 is ours, since the matrix gives its sdist, and no wheel of it is here; build it too"
    assert f"{wheel_name('spam')}: the wheel's check failed (install): {reason}; the log is" in capsys.readouterr().err
