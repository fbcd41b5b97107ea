"""The real pip is asked the same question of the same files, and has to agree."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tasks.core.errors import BadInput
from tasks.services.pip_config import PipSettings, read_pip_settings


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip, whose site file the tests write."""
    made = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(made, with_pip=True)
    return made


class Layout:
    """A home, a shared directory and an environment, and the variables that make programs use them."""

    def __init__(self, root: Path, environment: Path) -> None:
        self.environment = environment
        self.places = {
            "global": root / "xdg" / "pip" / "pip.conf",
            "global2": root / "xdg2" / "pip" / "pip.conf",
            "legacy": root / "home" / ".pip" / "pip.conf",
            "user": root / "home" / ".config" / "pip" / "pip.conf",
            "site": environment / "pip.conf",
            "named": root / "named.conf",
        }
        self.variables = {
            "HOME": str(root / "home"),
            "PATH": os.environ["PATH"],
            "XDG_CONFIG_DIRS": f"{root / 'xdg'}:{root / 'xdg2'}",
        }
        (root / "home").mkdir()
        self.places["site"].unlink(missing_ok=True)

    def write(self, place: str, text: str) -> None:
        self.places[place].parent.mkdir(parents=True, exist_ok=True)
        self.places[place].write_text(text, encoding="utf-8")

    def ours(self) -> PipSettings:
        return read_pip_settings(self.variables, prefix=str(self.environment))

    def pips(self) -> str | None:
        """What the real pip of the environment uses: ``:env:`` before ``global``."""
        listed = subprocess.run(
            [str(self.environment / "bin" / "python"), "-m", "pip", "config", "list"],
            env=self.variables,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        values = dict(line.split("=", 1) for line in listed.splitlines())
        value = values.get(":env:.index-url") or values.get("global.index-url")
        return value.strip("'") if value else None


@pytest.fixture
def layout(tmp_path: Path, environment: Path) -> Layout:
    return Layout(tmp_path, environment)


MACHINE = Path("/etc/pip.conf")  # belongs to the machine: every layout has it

pytestmark = [
    pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="the files stand elsewhere there"),
    pytest.mark.skipif(
        MACHINE.exists() and bool(re.search(r"(?m)^\s*index[-_]url", MACHINE.read_text(encoding="utf-8"))),
        reason=f"{MACHINE} names an index",
    ),
]

INDEX = "[global]\nindex-url = https://{}.example/simple\n"


@pytest.mark.parametrize(
    ("files", "wins"),
    [
        (["global"], "global"),
        (["global", "global2"], "global2"),
        (["global", "legacy"], "legacy"),
        (["global", "legacy", "user"], "user"),
        (["global", "user", "site"], "site"),
    ],
)
def test_the_later_file_wins(layout: Layout, files: list[str], wins: str) -> None:
    for place in files:
        layout.write(place, INDEX.format(place))

    assert layout.pips() == f"https://{wins}.example/simple"
    assert layout.ours().index_url == f"https://{wins}.example/simple"
    assert layout.ours().index_url_from == str(layout.places[wins])


def test_a_file_that_the_environment_names_replaces_the_users_and_beats_all(layout: Layout) -> None:
    layout.write("site", INDEX.format("site"))
    layout.write("user", "[global]\nindex-url = https://user.example/simple\ncert = users.pem\n")
    layout.write("named", INDEX.format("named"))
    layout.variables["PIP_CONFIG_FILE"] = str(layout.places["named"])

    assert layout.pips() == "https://named.example/simple"
    assert layout.ours().index_url == "https://named.example/simple"
    assert layout.ours().cert != "users.pem"


def test_a_named_file_that_is_not_there_changes_nothing(layout: Layout) -> None:
    layout.write("user", INDEX.format("user"))
    layout.variables["PIP_CONFIG_FILE"] = str(layout.places["named"])

    assert layout.pips() == "https://user.example/simple"
    assert layout.ours().index_url == "https://user.example/simple"


def test_the_null_device_as_named_file_turns_every_file_off(layout: Layout) -> None:
    layout.write("user", INDEX.format("user"))
    layout.write("site", INDEX.format("site"))
    layout.variables["PIP_CONFIG_FILE"] = os.devnull

    assert layout.pips() is None
    assert layout.ours().index_url is None


def test_the_variable_beats_every_file(layout: Layout) -> None:
    layout.write("site", INDEX.format("site"))
    layout.variables["PIP_INDEX_URL"] = "https://variable.example/simple"

    assert layout.pips() == "https://variable.example/simple"
    assert layout.ours().index_url == "https://variable.example/simple"
    assert layout.ours().index_url_from == "PIP_INDEX_URL"


def test_an_empty_variable_says_nothing(layout: Layout) -> None:
    layout.write("user", INDEX.format("user"))
    layout.variables["PIP_INDEX_URL"] = ""

    assert layout.ours().index_url == "https://user.example/simple"


@pytest.mark.parametrize("spelling", ["index-url", "index_url", "INDEX-URL", "--index-url"])
def test_keys_are_spelt_as_pip_allows(layout: Layout, spelling: str) -> None:
    layout.write("user", f"[global]\n{spelling}: https://user.example/simple\n")

    assert layout.pips() == "https://user.example/simple"
    assert layout.ours().index_url == "https://user.example/simple"


def test_the_sections_of_single_commands_do_not_count(layout: Layout) -> None:
    layout.write("user", "[install]\nindex-url = https://install.example/simple\n")

    assert layout.pips() is None
    assert layout.ours().index_url is None


def test_certificates_proxy_and_timeout_are_read(layout: Layout) -> None:
    layout.write("user", "[global]\ncert = ca.pem\nproxy = http://me:s3cret@proxy.example:3128\ntimeout = 60\n")

    settings = layout.ours()

    assert (settings.cert, settings.timeout) == ("ca.pem", 60.0)
    assert settings.proxy == "http://me:s3cret@proxy.example:3128"
    assert "s3cret" not in repr(settings)


def test_a_broken_file_is_named(layout: Layout) -> None:
    layout.write("user", "index-url = https://user.example/simple\n")

    with pytest.raises(BadInput) as caught:
        layout.ours()

    path = layout.places["user"]
    assert str(caught.value) == (
        f"{path}: pip's configuration cannot be read: File contains no section headers. "
        f"file: '{path}', line: 1 'index-url = https://user.example/simple\\n'"
    )


def test_a_timeout_that_is_no_number_is_named(layout: Layout) -> None:
    layout.variables["PIP_TIMEOUT"] = "soon"

    with pytest.raises(BadInput) as caught:
        layout.ours()

    assert str(caught.value) == "pip's setting timeout is 'soon', expected a number of seconds"
