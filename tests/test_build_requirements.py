"""What builds need, from the matrix to the record: requirements without a wheel, rules, and what to add for a failure.

The public index is a directory of sdists alone, so that every requirement has to be built first.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.build import main as build
from tasks.plan import main as plan
from tests.builds import BACKEND, pack, python_tag, search_path, wheel_name

if TYPE_CHECKING:
    from collections.abc import Mapping

BUILD_SYSTEM = '[build-system]\nrequires = {requires}\nbuild-backend = "backend"\nbackend-path = ["."]\n'
DYNAMIC = "\ndef get_requires_for_build_wheel(config_settings=None):\n    return {requires}\n"


class Factory:
    """An index of sdists, a matrix, and the two stages run on them one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.simple = folder / "index" / "simple"

    def publish(  # noqa: PLR0913 - a test names the few that it is about
        self,
        name: str,
        version: str = "1.0",
        *,
        requires: tuple[str, ...] = (),
        dynamic: tuple[str, ...] | None = None,
        before: str = "pass",
        files: Mapping[str, str] | None = None,
        pure: bool = True,
        digest: str | None = None,
        runtime: str | None = None,
    ) -> Path:
        """Put an sdist on the index, whose own backend writes the wheel after the statements ``before``.

        ``runtime`` is what the wheel requires.
        """
        lines = "\n".join(f"    {line}" for line in before.splitlines())
        metadata = "files['%s-%s.dist-info/METADATA' % (NAME, VERSION)]"
        after = f"    {metadata} += 'Requires-Dist: {runtime}\\n'" if runtime else "    pass"
        code = BACKEND.format(
            name=name, version=version, module="", tag="py3-none-any" if pure else None, before=lines, after=after
        )
        code += "" if dynamic is None else DYNAMIC.format(requires=list(dynamic))
        pyproject = BUILD_SYSTEM.format(requires=json.dumps(requires))
        sdist = pack(
            self.simple / name, name, version, {"pyproject.toml": pyproject, "backend.py": code, **(files or {})}
        )
        found = digest or sha256(sdist.read_bytes()).hexdigest()
        with (self.simple / name / "index.html").open("a") as page:
            page.write(f'<a href="{sdist.name}#sha256={found}">{sdist.name}</a><br>\n')
        return sdist

    def run(self, packages: Mapping[str, object], *options: str) -> int:
        """Plan these packages for the newest interpreter of this machine, and build them; return the exit code."""
        matrix = {
            "index": "ours",
            "public_index": self.simple.as_uri(),
            "instances": {"local": {"worker": "local"}},
            "targets": {"host": {"instance": "local", "upstream": "ignore", "python": [python_tag().tag]}},
            "packages": packages,
        }
        Path("wheel_matrix.yml").write_text(json.dumps(matrix))
        assert plan(["--quiet"]) == 0
        return build(["--quiet", *options])

    def log(self, name: str) -> list[str]:
        """The log of a wheel that was built."""
        return gzip.decompress(Path(f"dist/logs/{wheel_name(name)}.txt.gz").read_bytes()).decode().splitlines()

    def definition(self, name: str) -> dict[str, Any]:
        """What the record says of how a wheel was built."""
        record = json.loads(Path(f"dist/records/{wheel_name(name)}.json").read_bytes())
        found: dict[str, Any] = record["predicate"]["buildDefinition"]
        return found


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """A factory in an empty directory."""
    return factory_in(tmp_path, monkeypatch)


def factory_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """Return a factory whose installers know its index alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("PATH", search_path())
    made = Factory(tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", made.simple.as_uri())
    for variable in ("TF_BUILD", "GITHUB_ACTIONS", "JOB_DATA", "SOURCE_DATE_EPOCH", "PIP_FIND_LINKS"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("SPARE_TIRE_MATRIX", "SPARE_TIRE_INDEX", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    return made


# ── Requirements without a wheel ──────────────────────────────────────────────────────────────────────────────────────


def test_requirements_without_a_wheel_are_built_first_from_the_inside_out(factory: Factory) -> None:
    inner = factory.publish("inner")
    outer = factory.publish("outer", "1.5", requires=("inner",), before="import inner")
    factory.publish("spam", requires=("outer>=1",), before="import outer", pure=False)

    assert factory.run({"spam": ["latest"]}) == 0

    said = [line for line in factory.log("spam") if " first" in line or line.startswith("spare-tire: building")]
    assert said == [
        "spare-tire: outer 1.5 has no wheel here; building it from outer-1.5.tar.gz first",
        "spare-tire: inner 1.0 has no wheel here; building it from inner-1.0.tar.gz first",
        "spare-tire: building inner 1.0",
        "spare-tire: building outer 1.5",
        "spare-tire: building spam 1.0",
    ]
    resolved = factory.definition("spam")["resolvedDependencies"]
    assert [each["name"] for each in resolved] == [
        "spam-1.0.tar.gz",
        "outer==1.5",
        "inner-1.0.tar.gz",
        "outer-1.5.tar.gz",
    ]
    assert resolved[2]["digest"] == {"sha256": sha256(inner.read_bytes()).hexdigest()}
    assert resolved[3]["digest"] == {"sha256": sha256(outer.read_bytes()).hexdigest()}
    assert resolved[3]["uri"] == outer.as_uri()
    assert resolved[3]["annotations"]["builtFirst"] == "outer==1.5"
    assert resolved[3]["annotations"]["wheel"] == "outer-1.5-py3-none-any.whl"
    assert resolved[3]["annotations"]["requirements"] == ["inner==1.0"]
    assert [path.name for path in Path("dist/wheels").iterdir()] == [wheel_name("spam")]


def test_a_requirement_is_built_once_for_all_actions_of_a_visit(factory: Factory) -> None:
    factory.publish("helped")
    for name in ("eggs", "ham", "spam"):
        factory.publish(name, requires=("helped",), before="import helped", pure=False)

    assert factory.run({"eggs": ["latest"], "ham": ["latest"], "spam": ["latest"]}, "--jobs=3") == 0

    logs = [line for name in ("eggs", "ham", "spam") for line in factory.log(name)]
    assert logs.count("spare-tire: building helped 1.0") == 1
    assert logs.count("spare-tire: helped 1.0 has no wheel here; this visit has built it already") == 2


def test_a_requirement_that_the_backend_asks_for_later_is_built_too(factory: Factory) -> None:
    factory.publish("helped", "2.0")
    factory.publish("spam", dynamic=("helped>=2",), before="import helped", pure=False)

    assert factory.run({"spam": ["latest"]}) == 0

    names = [each["name"] for each in factory.definition("spam")["resolvedDependencies"]]
    assert names == ["spam-1.0.tar.gz", "helped==2.0", "helped-2.0.tar.gz"]


def test_requirements_that_go_round_in_a_circle_are_named(factory: Factory, capsys: pytest.CaptureFixture[str]) -> None:
    factory.publish("spam", requires=("eggs",), pure=False)
    factory.publish("eggs", requires=("ham",))
    factory.publish("ham", requires=("eggs",))

    assert factory.run({"spam": ["latest"]}) == 1

    circle = "the build requirements go round in a circle, and none has a wheel here: eggs → ham → eggs"
    assert f"the requirement eggs 1.0 cannot be built: the requirement ham 1.0 cannot be built: {circle}; the log" in (
        capsys.readouterr().err
    )


def test_requirements_that_require_each_other_without_end_are_stopped(
    factory: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        factory.publish(f"deep{number}", requires=(f"deep{number + 1}",), pure=number > 0)

    assert factory.run({"deep0": ["latest"]}) == 1

    chain = " → ".join(f"deep{number}" for number in range(10))
    assert f"build requirements are more than 8 deep: {chain}; the log" in capsys.readouterr().err


def test_an_sdist_of_a_requirement_with_another_digest_is_not_built(
    factory: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    helped = factory.publish("helped", digest="0" * 64)
    factory.publish("spam", requires=("helped",), pure=False)

    assert factory.run({"spam": ["latest"]}) == 1

    found = sha256(helped.read_bytes()).hexdigest()
    said = f"its sha256 is {found}, expected {'0' * 64}; nothing of it was kept"
    assert f"the requirement helped 1.0 cannot be built: {helped.as_uri()}: {said}" in capsys.readouterr().err


def test_the_constraints_choose_the_release_that_is_built(factory: Factory) -> None:
    for version in ("1.0", "2.0", "3.0"):
        factory.publish("helped", version)
    factory.publish("spam", requires=("helped>=1",), pure=False)

    assert factory.run({"spam": {"versions": ["latest"], "build": {"constraints": ["helped<3", "helped!=2.0"]}}}) == 0

    names = [each["name"] for each in factory.definition("spam")["resolvedDependencies"]]
    assert names == ["spam-1.0.tar.gz", "helped==1.0", "helped-1.0.tar.gz"]


def test_a_requirement_that_the_matrix_has_too_is_built_by_its_rules(factory: Factory) -> None:
    factory.publish("helped", before="assert os.environ['FLAVOUR'] == 'smoked'", pure=False)
    factory.publish("spam", requires=("helped",), before="import helped", pure=False)
    rules = {"env": {"FLAVOUR": "smoked"}}

    assert factory.run({"spam": ["latest"], "helped": {"versions": ["latest"], "build": rules}}) == 0

    assert sorted(path.name for path in Path("dist/wheels").iterdir()) == [wheel_name("helped"), wheel_name("spam")]


def test_a_requirement_gets_the_variables_of_what_requires_it(factory: Factory) -> None:
    factory.publish("helped", before="assert os.environ['MAKE'] == 'gmake'")
    factory.publish("spam", requires=("helped",), pure=False)

    assert factory.run({"spam": {"versions": ["latest"], "build": {"env": {"MAKE": "gmake"}}}}) == 0


def test_a_requirement_that_fails_says_why_and_is_not_tried_again(
    factory: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.publish("helped", before="print('no helping'); raise SystemExit('out of helpings')")
    factory.publish("eggs", requires=("helped",), pure=False)
    factory.publish("spam", requires=("helped",), pure=False)

    assert factory.run({"eggs": ["latest"], "spam": ["latest"]}) == 1

    said = capsys.readouterr().err
    assert said.count("the requirement helped 1.0 cannot be built: the build failed: out of helpings; the log is") == 2
    assert said.count("  | no helping\n") == 1


# ── Rules of the matrix ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_requirement_that_the_sdist_forgot_is_named_with_the_line_to_add(
    factory: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.publish("numpy")
    factory.publish("spam", before="import numpy", pure=False)
    assert factory.run({"spam": ["latest"]}) == 1
    reason = "the build failed: ModuleNotFoundError: No module named 'numpy'"
    advice = "add to the matrix: build: {build_requires: [numpy]}"
    assert f"{wheel_name('spam')}: {reason}; {advice}; the log is" in capsys.readouterr().err

    assert factory.run({"spam": {"versions": ["latest"], "build": {"build_requires": ["numpy"]}}}) == 0

    assert factory.definition("spam")["externalParameters"]["rules"] == {"build_requires": ["numpy"]}


@pytest.mark.parametrize(
    ("module", "advice"),
    [
        ("yaml", "build: {build_requires: [PyYAML]}"),
        ("setuptools_scm.git", "build: {build_requires: [setuptools-scm]}"),
        ("pkg_resources", 'build: {build_requires: ["setuptools<82"]}'),
        ("imp", ""),  # Python's own, once
        ("beside", ""),  # the sdist's own, which the backend fails to find
    ],
)
def test_advice_is_given_where_it_is_true(
    factory: Factory, capsys: pytest.CaptureFixture[str], module: str, advice: str
) -> None:
    before = f"raise ModuleNotFoundError(\"No module named '{module}'\")"
    factory.publish("spam", before=before, files={"beside.py": ""}, pure=False)

    assert factory.run({"spam": ["latest"]}) == 1

    ending = f"; add to the matrix: {advice}" if advice else ""
    assert f"ModuleNotFoundError: No module named '{module}'{ending}; the log is" in capsys.readouterr().err


def test_a_header_that_is_not_there_is_named(factory: Factory, capsys: pytest.CaptureFixture[str]) -> None:
    compiled = "subprocess.run(['cc', '-c', 'spam.c'], check=True)"
    factory.publish("spam", before=compiled, files={"spam.c": "#include <no/such.h>\n"}, pure=False)

    assert factory.run({"spam": ["latest"]}) == 1

    advice = "add the system's package that has it to the matrix: build: {system_packages: [...]}"
    assert f"; the header no/such.h is not there: {advice}; the log is" in capsys.readouterr().err


def test_a_header_of_the_sdist_itself_is_no_package_of_the_system(
    factory: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    compiled = "subprocess.run(['cc', '-c', 'spam.c'], check=True)"
    files = {"spam.c": "#include <spam.h>\n", "include/spam.h": ""}
    factory.publish("spam", before=compiled, files=files, pure=False)

    assert factory.run({"spam": ["latest"]}) == 1

    assert "system_packages" not in capsys.readouterr().err


def test_every_rule_reaches_the_build_and_its_record(factory: Factory) -> None:
    files = {"taste.txt": "bland\n"}
    told = "print('told', json.dumps([open('taste.txt').read(), os.environ['FLAVOUR'], config_settings]))"
    factory.publish("spam", before=f"import json; {told}", files=files, pure=False)
    Path("taste.patch").write_text("--- a/taste.txt\n+++ b/taste.txt\n@@ -1 +1 @@\n-bland\n+hot\n")
    rules = {
        "patches": ["taste.patch"],
        "env": {"FLAVOUR": "smoked $(touch hacked) {{ 1 + 1 }}"},
        "config_settings": {"--build-option": ["--with", "{python_tag}"], "debug": "yes"},
        "network": True,
    }

    assert factory.run({"spam": {"versions": ["latest"], "build": rules}}) == 0

    line = next(line for line in factory.log("spam") if line.startswith("told "))
    settings = {"--build-option": ["--with", python_tag().interpreter], "debug": ["yes"]}
    assert json.loads(line[5:]) == ["hot\n", rules["env"]["FLAVOUR"], settings]  # type: ignore[index]
    definition = factory.definition("spam")
    patch = {"name": "taste.patch", "digest": {"sha256": sha256(Path("taste.patch").read_bytes()).hexdigest()}}
    assert patch in definition["resolvedDependencies"]
    assert definition["internalParameters"]["environment"]["FLAVOUR"] == "smoked $(touch hacked) {{ 1 + 1 }}"
    assert definition["internalParameters"]["network"] is True
    assert definition["externalParameters"]["rules"]["network"] is True
    assert definition["externalParameters"]["rules"]["config_settings"] == settings
    assert not list(factory.folder.rglob("hacked"))


# ── Without checks ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_checks_nothing_is_installed_and_the_record_says_so(factory: Factory) -> None:
    factory.publish("spam", pure=False)

    assert factory.run({"spam": ["latest"]}, "--no-check") == 0

    assert not [line for line in factory.log("spam") if line.startswith("spare-tire: checking")]
    record = json.loads(Path(f"dist/records/{wheel_name('spam')}.json").read_bytes())
    checks = next(each for each in record["predicate"]["runDetails"]["byproducts"] if each["name"] == "checks")
    skipped = [each["name"] for each in checks["annotations"]["checks"] if each["outcome"] == "skipped"]
    assert skipped[-4:] == ["audits", "install", "import", "run"]
