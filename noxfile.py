"""Everything that can be done here. ``nox -l`` lists it; ``nox`` alone plans, builds and publishes.

A session is a docstring, a lock to install and a module to run. What a session may import is what its lock
``requirements/<session>.txt`` holds, and nothing else: ``nox -s STAGE -- OPTIONS`` is ``python -m tasks.STAGE OPTIONS``
in that environment. ``nox -t check`` is what every change has to pass.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
os.environ.setdefault("UV_SYSTEM_CERTS", "1")  # uv then trusts whom pip and the system trust

AZURE_SCHEMA = [
    "--builtin-schema=vendor.azure-pipelines",
    "--data-transform=azure-pipelines",
    "--regex-variant=nonunicode",
]
COVERAGE = Path("build/coverage/data")

# Each part of the tests: the stage in whose lock it runs, if any, and its files. No test is in two parts.
TESTS: dict[str, tuple[str | None, list[str]]] = {
    "core": (None, ["core"]),
    "plan": ("plan", ["test_plan*.py", "test_matrix*.py", "test_console.py", "services"]),
    "build": ("build", ["test_build*.py", "test_inspection.py", "test_script*.py", "test_process.py", "workers"]),
    "publish": (
        "publish",
        ["test_publish*.py", "test_pages.py", "test_serve.py", "test_wheelfile.py", "stores"],
    ),
    "components": ("components", ["test_components*.py", "monorepo"]),
    "golden": ("golden", ["test_golden*.py", "golden_files"]),
    "index": ("bench", ["test_index*.py"]),  # the lock that has all stages' libraries: one writes, another's reads
    "lock": ("lock", ["test_lock.py"]),
    "pipeline": ("plan", ["pipeline"]),  # the harness that runs azure-pipelines.yml reads YAML
    "repository": (None, ["test_repository.py"]),
    "flow": (None, ["test_flow.py"]),
}

# Programs that `tests-system` needs, and the Debian packages that bring them.
PROGRAMS = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "busybox": "busybox",
    "bwrap": "bubblewrap",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "musl-gcc": "musl-tools",
    "nginx": "nginx",
    "qemu-aarch64-static": "qemu-user-static",
    "shellcheck": "shellcheck",
    "sshd": "openssh-server",
    "strace": "strace",
}

FAREWELL = 180
"""Seconds that an interrupted stage has to give machines back and to tidy up; nox' own default is half a second."""
signal.signal(signal.SIGTERM, signal.default_int_handler)  # else nox ends, and what it has started goes on


@nox.session
def plan(session: nox.Session) -> None:
    """Find out which wheels are missing, and write the plan to build them."""
    install(session, "plan")
    session.run("python", "-m", "tasks.plan", *session.posargs, terminate_timeout=FAREWELL)


@nox.session
def build(session: nox.Session) -> None:
    """Build the planned wheels that this machine can build, or those of one INSTANCE."""
    install(session, "build")
    session.run("python", "-m", "tasks.build", *session.posargs, terminate_timeout=FAREWELL)


@nox.session
def publish(session: nox.Session) -> None:
    """Publish the built wheels to the package index; ``-- --serve`` shows a directory index."""
    install(session, "publish")
    session.run("python", "-m", "tasks.publish", *session.posargs, terminate_timeout=FAREWELL)


@nox.session(default=False)
def components(session: nox.Session) -> None:
    """Check, list, build or prove a monorepo's own packages: ``-- lint|list|build|verify [DIR…]``."""
    install(session, "components")
    session.run("python", "-m", "tasks.components", *session.posargs)


@nox.session(default=False)
def golden(session: nox.Session) -> None:
    """Check that files made by any version are still read, list them, add one: ``-- check|list|add``."""
    install(session, "golden")
    session.run("python", "-m", "tasks.golden", *session.posargs)


@nox.session(default=False, tags=["check"])
def lint(session: nox.Session) -> None:
    """Check style, architecture and the CI files; ``-- --fix`` mends what can be mended."""
    install(session, "lint")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--diff"]))
    session.run("check-jsonschema", *AZURE_SCHEMA, "azure-pipelines.yml")
    workflows = sorted(map(str, Path(".github/workflows").glob("*.yml")))
    session.run("check-jsonschema", "--builtin-schema=vendor.github-workflows", *workflows)


@nox.session(default=False, tags=["check"])
def typing(session: nox.Session) -> None:
    """Check the types of all code, tests included."""
    install(session, "typing")
    session.run("mypy", *session.posargs)


@nox.session(default=False, tags=["check"])
@nox.parametrize("part", [nox.param(part, id=part) for part in TESTS])
def tests(session: nox.Session, part: str) -> None:
    """Run the tests of one part in its stage's own lock plus pytest; options go to pytest."""
    stage, patterns = TESTS[part]
    install(session, *([stage] if stage else []), "tests")
    session.notify("coverage")
    files = test_files(patterns) or session.error(f"tests/ has none of {', '.join(patterns)}")
    session.run("coverage", "run", f"--data-file={COVERAGE}.{part}", "-m", "pytest", *files, *session.posargs)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Report which lines and branches no test reached; ``tests`` ends with it."""
    if not any(COVERAGE.parent.glob(f"{COVERAGE.name}.*")):
        session.skip("nothing has been measured")
    install(session, "coverage")
    COVERAGE.unlink(missing_ok=True)  # what was combined before; each part has kept its own
    session.run("coverage", "report", "--keep-combined", f"--data-file={COVERAGE}")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure the stages beside their peers, one bench after the other, or those named."""
    install(session, "bench")
    benches = sorted(path.stem for path in Path("benchmarks").glob("bench_*.py"))
    for name in session.posargs or [bench.removeprefix("bench_") for bench in benches]:
        session.run("python", "-m", f"benchmarks.bench_{name}")


@nox.session(default=False)
def chaos(session: nox.Session) -> None:
    """Publish from 32 processes that are killed at random, while others read; CHAOS_SEED repeats a run's kills."""
    install(session, "chaos")
    session.run("python", "-m", "tests.chaos", *session.posargs)


@nox.session(name="tests-system", default=False)
def tests_system(session: nox.Session) -> None:
    """Run the tests that need system packages, or much from the index; as root on Debian, install those first."""
    install(session, "tests_system")
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        session.run("apt-get", "update", external=True)
        session.run("apt-get", "install", "--yes", *missing, external=True)
    session.run("pytest", "tests/system", *session.posargs)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Write every lock from its ``.in``; ``-- --check`` only compares, ``-- --upgrade`` takes the newest releases."""
    install(session, "lock")
    session.run("python", "-m", "tasks.lock", *session.posargs)


@nox.session(default=False)
def schema(session: nox.Session) -> None:
    """Write the JSON Schema of ``wheel_matrix.yml``; ``-- --check`` only compares."""
    install(session, "schema")
    session.run("python", "-m", "tasks.schema", *session.posargs)


def install(session: nox.Session, *names: str) -> None:
    """Give the session what its locks hold, hashes checked. An environment that holds just that is left alone."""
    locks = [f"requirements/{name}.txt" for name in names]
    digest = hashlib.sha256(b"".join(Path(lock).read_bytes() for lock in locks)).hexdigest()
    stamp = Path(session.virtualenv.location, "locks.sha256")
    if stamp.is_file() and stamp.read_text() == digest:
        return
    stamp.unlink(missing_ok=True)  # an install that breaks off leaves no stamp
    if session.venv_backend == "uv":
        installer = ["uv", "pip", "sync", "--quiet", "--compile-bytecode", *locks]
    else:  # pip keeps what a lock has dropped: `nox --no-reuse-existing-virtualenvs` gets rid of it
        installer = ["python", "-m", "pip", "install", "--quiet", *(f"--requirement={lock}" for lock in locks)]
    if session.run_install(*installer, "--require-hashes") is not None:  # None: nox was told not to install
        stamp.write_text(digest)


def test_files(patterns: list[str]) -> list[str]:
    """Return the test files and folders that the patterns name, sorted."""
    return sorted(str(path) for pattern in patterns for path in Path("tests").glob(pattern))
