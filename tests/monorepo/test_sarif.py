from __future__ import annotations

import json
from typing import Any

import pytest
from sarif_pydantic import Sarif

from tasks.monorepo.lint import Report, Waived
from tasks.monorepo.sarif import sarif
from tasks.monorepo.values import Finding

FINDING = Finding(file="a b/BUILD", line=5, rule="R3", component="a.b.c", message="<globs>")
ELSEWHERE = Finding(file="/x/BUILD", line=1, rule="R11", component="a.b.d", message="a → b")
REPORT = Report(findings=(FINDING,), waived=(Waived(finding=ELSEWHERE, reason="history"),))


def results(report: Report) -> list[dict[str, Any]]:
    found = json.loads(sarif(report))["runs"][0]["results"]
    assert isinstance(found, list)
    return found


def test_a_finding_stands_at_its_line() -> None:
    assert results(REPORT)[0] == {
        "ruleId": "R3",
        "ruleIndex": 2,
        "level": "error",
        "message": {"text": "<globs>"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "a%20b/BUILD", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 5},
                },
                "logicalLocations": [{"fullyQualifiedName": "a.b.c", "kind": "module"}],
            }
        ],
    }


def test_a_waived_finding_is_suppressed_with_its_reason() -> None:
    waived = results(REPORT)[1]
    assert waived["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "history"}]
    assert waived["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "file:///x/BUILD"}


def test_rules_are_described_and_referred_to_by_their_index() -> None:
    run = json.loads(sarif(REPORT))["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[each["ruleIndex"]]["id"] for each in run["results"]] == ["R3", "R11"]
    assert [rule["id"] for rule in rules] == [*(f"R{number}" for number in range(1, 12)), "waiver"]


def test_another_reader_of_sarif_takes_it() -> None:
    log = Sarif.model_validate_json(sarif(REPORT))
    found = log.runs[0].results
    assert found is not None
    assert [(each.rule_id, each.message.text) for each in found] == [("R3", "<globs>"), ("R11", "a → b")]


def test_that_reader_refuses_what_is_no_sarif() -> None:
    """So that it is more than a reader of JSON."""
    log = json.loads(sarif(REPORT))
    del log["runs"][0]["results"][0]["message"]
    with pytest.raises(ValueError, match="message"):
        Sarif.model_validate(log)


def test_what_the_standard_requires_is_there() -> None:
    log = json.loads(sarif(Report(findings=(), waived=())))
    assert log.keys() >= {"version", "runs"}
    assert log["version"] == "2.1.0"
    assert log["runs"][0]["results"] == []  # an empty list says that it has looked and found nothing
    assert log["runs"][0]["tool"]["driver"]["name"] == "spare-tire components"
