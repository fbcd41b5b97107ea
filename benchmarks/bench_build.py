"""Building: one small wheel, and eight packages on three interpreters, beside a serial loop of ``uv build``."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Row, report
from tasks import process
from tasks.workers import helper
from tasks.workers.local import find_uv

PACKAGES = {
    "MarkupSafe": "3.0.3",
    "PyYAML": "6.0.3",
    "lazy-object-proxy": "1.12.0",
    "coverage": "7.10.7",
    "wrapt": "1.17.3",
    "msgpack": "1.1.1",
    "ujson": "5.11.0",
    "cffi": "2.0.0",
}
PYTHONS = ("cp311", "cp312", "cp313")
ROUNDS = 5
"""How often one wheel is built by each; they take turns, so that a busy moment of the machine meets all of them."""
UNSET = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH")  # they would slow one side or the other
UV = find_uv() or "uv"
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a command took: seconds by the clock, and seconds of processors."""

    wall: float
    cpu: float


def main() -> int:
    """Measure in a directory of its own, with the caches that a first run of everything has filled."""
    started = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="bench-build-") as folder:
        os.chdir(folder)
        actions, first = _plan()
        rows = [*_one_wheel(actions["MarkupSafe", PYTHONS[0]]), *_all(actions, first)]
        os.chdir(started)
    return report("build", rows)


def _plan() -> tuple[dict[tuple[str, str], dict[str, str]], Cost]:
    """Plan every wheel and build it once, which fills the caches; return what each is built from, and that cost."""
    matrix = {
        "instances": {"local": {"worker": "local"}},
        "targets": {"host": {"instance": "local", "upstream": "ignore", "python": list(PYTHONS)}},
        "packages": {name: [version] for name, version in PACKAGES.items()},
    }
    Path("wheel_matrix.yml").write_text(json.dumps(matrix))
    _cost("tasks.plan")
    found = {}
    checked = _cost("tasks.build", "--quiet", "--jobs=2")
    for action in json.loads(Path("build/plan.json").read_bytes())["actions"]:
        sdist = action["sdist"]
        record = json.loads(Path("dist/records", _built(action["key"])).read_bytes())
        python = record["predicate"]["buildDefinition"]["internalParameters"]["interpreter"]["executable"]
        found[action["package"], action["python"]] = {
            "name": action["package"],
            "version": action["version"],
            "sdist": str(Path(".cache/sdists", sdist["sha256"], sdist["filename"]).resolve()),
            "sha256": sdist["sha256"],
            "key": action["key"],
            "python": python,
        }
    return found, checked


def _built(key: str) -> str:
    """Return the file name of the record of a recipe."""
    return next(
        path.name
        for path in sorted(Path("dist/records").iterdir())
        if json.loads(path.read_bytes())["predicate"]["buildDefinition"]["internalParameters"]["recipeKey"] == key
    )


def _one_wheel(action: dict[str, str]) -> list[Row]:
    """Build one wheel by ``uv build`` and by the helper, without and with its check."""
    base = {
        "format": "spare-tire/job",
        "version": 1,
        "key": action["key"],
        "package": {"name": action["name"], "release": action["version"]},
        "sdist": action["sdist"],
        "sha256": action["sha256"],
        "python": action["python"],
        "root": str(Path("root").resolve()),
        "output": str(Path("output").resolve()),
        "path": "/usr/bin:/bin",
        "installer": UV,
    }
    commands = {"uv build": _uv_build(action)}
    for name, check in (("first", None), ("without checks", None), ("with checks", {})):
        path = Path(f"{name}.json".replace(" ", "-")).resolve()
        shared = str(Path("first" if name == "first" else "environments").resolve())
        path.write_text(json.dumps({**base, "shared": shared, "check": check}))
        commands[name] = [action["python"], "-I", "-S", str(Path(helper.__file__)), str(path)]
    _run(commands["without checks"])  # which leaves the environment that the others find
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, argv in commands.items():
            costs[name].append(_run(argv))
            shutil.rmtree("first", ignore_errors=True)
    wall = {name: statistics.median(cost.wall for cost in found) for name, found in costs.items()}
    cpu = {name: statistics.median(cost.cpu for cost in found) for name, found in costs.items()}
    what = "one MarkupSafe wheel"
    return [
        Row(work=f"{what}, uv build", figure=wall["uv build"], unit="s", note=f"{cpu['uv build']:.2f} s of processor"),
        Row(
            work=f"{what}, without checks",
            figure=wall["without checks"] / wall["uv build"],
            unit="× uv build",
            at_most=1.15,
            note=f"{wall['without checks']:.2f} s, {cpu['without checks']:.2f} s of processor",
        ),
        Row(
            work=f"{what}, the first of a week with its build requirements",
            figure=wall["first"] / wall["uv build"],
            unit="× uv build",
            note=f"{wall['first']:.2f} s, {cpu['first']:.2f} s of processor",
        ),
        Row(
            work=f"{what}, the check's share",
            figure=100 * (1 - wall["without checks"] / wall["with checks"]),
            unit="%",
            note=f"{wall['with checks']:.2f} s with all",
        ),
    ]


def _all(actions: dict[tuple[str, str], dict[str, str]], first: Cost) -> list[Row]:
    """Build all wheels: ``uv build`` one after the other, then the stage with two builds side by side."""
    loop = [_run(_uv_build(action)) for action in actions.values()]
    shutil.rmtree("dist")
    unchecked = _cost("tasks.build", "--quiet", "--no-check", "--jobs=2")
    wall, cpu = sum(cost.wall for cost in loop), sum(cost.cpu for cost in loop)
    what = f"{len(actions)} wheels"
    return [
        Row(work=f"{what}, a loop of uv build", figure=wall, unit="s", note=f"{cpu:.1f} s of processor"),
        Row(
            work=f"{what}, two side by side, without checks",
            figure=unchecked.wall / wall,
            unit="× uv build",
            at_most=0.6,
            note=f"{unchecked.wall:.1f} s, {unchecked.cpu:.1f} s of processor",
        ),
        Row(
            work=f"{what}, two side by side, with checks, sdists fetched",
            figure=first.wall / wall,
            unit="× uv build",
            note=f"{first.wall:.1f} s, {first.cpu:.1f} s of processor",
        ),
    ]


def _uv_build(action: dict[str, str]) -> list[str]:
    return [UV, "build", "--wheel", action["sdist"], "--python", action["python"], "--out-dir", "uv"]


def _cost(module: str, *options: str) -> Cost:
    return _run([sys.executable, "-m", module, *options], PYTHONPATH=str(ROOT))


def _run(argv: list[str], **more: str) -> Cost:
    """Run a command to its end, as a user's shell would; one that fails ends the bench."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    before, start = os.times(), time.perf_counter()
    done = process.run(argv, env={**kept, **more})
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    after = os.times()
    used = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return Cost(wall=time.perf_counter() - start, cpu=used)


if __name__ == "__main__":
    sys.exit(main())
