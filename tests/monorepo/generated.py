"""Monorepos that keep every convention, drawn by hypothesis, and single changes that break one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tests.monorepo.trees import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "open(os.path.join(get_buildroot(), '.version')).read().strip().upper()"
RGLOBS = "rglobs('*.py')"


@dataclass(slots=True, kw_only=True)
class Declared:
    """A target as it will be written: its kind, and the text of each argument."""

    kind: str
    arguments: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Component:
    """A component while it is being changed."""

    path: str
    binaries: list[str]
    needs: list[str]
    targets: dict[str, Declared] = field(default_factory=dict)
    exported: dict[str, str] = field(default_factory=dict)
    keywords: bool = False
    others: dict[str, str] = field(default_factory=dict)
    """Further files, by their paths in its folder; BUILD itself is left out where it is named here."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def dotted(self) -> str:
        return self.path.replace("/", ".")

    @property
    def holder(self) -> Declared:
        """The target that has the sources and dependencies."""
        return self.targets.get(f"_{self.name}", self.targets[self.name])

    def files(self, style: Style) -> dict[str, str]:
        folder = f"{ROOT}/{self.path}"
        modules = ["__init__", *(binary.replace("-", "_") for binary in self.binaries)]
        files = {f"{folder}/{module}.py": "def main(): ...\n" for module in modules}
        files[f"{folder}/BUILD"] = style.build(self)
        for path, text in self.others.items():
            files[f"{folder}/{path}"] = text
            if not text and path == "BUILD":
                del files[f"{folder}/{path}"]
        return files


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How its author writes."""

    quote: str
    equals: str
    comma: str
    backwards: bool

    def build(self, component: Component) -> str:
        targets = list(component.targets.items())
        if self.backwards:
            targets.reverse()
        text = "import os\n\n" + "\n".join(self._target(name, target, component) for name, target in targets)
        return text.replace("'", self.quote)

    def _target(self, name: str, target: Declared, component: Component) -> str:
        arguments = {"name": f"'{name}'", **target.arguments}
        if "provides" in arguments and component.exported:
            arguments["provides"] += f".with_binaries({self._binaries(component)})"
        lines = [f"  {key}{self.equals}{value}" for key, value in arguments.items()]
        return f"{target.kind}(\n" + ",\n".join(lines) + f"{self.comma}\n)\n"

    def _binaries(self, component: Component) -> str:
        if component.keywords:
            return ", ".join(f"{script.replace('-', '_')} = '{of}'" for script, of in component.exported.items())
        return "{" + ", ".join(f"'{script}': '{of}'" for script, of in component.exported.items()) + self.comma + "}"


Monorepo = tuple[list[Component], Style]
CHOICE = st.booleans()
WORDS = st.sampled_from(["alpha", "beta", "gamma", "delta", "core", "web"])
STYLES = st.builds(
    Style,
    quote=st.sampled_from("'\""),
    equals=st.sampled_from(["=", " = "]),
    comma=st.sampled_from(["", ","]),
    backwards=st.booleans(),
)


@st.composite
def monorepos(draw: st.DrawFn, *, scripts: int = 0) -> Monorepo:
    """Draw a monorepo; its last component has at least so many binaries."""
    paths = draw(st.lists(st.tuples(WORDS, WORDS, WORDS).map("/".join), min_size=2, max_size=5, unique=True))
    made: list[Component] = []
    for path in paths:
        least = scripts if path == paths[-1] else 0
        binaries = draw(
            st.lists(st.sampled_from(["run", "run-it", "stop_it"]), min_size=least, max_size=2, unique=True)
        )
        needs = [each.path for each in made if draw(CHOICE)]
        if path == paths[-1] and not needs:
            needs = [made[0].path]
        made.append(_component(draw, Component(path=path, binaries=binaries, needs=needs)))
    return made, draw(STYLES)


def _component(draw: st.DrawFn, made: Component) -> Component:
    dependencies = [f"{ROOT}/{each}" for each in made.needs]
    dependencies += [f"3rdparty/python:{each}" for each in ("PyYAML", "requests") if draw(CHOICE)]
    resources = draw(CHOICE)
    if resources:
        made.targets["_assets"] = Declared(kind="resources", arguments={"sources": "zglobs('**/*.css')"})
        made.others["assets/x.css"] = ""
        dependencies.append(":_assets")
    held = {"sources": RGLOBS, "dependencies": listed(dependencies)}
    provides = f"setup_py(name = '{made.dotted}', version = {VERSION})"
    private = listed([f":_{made.name}"])
    split = draw(CHOICE)
    if made.binaries or split:
        made.targets[f"_{made.name}"] = Declared(kind="python_library", arguments=held)
        held = {"dependencies": private}
    for binary in made.binaries:
        entry = f"'{made.dotted}.{binary.replace('-', '_')}{draw(st.sampled_from(['', ':main']))}'"
        arguments = {"entry_point": entry, "dependencies": private}
        made.targets[binary] = Declared(kind="python_binary", arguments=arguments)
        made.exported[binary] = f":{binary}"
    made.targets[made.name] = Declared(kind="python_library", arguments={**held, "provides": provides})
    return made


def listed(texts: list[str]) -> str:
    return "[" + ", ".join(f"'{each}'" for each in texts) + "]"


def depend(component: Component, address: str) -> None:
    """Add a dependency beside those that a component has."""
    holder = component.holder.arguments
    rest = holder.get("dependencies", "[]")[1:]
    holder["dependencies"] = f"['{address}'" + (f", {rest}" if rest != "]" else rest)


def _without_build(last: Component, _: Component) -> None:
    last.others["BUILD"] = ""


def _nested(last: Component, _: Component) -> None:
    last.others["deep/BUILD"] = "resources(name = '_x')"


def _provides_nothing(last: Component, _: Component) -> None:
    del last.targets[last.name].arguments["provides"]


def _misnamed(last: Component, _: Component) -> None:
    last.targets[last.name].arguments["provides"] = f"setup_py(name = '{last.name}', version = {VERSION})"


def _old(last: Component, _: Component) -> None:
    last.targets[last.name].arguments["provides"] = f"setup_py(name = '{last.dotted}', version = '0.9')"


def _globs(last: Component, _: Component) -> None:
    last.holder.arguments["sources"] = "globs('*.py')"


def _missing(last: Component, _: Component) -> None:
    last.holder.arguments["sources"] = "['gone.py']"


def _public(last: Component, _: Component) -> None:
    last.targets["helper"] = Declared(kind="resources", arguments={"sources": "['__init__.py']"})


def _colon(last: Component, first: Component) -> None:
    depend(last, f"{ROOT}/{first.path}:{first.name}")


def _private(last: Component, first: Component) -> None:
    depend(last, f"{ROOT}/{first.path}:_more")
    first.targets["_more"] = Declared(kind="resources", arguments={"sources": "['__init__.py']"})


def _unlisted(last: Component, _: Component) -> None:
    depend(last, "3rdparty/python:unknown")


def _bare(last: Component, _: Component) -> None:
    depend(last, "requests")


def _renamed(last: Component, _: Component) -> None:
    last.exported = {f"{script}2": address for script, address in last.exported.items()}


def _on_binary(last: Component, _: Component) -> None:
    depend(last, f":{last.binaries[0]}")


def _source(last: Component, _: Component) -> None:
    last.targets[last.binaries[0]].arguments["source"] = "'__init__.py'"


def _no_module(last: Component, _: Component) -> None:
    last.targets[last.binaries[0]].arguments["entry_point"] = f"'{last.dotted}.gone'"


def _no_function(last: Component, _: Component) -> None:
    last.targets[last.binaries[0]].arguments["entry_point"] = f"'{last.dotted}:gone'"


def _more(last: Component, _: Component) -> None:
    last.targets[last.binaries[0]].arguments["dependencies"] = listed([f":_{last.name}", "3rdparty/python:requests"])


def _not_exported(last: Component, _: Component) -> None:
    del last.exported[last.binaries[0]]


def _keywords(last: Component, _: Component) -> None:
    last.keywords = True


def _public_sources(last: Component, _: Component) -> None:
    last.targets[last.name].arguments["sources"] = RGLOBS


def _public_more(last: Component, _: Component) -> None:
    last.targets[last.name].arguments["dependencies"] = listed([f":_{last.name}", "3rdparty/python:requests"])


def _cycle(last: Component, first: Component) -> None:
    depend(last, f"{ROOT}/{first.path}")
    depend(first, f"{ROOT}/{last.path}")


def _itself(last: Component, _: Component) -> None:
    depend(last, f":{last.name}")


BREAKS: list[tuple[str, Callable[[Component, Component], None]]] = [
    ("R1", _without_build),
    ("R1", _nested),
    ("R2", _provides_nothing),
    ("R2", _misnamed),
    ("R2", _old),
    ("R3", _globs),
    ("R3", _missing),
    ("R4", _public),
    ("R4", _colon),
    ("R4", _private),
    ("R5", _unlisted),
    ("R5", _bare),
    ("R6", _renamed),
    ("R6", _on_binary),
    ("R7", _source),
    ("R7", _no_module),
    ("R7", _no_function),
    ("R8", _more),
    ("R9", _not_exported),
    ("R9", _keywords),
    ("R10", _public_sources),
    ("R10", _public_more),
    ("R11", _private),
    ("R11", _cycle),
    ("R11", _itself),
]
