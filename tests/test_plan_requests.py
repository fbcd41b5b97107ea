"""What a plan costs, counted: every request to our index and to the public one."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tasks import plan
from tasks.stores.places import STORES, open_store
from tests.plans import FREEBSD, TARGETS, Here, folder_to_plan_in
from tests.services.web_server import Reply, WebServer, web_server
from tests.stores.memory import CountingStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHONS = ("cp312", "cp313")


class Counted:
    """Plans in a folder, its own index behind a store that counts and the public one behind a real server."""

    def __init__(self, here: Here, web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.here = here
        self.web = web
        self.stores: list[CountingStore] = []
        monkeypatch.setitem(STORES, "counted", self._open)

    def _open(self, location: str) -> CountingStore:
        self.stores.append(CountingStore(open_store(location.removeprefix("counted://"))))
        return self.stores[-1]

    def serve(self, project: str, *files: str) -> None:
        links = "".join(f'<a href="../../files/{file}#sha256={"5" * 64}">{file}</a>\n' for file in files)
        headers = {"Content-Type": "text/html", "ETag": f'"{len(files)}"'}
        self.web.replies[f"/simple/{project}/"] = Reply(body=f"<!DOCTYPE html>{links}".encode(), headers=headers)

    def publish(self, project: str, *versions: str) -> None:
        tags = [f"{python}-{python}-{FREEBSD}" for python in PYTHONS]
        self.here.publish(project, *(f"{project}-{version}-{tag}.whl" for version in versions for tag in tags))

    def ask(self, packages: str, *arguments: str) -> dict[str, int]:
        """Plan; return how many requests of each kind it took."""
        text = TARGETS.replace("[cp312]", f"[{', '.join(PYTHONS)}]").replace("PUBLIC", f"{self.web.url}/simple")
        self.here.ask(packages, text)
        asked = len(self.web.asked)
        self.stores.clear()
        assert plan.main(["--quiet", "--index", f"counted://{self.here.folder}/dist/index", *arguments]) == 0
        requests = Counter(f"our {verb}" for store in self.stores for verb in store.requests.elements())
        requests.update(f"public {request.status}" for request in self.web.asked[asked:])
        return dict(sorted(requests.items()))

    def decided(self) -> dict[str, int]:
        """What the last plan came to."""
        document = json.loads(self.here.plan.read_bytes())
        return {part: len(document[part]) for part in ("actions", "skipped", "errors") if document[part]}

    def reasons(self) -> list[str]:
        """Why the last plan builds nothing."""
        return [skipped["reason"] for skipped in json.loads(self.here.plan.read_bytes())["skipped"]]


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    with web_server() as web:
        yield Counted(folder_to_plan_in(tmp_path, monkeypatch), web, monkeypatch)


def test_pins_that_are_all_present_cost_one_request(counted: Counted) -> None:
    pins = "".join(f"  p{number}: ['1.0', '2.0']\n" for number in range(20))
    for number in range(20):
        counted.publish(f"p{number}", "1.0", "2.0")

    assert counted.ask(pins) == {"our get": 21}
    assert counted.ask(pins) == {"our get": 1}
    assert counted.decided() == {"skipped": 80}


def test_a_package_with_news_costs_its_page(counted: Counted) -> None:
    for name in ("a", "b", "c"):
        counted.publish(name, "1.0")
    pins = "  a: ['1.0']\n  b: ['1.0']\n  c: ['1.0']\n"
    counted.ask(pins)

    counted.publish("b", "1.0", "2.0")

    assert counted.ask(pins) == {"our get": 2}
    assert counted.ask(pins) == {"our get": 1}


def test_one_new_pin_costs_one_request_of_the_public_index(counted: Counted) -> None:
    counted.publish("a", "1.0")
    counted.publish("b", "1.0")
    counted.serve("b", "b-1.0.tar.gz", "b-2.0.tar.gz")
    counted.ask("  a: ['1.0']\n  b: ['1.0']\n")

    assert counted.ask("  a: ['1.0']\n  b: ['1.0', '2.0']\n") == {"our get": 1, "public 200": 1}
    assert counted.decided() == {"actions": 2, "skipped": 4}
    assert counted.ask("  a: ['1.0']\n  b: ['1.0', '2.0']\n") == {"our get": 1, "public 304": 1}


def test_latest_costs_one_request_for_each_package_however_many_entries(counted: Counted) -> None:
    for name in ("a", "b"):
        counted.publish(name, "1.0")
        counted.serve(name, f"{name}-1.0.tar.gz", f"{name}-0.9.tar.gz")

    assert counted.ask("  a: [latest, '<1', '>=1']\n  b: [latest]\n") == {"our get": 3, "public 200": 2}
    assert counted.ask("  a: [latest, '<1', '>=1']\n  b: [latest]\n") == {"our get": 1, "public 304": 2}


@pytest.mark.parametrize("wheels", [3, 300])
def test_a_legacy_index_is_listed_once_however_many_wheels_it_has(counted: Counted, wheels: int) -> None:
    packages = counted.here.folder / "dist/index/packages"
    packages.mkdir(parents=True)
    for number in range(wheels):
        (packages / f"a-{number}.0-cp312.cp313-none-{FREEBSD}.whl").touch()

    assert counted.ask("  a: ['1.0', '2.0']\n") == {"our get": 1, "our list": 1}
    assert counted.decided() == {"skipped": 4}


@pytest.mark.parametrize("others", [0, 50])
def test_the_cost_does_not_grow_with_what_nobody_asks_for(counted: Counted, others: int) -> None:
    for number in range(others):
        counted.publish(f"other{number}", "1.0")
    counted.publish("a", "1.0", *(f"0.{number}" for number in range(others)))

    assert counted.ask("  a: ['1.0']\n") == {"our get": 2}
    assert counted.ask("  a: ['1.0']\n") == {"our get": 1}


def test_a_pinned_sdist_asks_the_public_index_nothing(counted: Counted) -> None:
    pin = f"  a: {{versions: ['1.0'], sdist: 'https://files.example/a-1.0.tar.gz#sha256={'a' * 64}'}}\n"

    assert counted.ask(pin) == {"our get": 1, "our list": 1}
    assert counted.decided() == {"actions": 2}


def test_retire_asks_the_public_index_and_not_our_own(counted: Counted, capsys: pytest.CaptureFixture[str]) -> None:
    counted.publish("a", "1.0")
    counted.serve("a", "a-1.0.tar.gz", *(f"a-1.0-{python}-{python}-{FREEBSD}.whl" for python in PYTHONS))
    counted.ask("  a: ['1.0']\n")

    assert counted.ask("  a: ['1.0']\n", "--retire") == {"public 200": 1}
    assert capsys.readouterr().out.startswith("a 1.0 on freebsd: the public index serves a-1.0-cp312-cp312-")


def test_a_changed_rule_is_noticed_without_a_question(counted: Counted) -> None:
    counted.serve("a", "a-1.0.tar.gz")
    counted.ask("  a: ['1.0']\n")
    actions = json.loads(counted.here.plan.read_bytes())["actions"]
    counted.here.publish("a", *(action["wheel"] for action in actions), recipes=[action["key"] for action in actions])

    assert counted.ask("  a: ['1.0']\n") == {"our get": 2}
    assert counted.reasons() == [f"on the index: {action['wheel']}" for action in actions]
    rules = "  a: {versions: ['1.0'], build: {constraints: ['Cython<3']}}\n"
    assert counted.ask(rules) == {"our get": 1}
    changed = "recipe changed: set `revision`"
    assert counted.reasons() == [f"on the index: {action['wheel']}; {changed}" for action in actions]
