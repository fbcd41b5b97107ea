"""The stage as a person meets it: its exit codes, its messages, and what is in ``dist`` afterwards."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.build import main
from tasks.core.errors import Failed
from tasks.core.matrix import Instance, Rules
from tasks.core.plan import Plan
from tasks.core.provenance import recipe_of
from tasks.core.targets import PythonTag
from tasks.wheelfile import sha256_of
from tasks.workers import WORKERS
from tasks.workers.local import LocalWorker
from tests.builds import action, errors, folder_to_build_in, machine, make_sdist, search_path, wheel_name, write_plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

PLAN = Path("build/plan.json")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_build_in(tmp_path, monkeypatch)


def wheels() -> list[str]:
    return sorted(path.name for path in Path("dist").glob("wheels/*"))


def log_of(name: str) -> list[str]:
    return gzip.decompress(Path(f"dist/logs/{name}.txt.gz").read_bytes()).decode().splitlines()


def visits() -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(Path("dist").glob("visits/*.json"))]


# ── What is built ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wheel_is_built_checked_and_kept_with_its_record_and_log(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spam = action(make_sdist(here / "sdists", "spam"))
    write_plan(PLAN, spam)

    assert main(["local"]) == 0

    name = wheel_name("spam")
    assert wheels() == [name]
    record = Path(f"dist/records/{name}.json").read_bytes()
    assert recipe_of(record, sha256_of(Path(f"dist/wheels/{name}"))) == spam.key
    assert log_of(name)[0] == "spare-tire: unpacking spam-1.0.tar.gz"
    assert f"built {name} in" in capsys.readouterr().err
    assert [(each["key"], each["outcome"]) for each in visits()[0]["actions"]] == [(spam.key, "built")]
    assert sorted(path.name for path in Path("dist").iterdir()) == ["logs", "records", "visits", "wheels"]
    assert {path.name for path in (here / "tmp").glob("spare-tire-*/*")} <= {"environments"}  # those are kept


def test_a_rerun_builds_nothing_and_asks_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sdist = make_sdist(here / "sdists", "spam")
    write_plan(PLAN, action(sdist))
    assert main([]) == 0
    before = {path: path.stat().st_mtime_ns for path in Path("dist").rglob("*")}
    sdist.unlink()
    capsys.readouterr()

    assert main([]) == 0

    assert capsys.readouterr().err == "nothing to build: dist has the wheel of the plan already\n"
    assert {path: path.stat().st_mtime_ns for path in Path("dist").rglob("*")} == before


def test_a_wheel_that_is_lost_or_damaged_is_built_again_from_the_sdist_that_was_fetched(here: Path) -> None:
    sdist = make_sdist(here / "sdists", "spam")
    write_plan(PLAN, action(sdist))
    assert main([]) == 0
    wheel = Path("dist/wheels", wheel_name("spam"))
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:-1])
    sdist.unlink()

    assert main([]) == 0

    assert wheel.read_bytes() == whole


def test_another_recipe_for_the_same_wheel_replaces_it(here: Path) -> None:
    statements = "files[NAME + '/flavour.py'] = 'FLAVOUR = %r' % os.environ.get('FLAVOUR', 'plain')"
    sdist = make_sdist(here / "sdists", "spam", after=statements)
    write_plan(PLAN, action(sdist))
    assert main([]) == 0
    before = sha256_of(Path("dist/wheels", wheel_name("spam")))
    changed = action(sdist, rules=Rules(env={"FLAVOUR": "smoked"}))
    write_plan(PLAN, changed)

    assert main([]) == 0

    record = Path(f"dist/records/{wheel_name('spam')}.json").read_bytes()
    after = sha256_of(Path("dist/wheels", wheel_name("spam")))
    assert after != before
    assert recipe_of(record, after) == changed.key


def test_a_plan_with_nothing_in_it_is_done_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(PLAN)

    assert main([]) == 0

    assert capsys.readouterr().err == "nothing to build\n"
    assert not Path("dist").exists()


def test_json_tells_every_action_s_outcome(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spam = action(make_sdist(here / "sdists", "spam"))
    write_plan(PLAN, spam)

    assert main(["--json", "--quiet"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert (document["format"], document["version"]) == ("spare-tire/build", 1)
    assert [(each["key"], each["outcome"], each["wheel"]) for each in document["actions"]] == [
        (spam.key, "built", wheel_name("spam"))
    ]


def test_source_date_epoch_fixes_the_time_of_a_visit(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    write_plan(PLAN, action(make_sdist(here / "sdists", "spam"), instance="bench/1"), workers={"bench/1": "local"})

    assert main([]) == 0

    assert [path.name for path in Path("dist/visits").iterdir()] == ["bench-1-20270115T080000Z.json"]
    assert visits()[0]["started"] == "2027-01-15T08:00:00Z"


def test_on_a_ci_a_build_commands_nobody(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_BUILD", "True")
    hostile = (
        r"print('50 %\r##vso[task.complete]'); print('##[endgroup]'); print('\x1b[0m::error::'); os.write(1, b'\xff')"
    )
    write_plan(PLAN, action(make_sdist(here / "sdists", "spam", before=hostile)))

    assert main([]) == 0

    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "##" in line or "::" in line] == [f"##[group]{wheel_name('spam')}", "##[endgroup]"]
    group = said[said.index(f"##[group]{wheel_name('spam')}") : said.index("##[endgroup]")]
    assert {"# #vso[task.complete]", "# #[endgroup]", ": :error: :"} <= set(group)


# ── What fails ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_failure_costs_one_wheel(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = action(make_sdist(here / "sdists", "spam"))
    bad = action(make_sdist(here / "sdists", "eggs", before="print('no yolk'); raise SystemExit('out of eggs')"))
    write_plan(PLAN, bad, good)

    assert main([]) == 1

    assert wheels() == [wheel_name("spam")]
    assert {each["package"]: each["outcome"] for each in visits()[0]["actions"]} == {"eggs": "failed", "spam": "built"}
    assert "no yolk" in log_of(bad.key)
    said = capsys.readouterr().err
    assert "  | no yolk\n" in said
    assert (
        f"error: {wheel_name('eggs')}: the build failed: out of eggs; the log is dist/logs/{bad.key}.txt.gz\n" in said
    )


def programs(here: Path, scripts: Mapping[str, str]) -> Path:
    """Make programs of these shell scripts; return their directory."""
    folder = here / "bin"
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_system_packages_that_are_missing_are_said_where_a_build_fails(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    freebsd = {"uname": "echo FreeBSD", "pkg": '[ "$3" = gmake ]'}
    monkeypatch.setenv("PATH", f"{programs(here, freebsd)}:{search_path()}")
    rules = Rules(system_packages=("libyaml", "gmake", "lang/rust"))
    write_plan(PLAN, action(make_sdist(here / "sdists", "eggs", before="raise SystemExit('no yaml.h')"), rules=rules))

    assert main(["--quiet"]) == 1

    yours = "which are yours to install, or --install-system-packages does: libyaml, lang/rust"
    named = f"(the matrix names these system packages for it, {yours})"
    assert f"the build failed: no yaml.h {named}" in capsys.readouterr().err


@pytest.mark.parametrize("asked", [False, True])
def test_system_packages_are_installed_only_where_the_user_asks_for_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, asked: bool
) -> None:
    said = here / "said"
    debian = {"uname": "echo Linux", "id": "echo 0", "dpkg-query": "exit 1", "apt-get": f"echo $* >> {said}"}
    monkeypatch.setenv("PATH", f"{programs(here, debian)}:{search_path()}")
    rules = Rules(system_packages=("libyaml-dev",))
    write_plan(PLAN, action(make_sdist(here / "sdists", "spam"), rules=rules))

    assert main(["--quiet", *(["--install-system-packages"] if asked else [])]) == 0, capsys.readouterr().err

    assert wheels() == [wheel_name("spam")]
    assert said.exists() == asked
    if asked:
        assert said.read_text() == ("update -q\ninstall -q -y -o Dpkg::Use-Pty=0 --no-install-recommends libyaml-dev\n")


def test_a_user_who_asks_for_system_packages_and_cannot_install_them_is_told_so(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    debian = {"uname": "echo Linux", "id": "echo 1001", "dpkg-query": "exit 1", "apt-get": "exit 1"}
    barred = {**debian, "sudo": "exit 1", "doas": "exit 1"}
    monkeypatch.setenv("PATH", f"{programs(here, barred)}:{search_path()}")
    write_plan(PLAN, action(make_sdist(here / "sdists", "spam"), rules=Rules(system_packages=("libyaml-dev",))))

    assert main(["--quiet", "--install-system-packages"]) == 3

    (said,) = errors(capsys.readouterr().err)
    assert said == (
        "error: the local worker cannot be prepared (exit code 2): "
        "spare-tire: system packages that the matrix names, not installed, since that takes root: this is user 1001, "
        "and neither sudo nor doas lets it without a password: libyaml-dev"
    )


def test_a_missing_interpreter_is_named_with_the_package_that_brings_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    freebsd = {"uname": "echo FreeBSD", "pkg": "echo python399"}
    monkeypatch.setenv("PATH", f"{programs(here, freebsd)}:{search_path()}")
    write_plan(PLAN, action(make_sdist(here / "sdists", "spam"), python=PythonTag.parse("cp399")))

    assert main([]) == 1

    said = capsys.readouterr().err
    reason = "pkg has the package python399 for it: install that, or name it in system_packages"
    assert f"; {reason}; the log is dist/logs/" in said


def test_a_sdist_with_another_digest_is_refused_and_the_others_are_built(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = action(make_sdist(here / "sdists", "spam"))
    failing = action(make_sdist(here / "sdists", "eggs", before="raise SystemExit('out of eggs')"))
    other = make_sdist(here / "sdists", "ham")
    refused = action(other, digest="0" * 64)
    write_plan(PLAN, failing, refused, good)

    assert main(["--quiet"]) == 4  # goes before the 1 of the failure

    assert wheels() == [wheel_name("spam")]
    found = sha256_of(other)
    said = f"{other.as_uri()}: its sha256 is {found}, expected {'0' * 64}; nothing of it was kept"
    assert f"error: {wheel_name('ham')}: {said}\n" in capsys.readouterr().err


def test_a_server_that_does_not_have_the_sdist_is_a_failed_service(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sdist = make_sdist(here / "sdists", "spam")
    write_plan(PLAN, action(sdist))
    sdist.unlink()

    assert main([]) == 3

    assert capsys.readouterr().err == f"error: {sdist.as_uri()}: cannot be read: No such file or directory\n"


def test_a_refused_wheel_goes_before_a_worker_that_is_not_reached(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tampered = action(make_sdist(here / "sdists", "ham"), instance="host/1")
    tampered = replace(tampered, sdist=replace(tampered.sdist, sha256="0" * 64))
    host = Instance(name="host/1", worker="ssh", host="127.0.0.1", port=1)
    unreachable = action(make_sdist(here / "sdists", "spam"), instance="host/1")
    plan = Plan(matrix="0" * 64, instances={"host/1": host}, actions=(tampered, unreachable))
    PLAN.parent.mkdir()
    PLAN.write_bytes(plan.to_json())

    assert main(["--quiet", "host/1"]) == 4

    last = capsys.readouterr().err.splitlines()[-1]
    assert last == (
        f"error: host/1,arch={unreachable.arch}: 127.0.0.1 cannot be reached by ssh: "
        "ssh: connect to host 127.0.0.1 port 1: Connection refused"
    )


class Lost(LocalWorker):
    """A host that is lost at one time of a visit."""

    def __init__(self, arch: str, when: str) -> None:
        super().__init__()
        self._when = when if arch == "i686" else "never"

    def _be_there(self, now: str) -> None:
        if now == self._when:
            raise Failed("the host was lost")

    def __enter__(self) -> Self:
        self._be_there("at the beginning")
        return super().__enter__()

    def directory(self, name: str) -> str:
        """Make a directory, as long as the host is there."""
        self._be_there("when an action begins")
        return super().directory(name)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._be_there("at the end")


@pytest.mark.parametrize(
    ("when", "outcomes"),
    [
        ("at the beginning", {"spam": "built"}),
        ("when an action begins", {"eggs": "failed", "spam": "built"}),
        ("at the end", {"eggs": "built", "spam": "built"}),
    ],
)
def test_a_host_that_is_lost_costs_another_one_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, when: str, outcomes: dict[str, str]
) -> None:
    monkeypatch.setitem(WORKERS, "core-ci", lambda _instance, arch, _wanted: Lost(arch, when))
    lost = replace(action(make_sdist(here / "sdists", "eggs"), instance="far/1"), arch="i686")
    spam = action(make_sdist(here / "sdists", "spam"), instance="far/1")
    write_plan(PLAN, lost, spam, workers={"far/1": "core-ci"})

    assert main(["far/1", "--json", "--junit=results.xml"]) == 1

    said = capsys.readouterr()
    assert {each["package"]: each["outcome"] for each in json.loads(said.out)["actions"]} == outcomes
    assert Path("results.xml").read_text().count("<testcase ") == len(outcomes)
    assert "the host was lost" in said.err
    assert wheel_name("spam") in wheels()


def test_without_an_ssh_there_is_a_message(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Instance(name="host/1", worker="ssh", host="127.0.0.1", port=1)
    spam = action(make_sdist(here / "sdists", "spam"), instance="host/1")
    PLAN.parent.mkdir()
    PLAN.write_bytes(Plan(matrix="0" * 64, instances={"host/1": host}, actions=(spam,)).to_json())
    monkeypatch.setenv("PATH", str(here))

    assert main(["host/1"]) == 2

    assert capsys.readouterr().err == "error: ssh cannot be started: there is no such program on PATH\n"


# ── What is asked for ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_plan_nothing_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "error: build/plan.json: there is no plan; run nox -s plan first\n"


def test_a_plan_of_a_newer_format_is_not_guessed_at(capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(PLAN)
    PLAN.write_text(PLAN.read_text().replace('"version": 2', '"version": 3'))

    assert main([]) == 2

    said = "the plan's format has version 3, this reads versions 1 and 2; make it again with nox -s plan"
    assert capsys.readouterr().err == f"error: build/plan.json: {said}\n"


def test_an_unknown_instance_is_told_from_those_of_the_plan(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sdist = make_sdist(here / "sdists", "spam")
    far = replace(action(sdist, instance="freebsd/15.1"), arch="aarch64")
    write_plan(PLAN, action(sdist), far)

    assert main(["freebsd/14.4"]) == 2

    arch = machine().arch
    said = f"the plan has no actions for the instance freebsd/14.4; it has freebsd/15.1,arch=aarch64, local,arch={arch}"
    assert capsys.readouterr().err == f"error: build/plan.json: {said}\n"


def test_an_instance_whose_worker_is_not_there_yet_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    far = action(make_sdist(here / "sdists", "spam"), instance="freebsd/15.1")
    write_plan(PLAN, far, workers={"freebsd/15.1": "remote-execution"})

    assert main([f"freebsd/15.1,arch={machine().arch}"]) == 2

    said = "the instance freebsd/15.1 needs a remote-execution worker, which spare-tire does not have yet"
    assert capsys.readouterr().err == f"error: {said}; it has: core-ci, local, ssh\n"
    assert not Path("dist").exists()


def test_without_an_instance_only_what_this_machine_builds_is_built(here: Path) -> None:
    sdist = make_sdist(here / "sdists", "spam")
    far = action(make_sdist(here / "sdists", "eggs"), instance="freebsd/15.1")
    write_plan(PLAN, action(sdist), far, workers={"freebsd/15.1": "core-ci"})

    assert main([]) == 0

    assert wheels() == [wheel_name("spam")]


def test_job_data_selects_actions_of_the_plan(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spam = action(make_sdist(here / "sdists", "spam"))
    write_plan(PLAN, spam, action(make_sdist(here / "sdists", "eggs")))
    packages = [{"action": spam.key, "name": "spam", "constraints": "$(touch hacked)"}]
    job_data = {"instance": "local", "arch": machine().arch, "packages": packages}
    monkeypatch.setenv("JOB_DATA", json.dumps(job_data))

    assert main(["local"]) == 0

    assert wheels() == [wheel_name("spam")]


def test_job_data_of_another_plan_is_not_built(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plan(PLAN, action(make_sdist(here / "sdists", "spam")))
    job_data = {"instance": "local", "arch": machine().arch, "packages": [{"action": "f" * 64}]}
    monkeypatch.setenv("JOB_DATA", json.dumps(job_data))

    assert main([]) == 2

    assert capsys.readouterr().err == (
        f"error: build/plan.json: JOB_DATA names the action {'f' * 64}, which the plan does not have for "
        f"local,arch={machine().arch}; this is another plan than the one that JOB_DATA comes from\n"
    )


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "\u0661"])
def test_jobs_is_a_number_from_one_up(jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--jobs={jobs}"]) == 2
    assert f"argument --jobs: {jobs!r}, expected a number from 1 up" in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for option in ("INSTANCE", "--plan FILE", "--dist DIR", "--jobs N", "--no-check", "--json", "--quiet", "--verbose"):
        assert option in said
