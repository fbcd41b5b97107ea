from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from tasks.core.actions import Patch
from tasks.core.addresses import without_credentials
from tasks.core.jobs import BuiltFile, Result
from tasks.core.matrix import Rules
from tasks.core.provenance import recipe_of
from tasks.core.records import ActionOutcome, Origin, record, timestamp, visit, visit_name
from tasks.core.wheels import WheelContents
from tests.actions import action_of

ACTION = action_of("PyYAML", "6.0.3", rules=Rules(patches=("patches/x.patch",)))
ACTION = replace(
    ACTION,
    sdist=replace(ACTION.sdist, url="https://me:secret@x.test/pyyaml-6.0.3.tar.gz", sha256="a" * 64),
    patches=(Patch(path="patches/x.patch", sha256="c" * 64),),
)
WHEEL = WheelContents(
    filename=ACTION.wheel.filename,
    sha256="b" * 64,
    size=7,
    members=(),
    dist_info="pyyaml-6.0.3.dist-info",
    metadata=b"",
    wheel=b"",
    record=b"",
)
RESULT = Result(
    built=True,
    reason=None,
    wheel=BuiltFile(filename=WHEEL.filename, sha256="b" * 64, size=7),
    requirements=("Cython==0.29.37", "odd one", "ruamel.yaml==1.0+own"),
    environment={"TZ": "UTC", "MIRROR": "use https://me:secret@mirror.test/x now"},
    interpreter={"version": "3.12.1"},
    tools={"cc": "gcc 12"},
    times={"build": 1.2},
    checks=({"name": "import", "outcome": "passed", "detail": "yaml"},),
)
STARTED = datetime(2026, 1, 31, 23, 59, 59, 999, tzinfo=timezone(timedelta(hours=1)))
FINISHED = STARTED + timedelta(minutes=2)
ORIGIN = Origin(worker="local", tools={"helper.py": "e" * 64}, log_sha256="d" * 64, started=STARTED, finished=FINISHED)


def test_a_record_is_an_in_toto_statement_with_slsa_provenance() -> None:
    assert json.loads(record(ACTION, WHEEL, RESULT, ORIGIN)) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "pyyaml-6.0.3-cp312-cp312-linux_x86_64.whl", "digest": {"sha256": "b" * 64}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:spare-tire:build-type:wheel:1",
                "externalParameters": {
                    "package": "PyYAML",
                    "version": "6.0.3",
                    "sdist": "https://x.test/pyyaml-6.0.3.tar.gz",
                    "wheel": "pyyaml-6.0.3-cp312-cp312-linux_x86_64.whl",
                    "target": "host",
                    "instance": "local",
                    "arch": "x86_64",
                    "python": "cp312",
                    "abi": "cp312",
                    "rules": {"patches": ["patches/x.patch"]},
                    "check": {"import": [], "requires": [], "run": None},
                },
                "internalParameters": {
                    "format": "spare-tire/record",
                    "version": 1,
                    "recipeKey": ACTION.key,
                    "environment": {"TZ": "UTC", "MIRROR": "use https://mirror.test/x now"},
                    "interpreter": {"version": "3.12.1"},
                    "tools": {"cc": "gcc 12"},
                    "network": False,
                },
                "resolvedDependencies": [
                    {
                        "name": "pyyaml-6.0.3.tar.gz",
                        "uri": "https://x.test/pyyaml-6.0.3.tar.gz",
                        "digest": {"sha256": "a" * 64},
                    },
                    {"name": "x.patch", "digest": {"sha256": "c" * 64}},
                    {"name": "Cython==0.29.37", "uri": "pkg:pypi/cython@0.29.37"},
                    {"name": "odd one", "uri": "urn:spare-tire:build-requirement:odd%20one"},
                    {"name": "ruamel.yaml==1.0+own", "uri": "pkg:pypi/ruamel-yaml@1.0%2Bown"},
                ],
            },
            "runDetails": {
                "builder": {
                    "id": "urn:spare-tire:worker:local:1",
                    "version": {"spare-tire/record": "1"},
                    "builderDependencies": [{"name": "helper.py", "digest": {"sha256": "e" * 64}}],
                },
                "metadata": {"startedOn": "2026-01-31T22:59:59Z", "finishedOn": "2026-01-31T23:01:59Z"},
                "byproducts": [
                    {
                        "name": "log",
                        "uri": "logs/pyyaml-6.0.3-cp312-cp312-linux_x86_64.whl.txt.gz",
                        "digest": {"sha256": "d" * 64},
                        "mediaType": "text/plain; charset=utf-8",
                    },
                    {
                        "name": "checks",
                        "uri": "urn:spare-tire:build-type:wheel:1:checks",
                        "annotations": {"checks": [{"name": "import", "outcome": "passed", "detail": "yaml"}]},
                    },
                    {
                        "name": "times",
                        "uri": "urn:spare-tire:build-type:wheel:1:times",
                        "annotations": {"seconds": {"build": 1.2}},
                    },
                ],
            },
        },
    }


def test_publishing_finds_the_recipe_key_in_a_record() -> None:
    assert recipe_of(record(ACTION, WHEEL, RESULT, ORIGIN), "b" * 64) == ACTION.key


def test_a_visit_lists_its_actions_by_wheel() -> None:
    failed = ActionOutcome(
        action=ACTION,
        outcome="failed",
        reason="see https://me:secret@x.test/",
        check="import",
        log=f"logs/{ACTION.key}.txt.gz",
        seconds=1.25,
        started=STARTED,
        finished=FINISHED,
    )
    assert json.loads(visit("local", "x86_64", "local", (failed,), started=STARTED, finished=FINISHED)) == {
        "format": "spare-tire/visit",
        "version": 1,
        "instance": "local",
        "arch": "x86_64",
        "worker": "local",
        "started": "2026-01-31T22:59:59Z",
        "finished": "2026-01-31T23:01:59Z",
        "actions": [
            {
                "key": ACTION.key,
                "package": "PyYAML",
                "version": "6.0.3",
                "python": "cp312",
                "expected": "pyyaml-6.0.3-cp312-cp312-linux_x86_64.whl",
                "outcome": "failed",
                "wheel": None,
                "sha256": None,
                "reason": "see https://x.test/",
                "failed_check": "import",
                "log": f"logs/{ACTION.key}.txt.gz",
                "seconds": 1.2,
                "started": "2026-01-31T22:59:59Z",
                "finished": "2026-01-31T23:01:59Z",
            }
        ],
    }


def test_a_visit_is_named_after_its_instance_and_time() -> None:
    assert visit_name("freebsd/15.1", STARTED) == "freebsd-15.1-20260131T225959Z"
    assert timestamp(datetime(2026, 1, 31, tzinfo=UTC)) == "2026-01-31T00:00:00Z"


def test_addresses_lose_their_user_info() -> None:
    assert (
        without_credentials("a https://u:p@h.test/x and http://t@h.test b@c")
        == "a https://h.test/x and http://h.test b@c"
    )
