"""A build run as test results in JUnit's XML, which CIs show: each wheel is a test, each instance a suite."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tasks.core.addresses import without_credentials
from tasks.core.build_report import FAILED
from tasks.core.logs import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.records import ActionOutcome

_NO_CHARACTER = re.compile(r"[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


def junit(outcomes: Sequence[ActionOutcome]) -> bytes:
    """Return the bytes of the file; times are seconds."""
    places: dict[tuple[str, str], list[ActionOutcome]] = defaultdict(list)
    for each in outcomes:
        places[each.action.instance, each.action.arch].append(each)
    root = ET.Element("testsuites")
    for place in sorted(places):
        found = places[place]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=" ".join(place),
            tests=str(len(found)),
            failures=str(sum(each.outcome in FAILED for each in found)),
            time=f"{sum(each.seconds for each in found):.3f}",
        )
        for each in found:
            _add_case(suite, each)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _add_case(suite: ET.Element, outcome: ActionOutcome) -> None:
    action = outcome.action
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"{action.package} {action.version}",
        name=outcome.wheel or action.wheel.filename,
        time=f"{outcome.seconds:.3f}",
    )
    if outcome.outcome in FAILED:
        failure = ET.SubElement(case, "failure", type=outcome.check or outcome.outcome, message=_text(outcome.reason))
        failure.text = "\n".join(map(_text, outcome.tail))


def _text(value: str | None) -> str:
    return _NO_CHARACTER.sub("\ufffd", plain(without_credentials(value or "")))
