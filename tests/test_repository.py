"""The repository keeps its own rules: who imports whom, what the locks hold, what no file may say."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nox import registry
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pip._internal.models.index import PyPI, TestPyPI

import noxfile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packaging.utils import NormalizedName

ROOT = Path(__file__).resolve().parents[1]
SESSIONS = registry.get()
STAGES = sorted(name for name in SESSIONS if (ROOT / "tasks" / f"{name}.py").exists())
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.glob("tasks/**/*.py")
}
HELPER = "tasks.workers.helper"

# The floors of the building; no arrow runs up.
CORE, DOOR, EDGE, STAGE = range(4)

# Folders that only some stages use: pure inside, but for these modules at their rim.
FOLDERS = {"monorepo": {"components", "plan"}, "golden_files": {"golden"}}
RIMS = {
    "monorepo": {"builds", "checks", "planned", "runs", "source_tree"},
    "golden_files": {"call", "folders", "readers"},
}

# Distributions whose import name is another.
DISTRIBUTIONS = {"ansible": "ansible-core", "pypi_simple": "pypi-simple", "yaml": "pyyaml"}


def files() -> list[Path]:
    """Return every text file of the repository, those included that are about to be added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(ROOT / name for name in set(listed.split("\0")) if name and (ROOT / name).is_file())


def lines() -> Iterator[tuple[str, str]]:
    """Yield each line of the repository's files with its place, ``file:line``."""
    for path in files():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{number}", line


# ── Architecture ──────────────────────────────────────────────────────────────────────────────────────────────────────


def imports(module: str, *, at_run_time: bool = False) -> set[str]:
    """Return the modules that a module of ours imports anywhere in it, functions included."""
    return set(_imported(ast.parse(MODULES[module].read_text(encoding="utf-8")), at_run_time=at_run_time))


def _imported(node: ast.AST, *, at_run_time: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (_module(alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (_module(f"{node.module}.{alias.name}") for alias in node.names)
    elif at_run_time and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    for child in ast.iter_child_nodes(node):
        yield from _imported(child, at_run_time=at_run_time)


def _module(name: str) -> str:
    """Return the module of ours that a dotted name lies in, or the top-level package of another's."""
    while name.startswith("tasks.") and name not in MODULES:
        name = name.rpartition(".")[0]
    return name if name.startswith("tasks.") else name.partition(".")[0]


def floor(module: str) -> int:
    """Return the floor that a module is on."""
    parts = module.split(".")
    if parts[1:2] == ["core"]:
        return CORE
    if parts[1:2] in (["workers"], ["stores"], ["services"], ["monorepo"], ["golden_files"], ["serve"]):
        return EDGE
    return STAGE if len(parts) == 2 and parts[1] in STAGES else DOOR


def reached(module: str) -> set[str]:
    """Return every module that running a module can import, ours and others'; a module brings its package along."""
    found: set[str] = set()
    ahead = {module}
    while ahead:
        found |= ahead
        ours = {name for name in ahead if name in MODULES}
        packages = {name.rpartition(".")[0] for name in ours} - {""}
        ahead = ({name for each in ours for name in imports(each, at_run_time=True)} | packages) - found
    return found


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_arrow_runs_up(module: str) -> None:
    above = {name for name in imports(module) if name.startswith("tasks.") and floor(name) > floor(module)}
    assert above == set()


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_imports_a_stage(stage: str) -> None:
    assert {name for name in reached(f"tasks.{stage}") if name.startswith("tasks.") and floor(name) == STAGE} == {
        f"tasks.{stage}"
    }


@pytest.mark.parametrize("module", sorted(name for name in MODULES if floor(name) == CORE))
def test_core_imports_only_the_standard_library_packaging_and_itself(module: str) -> None:
    others = imports(module) - sys.stdlib_module_names - {"packaging"}
    assert {name for name in others if not name.startswith("tasks.core")} == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_inside_of_a_folder_imports_only_core_and_itself(folder: str) -> None:
    rim = {f"tasks.{folder}.{name}" for name in RIMS[folder]}
    inside = {name for name in MODULES if name.startswith(f"tasks.{folder}")} - rim
    others = {each for name in inside for each in imports(name)} - sys.stdlib_module_names - {"packaging"}
    assert rim < MODULES.keys()
    assert {name for name in others - inside if not name.startswith("tasks.core")} == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_used_by_its_stages_alone(folder: str) -> None:
    users = {stage for stage in STAGES if any(name.startswith(f"tasks.{folder}") for name in reached(f"tasks.{stage}"))}
    assert users == FOLDERS[folder]


def test_the_helper_imports_only_the_standard_library() -> None:
    assert imports(HELPER) - sys.stdlib_module_names == set()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_what_its_requirements_name(stage: str) -> None:
    named = {requirement.name.lower() for requirement in requirements(f"{stage}.in")}
    others = {name for name in reached(f"tasks.{stage}") - sys.stdlib_module_names if not name.startswith("tasks")}
    assert {DISTRIBUTIONS.get(name, name) for name in others} - named == set()


# ── Sessions and locks ────────────────────────────────────────────────────────────────────────────────────────────────


def requirements(name: str) -> list[Requirement]:
    """Return the requirements of a file in ``requirements/``, without its options and hashes."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    wanted = [line.partition(" --hash")[0].strip() for line in text.splitlines()]
    return [Requirement(line) for line in wanted if line and not line.startswith(("#", "-"))]


def versions(lock: str) -> dict[NormalizedName, set[str]]:
    """Return the versions that a lock pins for each package; a version may be for some Pythons only."""
    pinned: dict[NormalizedName, set[str]] = {}
    for requirement in requirements(f"{lock}.txt"):
        pinned.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier))
    return pinned


LOCKS = sorted(path.stem for path in ROOT.glob("requirements/*.in"))


def test_the_main_job_is_plan_build_publish() -> None:
    assert [name for name, session in SESSIONS.items() if session.default] == ["plan", "build", "publish"]


TIDY = """\
import signal, sys, time
def interrupt(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
signal.signal(signal.SIGINT, interrupt)
signal.signal(signal.SIGTERM, interrupt)
try:
    print("ready", flush=True)
    time.sleep(20)
except KeyboardInterrupt:
    time.sleep(1)
    print("tidied up", flush=True)
    sys.exit(130)
"""


@pytest.mark.parametrize("stage", ["plan", "build", "publish"])
@pytest.mark.parametrize(
    ("number", "send"), [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interrupted_stage_may_tidy_up_before_nox_ends_it(
    tmp_path: Path, stage: str, number: int, send: Callable[[int, int], None]
) -> None:
    shutil.copy(ROOT / "noxfile.py", tmp_path)
    for name, text in {f"requirements/{stage}.txt": "", "tasks/__init__.py": "", f"tasks/{stage}.py": TIDY}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    argv = [sys.executable, "-m", "nox", "--no-install", "-s", stage]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True) as running:
        assert running.stdout is not None
        next(line for line in running.stdout if line == "ready\n")
        send(running.pid, number)  # a terminal sends Ctrl-C to all, others SIGTERM to the one that they started
        assert "tidied up\n" in list(running.stdout)
    assert running.returncode == 130


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_says_in_a_line_what_it_does(name: str) -> None:
    assert re.fullmatch(r"[A-Z][^\n]+\.", SESSIONS[name].__doc__ or "")


def test_each_session_has_its_lock_and_no_lock_is_left_over() -> None:
    functions = {session.func.__name__ for session in SESSIONS.values()}
    assert functions == set(LOCKS) == {path.stem for path in ROOT.glob("requirements/*.txt")}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_everything_with_its_hashes_and_names_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and "#" not in line]
    assert [line for line in entries if not re.match(r"[a-z0-9-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", line)] == []
    assert "://" not in text


@pytest.mark.parametrize("stage", sorted(stage for stage, _ in noxfile.TESTS.values() if stage))
def test_the_tests_lock_fits_over_the_lock_of_a_stage(stage: str) -> None:
    ours, theirs = versions("tests"), versions(stage)
    assert {name: ours[name] for name in ours.keys() & theirs.keys() if not ours[name] <= theirs[name]} == {}


def test_each_test_file_is_in_one_part() -> None:
    parts = {
        path: [part for part, (_, patterns) in noxfile.TESTS.items() if _holds(noxfile.test_files(patterns), path)]
        for path in sorted(path.relative_to(ROOT) for path in ROOT.glob("tests/**/test_*.py"))
        if path.parts[1] != "system"
    }
    assert {str(path): found for path, found in parts.items() if len(found) != 1} == {}


def _holds(found: list[str], path: Path) -> bool:
    return any(path.is_relative_to(each) for each in found)


@pytest.mark.parametrize("part", noxfile.TESTS)
def test_each_pattern_of_a_part_names_a_test(part: str) -> None:
    _, patterns = noxfile.TESTS[part]
    assert [pattern for pattern in patterns if not noxfile.test_files([pattern])] == []


# ── What no file may say, and what the documentation says ─────────────────────────────────────────────────────────────


def test_no_file_names_the_host_of_a_package_registry() -> None:
    hosts = {host for index in (PyPI, TestPyPI) for host in (index.netloc, index.file_storage_domain)}
    assert [place for place, line in lines() if any(host in line for host in hosts)] == []


def test_no_file_names_a_path_of_this_machine() -> None:
    paths = [f"{path}/" for path in (ROOT, Path.home()) if path != Path("/")]
    assert [place for place, line in lines() if any(path in line for path in paths)] == []


def test_the_readme_and_ci_run_the_same_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.split("```sh\n")[1].split("\n```")[0]
    first, second = (line.partition("#")[0].strip() for line in block.splitlines())
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    prepare, _, main_job = first.rpartition(" && ")
    assert main_job == ".venv/bin/nox"
    assert f"\n{prepare} || exit\n" in ci
    assert f"\n{second} 2>&1 |" in ci


def test_every_nox_command_in_the_documents_names_a_session() -> None:
    documents = [path for path in files() if path.suffix in {".md", ".yml"} or path.parent.name == ".ci"]
    named = {name for path in documents for name in re.findall(r"nox -s '?([a-z-]+)", path.read_text(encoding="utf-8"))}
    assert named - SESSIONS.keys() == set()


@pytest.mark.parametrize("document", [str(path.relative_to(ROOT)) for path in files() if path.suffix == ".md"])
def test_every_link_of_a_document_leads_to_a_file(document: str) -> None:
    path = ROOT / document
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []
