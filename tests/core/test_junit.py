from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from tasks.core.junit import junit
from tasks.core.records import ActionOutcome
from tests.actions import action_of

ACTION = action_of("PyYAML", "6.0.3")
BUILT = ActionOutcome(action=ACTION, outcome="built", wheel="other.whl", seconds=1.5)
FAILED = ActionOutcome(
    action=ACTION,
    outcome="failed",
    reason="import: no <yaml> at https://user:pw@x.test/",
    check="import",
    tail=("one", "\x1b[31mtwo\x00\ufffe"),
    seconds=2.25,
)


def test_a_wheel_is_a_test_and_an_instance_a_suite() -> None:
    elsewhere = replace(BUILT, action=replace(ACTION, instance="a/1"), seconds=0.0)
    assert junit([BUILT, FAILED, elsewhere]).decode() == (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        "<testsuites>\n"
        '  <testsuite name="a/1 x86_64" tests="1" failures="0" time="0.000">\n'
        '    <testcase classname="PyYAML 6.0.3" name="other.whl" time="0.000" />\n'
        "  </testsuite>\n"
        '  <testsuite name="local x86_64" tests="2" failures="1" time="3.750">\n'
        '    <testcase classname="PyYAML 6.0.3" name="other.whl" time="1.500" />\n'
        f'    <testcase classname="PyYAML 6.0.3" name="{ACTION.wheel.filename}" time="2.250">\n'
        '      <failure type="import" message="import: no &lt;yaml&gt; at https://x.test/">one\n'
        "two\ufffd</failure>\n"
        "    </testcase>\n"
        "  </testsuite>\n"
        "</testsuites>\n"
    )


def test_what_was_refused_is_a_failure_of_that_kind() -> None:
    refused = ActionOutcome(action=ACTION, outcome="refused", reason="another digest")
    (failure,) = ET.fromstring(junit([refused])).iter("failure")  # noqa: S314 - we have written it
    assert failure.attrib == {"type": "refused", "message": "another digest"}


def test_no_outcome_is_an_empty_file_of_the_same_form() -> None:
    assert junit([]) == b"<?xml version='1.0' encoding='utf-8'?>\n<testsuites />\n"
