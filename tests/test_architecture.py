"""Architecture as promised: imports run down, plugins use public names, the host knows no guest, start-up is light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import segbench
from segbench import load_catalogue
from segbench.host import KINDS

ROOT = Path(__file__).resolve().parents[1]
LAYERS = (
    ("types", "errors", "processes"),
    (
        "boxes",
        "digests",
        "failures",
        "litter",
        "padding",
        "record_schema",
        "skeletons",
        "solvers",
        "texts",
    ),
    (
        "allocator",
        "atomic",
        "locks",
        "params",
        "names",
        "plugin_code",
        "provenance",
        "schedules",
        "score_table",
        "truths",
        "views",
    ),
    ("config", "contracts", "losses", "maps", "morphology", "records"),
    ("hookspecs", "results"),
    (
        "collection",
        "gathering",
    ),
    ("costs",),
    ("host", "files", "ranking"),
    ("scoring", "showing", "importing"),
    ("evaluation",),
    ("training", "runs"),
    ("assembly", "priors"),
    ("preprocessing", "completing", "planning", "standing"),
    ("runner",),
    ("sweeps",),
    ("studies", "publishing", "reporting"),
    ("conformance",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
HEAVY = ("torch", "numpy", "scipy", "pyarrow", "nibabel", "medpy", "lightning_fabric")


def sources(folder: str) -> Iterator[Path]:
    yield from sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path, *, typing: bool = False) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Yield (module, imported names, line) of every import, those in TYPE_CHECKING blocks only if ``typing``."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if not typing and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, tuple(alias.name for alias in node.names), node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, (), node.lineno


def unit(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def test_imports_of_the_host_run_downwards() -> None:
    wrong = []
    for path in sources("segbench"):
        relative = path.relative_to(ROOT).with_suffix("")
        own = relative.parts[1]
        if own == "__init__":
            continue
        assert own in LEVEL, f"{own} has no place in the layers; add it to LAYERS"
        for module, names, line in imports(path):
            if module.split(".")[0] != "segbench":
                continue
            targets = [unit(module)] if module != "segbench" else [name for name in names if name in LEVEL]
            wrong += [
                f"{path.name}:{line} {own} -> {target}"
                for target in targets
                if target != own and LEVEL[target] >= LEVEL[own]
            ]
    assert not wrong, "\n".join(wrong)


def graph(folder: str) -> dict[str, set[str]]:
    """Return module -> modules of the same folder that it imports, at the top or in a function."""
    base = ROOT if folder == "segbench" else ROOT / folder
    modules = {
        ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sources(folder)
    }
    targets: dict[str, set[str]] = {}
    for name, path in modules.items():
        found = {
            f"{module}.{imported}" if f"{module}.{imported}" in modules else module
            for module, names, _ in imports(path)
            for imported in names or ("",)
        }
        targets[name] = found & set(modules) - {name}
    return targets


@pytest.mark.parametrize("folder", ["segbench", "plugins"])
def test_no_module_imports_itself_in_a_circle(folder: str) -> None:
    targets = graph(folder)
    assert sum(map(len, targets.values())) > 100
    try:
        list(TopologicalSorter(targets).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_plugins_use_public_names_only() -> None:
    wrong = []
    for path in sources("plugins"):
        own = path.relative_to(ROOT / "plugins").parts[0]
        for module, names, line in imports(path, typing=True):
            head = module.split(".")[0]
            if head == "segbench" and (module != "segbench" or not set(names) <= set(segbench.__all__)):
                wrong.append(f"{path.name}:{line} {module} {names}")
            if head.startswith("segbench_") and head != own:
                wrong.append(f"{path.name}:{line} {module}")
    assert not wrong, "\n".join(wrong)


FIELD_TERMS = {"ce", "dice", "hd95", "nsd"}
"""Guests that are also words of the field: prose (a text with a space in it) may give them as examples."""
OWN_WORDS = {
    *("precision", "history", "components"),  # of numbers, a file of a run, a made-up case
    *("pairs", "threshold", "argmax"),  # plain words, and what NumPy calls it
    *("nnunet", "msd"),  # how a folder is laid out
    "descriptors",  # a kind of supervision
}
"""Words that the host uses for something of its own, whatever guests of that name there are."""
OWN_TEXTS = {
    "training/loop.py": {"dice"},  # the measure of the validation, which the host computes itself
    "cli/progress.py": {"dice"},
    "sweeps/work.py": {"dice"},
    "conformance/training.py": {"dice"},
    "conformance/cases.py": {"val/dice", "train/ce"},  # rows of a history that is made up
}


def test_the_host_names_no_guest() -> None:
    catalogue = load_catalogue()
    guests = {name for kind in KINDS for name in catalogue.names(kind)} - OWN_WORDS
    guests |= {origin.plugin for origin in catalogue.origins}
    assert {"dice", "hd95", "forbidden_pairs", "rank_dice", "adjacency", "unet3d", "segbench_nonadj"} <= guests
    named = []
    for path in sources("segbench"):
        own = OWN_TEXTS.get(path.relative_to(ROOT / "segbench").as_posix(), set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in own:
                words = set(re.findall(r"\w+", node.value)) & guests
                words -= FIELD_TERMS if " " in node.value.strip() else set()
                named += [f"{path.name}:{node.lineno} {word}" for word in sorted(words)]
    assert not named, "\n".join(named)


def test_the_public_names_exist_and_are_typed() -> None:
    for name in segbench.__all__:
        assert getattr(segbench, name) is not None
    tree = ast.parse((ROOT / "segbench" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == set(segbench.__all__)
    with pytest.raises(AttributeError, match="no public name 'nothing'"):
        _ = segbench.nothing


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {line.split(".")[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import segbench", HEAVY),
        ("from segbench.cli import app", (*HEAVY, "rich.table")),
        ("from segbench import load_catalogue\nload_catalogue()", HEAVY),
        (
            "from segbench import evaluate, read_scores\nimport segbench.ranking.leaderboard",
            ("torch", "lightning_fabric"),
        ),
    ],
)
def test_start_up_stays_light(code: str, forbidden: tuple[str, ...]) -> None:
    assert not modules_after(code) & set(forbidden)


def test_built_ins_enter_by_the_door_and_load() -> None:
    catalogue = load_catalogue()
    assert [problem.reason for problem in catalogue.problems] == []
    folders = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").is_file()}
    assert folders == {origin.plugin for origin in catalogue.origins if origin.distribution == "segbench"}


def test_every_public_part_and_function_has_a_docstring() -> None:
    missing = []
    for path in (*sources("segbench"), *sources("plugins")):
        tree = ast.parse(path.read_text())
        if not ast.get_docstring(tree) and path.read_text().strip():
            missing.append(str(path))
        for node in ast.walk(tree):
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and node in tree.body and not ast.get_docstring(node):
                missing.append(f"{path.name}: {node.name}")
    assert not missing, "\n".join(missing)
