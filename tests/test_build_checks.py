"""Checks, shared wheels and records, as a whole run of the stage has them."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from tasks.build import main
from tasks.core.matrix import Check, Rules
from tasks.wheelfile import sha256_of
from tests.builds import (
    action,
    c_extension,
    folder_to_build_in,
    machine,
    make_sdist,
    python_tag,
    search_path,
    wheel_name,
    write_plan,
)

if TYPE_CHECKING:
    from tasks.core.actions import Action

PLAN = Path("build/plan.json")
PURE = "spam-1.0-py3-none-any.whl"
MANYLINUX = "manylinux_2_36_x86_64"
ONLY_LINUX = pytest.mark.skipif(machine().platform != "linux_x86_64", reason="the targets are Linux on x86_64")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_build_in(tmp_path, monkeypatch)


def wheels() -> list[str]:
    return sorted(path.name for path in Path("dist").glob("wheels/*"))


def record_of(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(f"dist/records/{name}.json").read_bytes())
    return document


def visited() -> list[list[tuple[str, str, str | None]]]:
    reports = [json.loads(path.read_bytes()) for path in sorted(Path("dist").glob("visits/*.json"))]
    return [
        [(each["expected"], each["outcome"], each["failed_check"]) for each in found["actions"]] for found in reports
    ]


def on(platform: str, wanted: Action, **changes: Any) -> Action:  # noqa: ANN401 - fields of any kind
    """Return the action with another platform of the target."""
    return replace(wanted, target=platform, wheel=replace(wanted.wheel, platforms=(platform,)), **changes)


def byproduct(record: dict[str, Any], name: str) -> Any:  # noqa: ANN401 - whatever the record holds
    found = record["predicate"]["runDetails"]["byproducts"]
    return next(each for each in found if each["name"] == name)["annotations"]


# ── Checks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@ONLY_LINUX
def test_a_manylinux_target_gets_a_repaired_wheel_that_installs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(PLAN, on(MANYLINUX, action(c_extension(here / "sdists", "fast", limited=False))))

    assert main([]) == 0

    (name,) = wheels()
    assert name == f"fast-1.0-{python_tag().interpreter}-{python_tag().abi}-{MANYLINUX}.whl"
    said = {each["name"]: each for each in byproduct(record_of(name), "checks")["checks"]}
    assert {check: each["outcome"] for check, each in said.items()} == {
        "machine code": "passed",
        "processor": "passed",
        "modules": "passed",
        "auditwheel": "passed",
        "wheel": "passed",
        "abi3audit": "skipped",
        "install": "passed",
        "import": "passed",
        "run": "skipped",
    }
    assert said["auditwheel"]["data"]["policy"].startswith("manylinux_2_")
    assert re.search(r"^checks took \d+\.\d s, \d+% of \d+\.\d s$", capsys.readouterr().err, re.MULTILINE)
    times = byproduct(record_of(name), "times")["seconds"]
    assert times["inspection"] > 0
    assert times["check"] > 0
    python = search_path().split(":")[0] + "/python3"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--target", "site"]
    subprocess.run([*pip, f"dist/wheels/{name}"], check=True)
    code = "import fast; print(fast.where())"
    subprocess.run([python, "-c", code], check=True, env={"PYTHONPATH": "site", "PATH": search_path()})


TAGGED = (
    "grep -q '^Tag: .*{}' $(python -c 'import fast, os; print(os.path.dirname(fast.__file__))')-1.0.dist-info/WHEEL"
)
"""A check that passes where the installed wheel is of a platform."""


@ONLY_LINUX
def test_the_repaired_wheel_is_the_one_that_is_tried_and_the_only_one(here: Path) -> None:
    sdist = c_extension(here / "sdists", "fast", limited=False)
    write_plan(PLAN, on(MANYLINUX, action(sdist, check=Check(run=TAGGED.format(MANYLINUX)))))

    assert main([]) == 0

    (name,) = wheels()
    checks = [each for each in byproduct(record_of(name), "checks")["checks"] if each["name"] == "install"]
    assert checks == [{"name": "install", "outcome": "passed", "detail": name}]
    log = gzip.decompress(Path(f"dist/logs/{name}.txt.gz").read_bytes()).decode().splitlines()
    said = [line for line in log if line.startswith(("spare-tire: building", "spare-tire: checking"))]
    assert said == ["spare-tire: building fast 1.0", f"spare-tire: checking {name}"]


@ONLY_LINUX
def test_a_repaired_wheel_that_fails_its_check_fails_the_action(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sdist = c_extension(here / "sdists", "fast", limited=False)
    wanted = on(MANYLINUX, action(sdist, check=Check(run="echo not so; exit 3")))
    write_plan(PLAN, wanted)

    assert main(["--quiet"]) == 1

    assert wheels() == []
    assert visited() == [[(wanted.wheel.filename, "failed", "run")]]
    assert (
        f"error: {wanted.wheel.filename}: {wanted.wheel.filename} was repaired for {MANYLINUX}: "
        "the wheel's check failed (run): not so (exit status 3); the log is"
    ) in capsys.readouterr().err


@ONLY_LINUX
def test_a_repaired_wheel_of_a_package_that_need_not_be_native_is_tried_again(here: Path) -> None:
    """Whether it would be repaired was not known before it was built."""
    sdist = c_extension(here / "sdists", "fast", limited=False)
    write_plan(PLAN, on(MANYLINUX, action(sdist, check=Check(run=f"{TAGGED.format('linux_')}")), native=False))

    assert main([]) == 0

    (name,) = wheels()
    log = gzip.decompress(Path(f"dist/logs/{name}.txt.gz").read_bytes()).decode().splitlines()
    assert log.count(f"spare-tire: checking {wheel_name('fast')}") == 1
    assert log.count(f"spare-tire: checking {name}") == 1


def test_a_wheel_that_gets_more_tags_is_tried_with_them(here: Path) -> None:
    own = machine().platform
    several = (own, f"{own.partition('_')[0]}_other_{machine().arch}")
    wanted = action(make_sdist(here / "sdists", "spam"))
    wanted = replace(wanted, wheel=replace(wanted.wheel, platforms=several))
    write_plan(PLAN, wanted)

    assert main([]) == 0

    assert wheels() == [wanted.wheel.filename]
    checks = {each["name"]: each["detail"] for each in byproduct(record_of(wanted.wheel.filename), "checks")["checks"]}
    assert checks["install"] == wanted.wheel.filename


def test_the_check_that_failed_is_in_the_visit(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = action(make_sdist(here / "sdists", "spam"))
    pure = action(make_sdist(here / "sdists", "eggs", tag="py3-none-any"))
    rotten = action(make_sdist(here / "sdists", "ham", module="raise ImportError('rotten')\n"))
    unbuilt = action(make_sdist(here / "sdists", "oats", before="raise SystemExit('no')"))
    write_plan(PLAN, good, pure, rotten, unbuilt)

    assert main(["--json", "--quiet"]) == 1

    assert visited() == [
        [
            (wheel_name("eggs"), "failed", "wheel"),
            (wheel_name("ham"), "failed", "import"),
            (wheel_name("oats"), "failed", None),
            (wheel_name("spam"), "built", None),
        ]
    ]
    assert [each["failed_check"] for each in json.loads(capsys.readouterr().out)["actions"]][:2] == ["wheel", "import"]


# ── One wheel for several actions ─────────────────────────────────────────────────────────────────────────────────────


def pure(sdist: Path, platform: str, rules: Rules | None = None) -> Action:
    return on(platform, action(sdist, rules=rules), native=False)


def test_a_pure_wheel_is_built_once_for_all_targets(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sdist = make_sdist(here / "sdists", "spam", tag="py3-none-any")
    first, second = pure(sdist, "linux_x86_64"), pure(sdist, "linux_aarch64")
    write_plan(PLAN, first, second)

    assert main(["--jobs=2"]) == 0

    assert wheels() == [PURE]
    assert [(outcome, check) for _, outcome, check in visited()[0]] == [("shared", None), ("built", None)]
    said = capsys.readouterr().err
    assert f"shared {second.wheel.filename}: the wheel for linux_x86_64 {python_tag().tag} does for it\n" in said

    assert main([]) == 0
    assert capsys.readouterr().err == "nothing to build: dist has all 2 wheels of the plan already\n"


def test_a_pure_wheel_spares_the_next_visit(here: Path) -> None:
    sdist = make_sdist(here / "sdists", "spam", tag="py3-none-any")
    first, second = pure(sdist, "linux_x86_64"), replace(pure(sdist, "linux_aarch64"), instance="other/1")
    write_plan(PLAN, first, second, workers={"other/1": "local"})

    assert main([]) == 0

    assert [[outcome for _, outcome, _ in found] for found in visited()] == [["built"], ["shared"]]


def test_a_wheel_that_a_former_run_left_does_for_a_new_action(here: Path) -> None:
    sdist = make_sdist(here / "sdists", "spam", tag="py3-none-any")
    write_plan(PLAN, pure(sdist, "linux_x86_64"))
    assert main([]) == 0
    write_plan(PLAN, pure(sdist, "linux_x86_64"), pure(sdist, "linux_aarch64"))

    assert main([]) == 0

    assert ["shared", "kept"] in [[outcome for _, outcome, _ in found] for found in visited()]


def test_other_rules_that_yield_equal_bytes_are_one_wheel(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sdist = make_sdist(here / "sdists", "spam", tag="py3-none-any")
    write_plan(PLAN, pure(sdist, "linux_x86_64"), pure(sdist, "linux_aarch64", Rules(env={"UNUSED": "1"})))

    assert main([]) == 0

    assert wheels() == [PURE]
    assert [outcome for _, outcome, _ in visited()[0]] == ["shared", "built"]
    capsys.readouterr()
    assert main([]) == 0
    assert capsys.readouterr().err == "nothing to build: dist has all 2 wheels of the plan already\n"


def test_other_rules_that_yield_other_bytes_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flavour = "files[NAME + '/flavour.py'] = 'FLAVOUR = %r' % os.environ.get('FLAVOUR', 'plain')"
    sdist = make_sdist(here / "sdists", "spam", tag="py3-none-any", after=flavour)
    smoked = pure(sdist, "linux_aarch64", Rules(env={"FLAVOUR": "smoked"}))
    write_plan(PLAN, pure(sdist, "linux_x86_64"), smoked)

    assert main(["--quiet"]) == 4

    assert wheels() == [PURE]
    first = sha256_of(Path("dist/wheels", PURE))
    assert record_of(PURE)["subject"][0]["digest"]["sha256"] == first
    said = capsys.readouterr().err
    assert (
        f"error: {smoked.wheel.filename}: {PURE} was built for linux_x86_64 {python_tag().tag} too, with other bytes "
        f"(sha256 {first}, here "
    ) in said
    assert "the first was kept; for a package of the stable ABI say `abi: abi3`, for others give both the same" in said


# ── Records ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_independent_reader_takes_a_record_as_in_toto_statement_with_slsa_provenance(here: Path) -> None:
    """Types, required fields and times are judged by the protobuf definitions of the in-toto project."""
    write_plan(PLAN, action(make_sdist(here / "sdists", "spam")))
    assert main([]) == 0
    record = record_of(wheel_name("spam"))

    read = json_format.ParseDict(record, statement_pb2.Statement())
    statement = Statement.copy_from_pb(read)
    statement.validate()
    changes: list[dict[str, Any]] = [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"subject": []},
        {"predicateType": ""},
    ]
    for change in changes:
        other = json_format.ParseDict(record | change, statement_pb2.Statement())
        with pytest.raises(ValueError, match=r"^(Wrong statement type|At least one subject|Predicate type) ?"):
            Statement.copy_from_pb(other).validate()
    assert json_format.MessageToDict(read) == record | {"predicate": json_format.MessageToDict(read.predicate)}
    assert read.predicate_type == "https://slsa.dev/provenance/v1"
    assert read.subject[0].digest["sha256"] == sha256_of(Path("dist/wheels", wheel_name("spam")))

    provenance = json_format.ParseDict(record["predicate"], provenance_pb2.Provenance())
    definition, details = provenance.build_definition, provenance.run_details
    assert definition.build_type == "urn:spare-tire:build-type:wheel:1"
    assert definition.external_parameters["package"] == "spam"
    assert details.builder.id == "urn:spare-tire:worker:local:1"
    assert details.metadata.started_on.ToDatetime() <= details.metadata.finished_on.ToDatetime()
    descriptors = [*definition.resolved_dependencies, *details.byproducts, *details.builder.builder_dependencies]
    assert len(descriptors) > 5
    for descriptor in descriptors:
        ResourceDescriptor.copy_from_pb(descriptor).validate()
    assert json_format.MessageToDict(provenance) == json_format.MessageToDict(read.predicate)
