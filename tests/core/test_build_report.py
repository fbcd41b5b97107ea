from __future__ import annotations

from tasks.core.build_report import MOST, markdown
from tasks.core.records import ActionOutcome
from tests.actions import action_of

ACTION = action_of("PyYAML", "6.0.3")
BUILT = ActionOutcome(action=ACTION, outcome="built", wheel=ACTION.wheel.filename, seconds=12.34)
FAILED = ActionOutcome(
    action=ACTION,
    outcome="failed",
    reason="the build failed: no <yaml.h>",
    log="logs/abc.txt.gz",
    tail=("gcc -c x.c", "fatal: ```no``` yaml.h"),
)
WHEEL, PLACE = ACTION.wheel.filename, f"{ACTION.instance} {ACTION.arch}"


def test_a_row_for_each_wheel() -> None:
    assert markdown([BUILT], "dist", None) == (
        "### 1 wheel\n\n"
        "| outcome | wheel | seconds | instance |\n"
        "| --- | --- | --- | --- |\n"
        f"| built | {WHEEL} | 12.3 | {PLACE} |\n"
    )


def test_a_failure_with_its_reason_its_last_lines_and_where_its_log_is() -> None:
    report = markdown([BUILT, FAILED], "dist", "[dist-a-1](https://ci.test/7)")
    assert report.startswith("### 1 wheel, 1 failed\n")
    assert report.partition(f"| failed | {WHEEL} |  | {PLACE} |\n\n")[2] == (
        "Wheels, records and logs are in the artifact [dist-a-1](https://ci.test/7).\n\n"
        f"#### failed: {WHEEL}\n\n"
        "the build failed: no \\<yaml.h\\>\n\n"
        "Its last lines:\n\n"
        "````text\ngcc -c x.c\nfatal: ```no``` yaml.h\n````\n\n"
        "The whole log is `logs/abc.txt.gz` in the artifact [dist-a-1](https://ci.test/7).\n"
    )


def test_without_an_artifact_the_log_is_in_dist() -> None:
    assert "The whole log is `logs/abc.txt.gz` in `out/dist`.\n" in markdown([FAILED], "out/dist", None)


def test_what_has_no_log_names_none() -> None:
    refused = ActionOutcome(action=ACTION, outcome="refused", reason="another digest")
    report = markdown([refused], "dist", None)
    assert f"#### refused: {WHEEL}\n\nanother digest\n" in report
    assert "log" not in report
    assert "Its last lines" not in report


def test_a_page_shows_so_many_failures_and_counts_the_rest() -> None:
    report = markdown([FAILED] * (MOST + 2), "dist", None)
    assert report.count("#### failed") == MOST
    assert "2 more failed; their logs are in `dist`.\n" in report
