"""Findings as SARIF 2.1.0 (OASIS), which code review tools show beside the lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tasks.monorepo.lint import SUMMARIES

if TYPE_CHECKING:
    from tasks.monorepo.lint import Report
    from tasks.monorepo.values import Finding

VERSION = "2.1.0"


def sarif(report: Report) -> bytes:
    """Return the log of one run: findings as errors, waived ones as suppressed with the reason."""
    rules = [{"id": rule, "shortDescription": {"text": text}} for rule, text in SUMMARIES.items()]
    results = [_result(finding) for finding in report.findings]
    for waived in report.waived:
        suppressed = [{"kind": "external", "status": "accepted", "justification": waived.reason}]
        results.append({**_result(waived.finding), "suppressions": suppressed})
    run = {
        "tool": {"driver": {"name": "spare-tire components", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    log = {"version": VERSION, "runs": [run]}
    return (json.dumps(log, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _result(finding: Finding) -> dict[str, Any]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": list(SUMMARIES).index(finding.rule),
        "level": "error",
        "message": {"text": finding.message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(finding.file),
                    "region": {"startLine": finding.line},
                },
                "logicalLocations": [{"fullyQualifiedName": finding.component, "kind": "module"}],
            }
        ],
    }


def _artifact(file: str) -> dict[str, str]:
    path = Path(file)
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix()), "uriBaseId": "%SRCROOT%"}
