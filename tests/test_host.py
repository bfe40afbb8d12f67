"""The door: what plugins do wrong is named with its reason and stops nobody else."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.contracts import Method, Metric
from segbench.errors import DataMissing, PluginError, UnknownName, UsageError
from segbench.hookspecs import hookimpl
from segbench.host import GROUP, KINDS, Catalogue, Entry, Origin, blame, load_catalogue
from segbench.params import parameter
from segbench.types import Choice, LabelMap, Score, Task


@dataclass
class FakeDistribution:
    name: str | None
    version: str | None


class FakePoint:
    """An entry point of a distribution that is not installed."""

    def __init__(self, name: str, load: Callable[[], Any], distribution: FakeDistribution | None = None) -> None:
        self.name, self.value, self.load = name, f"{name}:{id(self)}", load
        self.dist = distribution or FakeDistribution(f"dist-{name}", "1.2")


def metric(called: Any, **attributes: Any) -> type[Metric]:
    """Return a metric class of that name."""

    @dataclass
    class Made(Metric):
        name = called
        summary = "made for a test"

        def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
            return [Score(one, 1.0) for one in task.structures]

    for key, value in attributes.items():
        setattr(Made, key, value)
    return Made


def module(name: str = "plugin", **hooks: Callable[[], Any]) -> types.ModuleType:
    """Return a plugin module whose hooks, marked already, are these functions."""
    made = types.ModuleType(name)
    for key, function in hooks.items():
        function.__module__ = name
        setattr(made, key, function)
    return made


def offering(*found: Any, name: str = "plugin") -> Callable[[], types.ModuleType]:
    """Return a loader of a plugin whose metrics are ``found``."""

    @hookimpl
    def segbench_metrics() -> list[Any]:
        return list(found)

    return lambda: module(name, segbench_metrics=segbench_metrics)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Catalogue]:
    """Load a catalogue in which only the given plugins are installed."""

    def install(*points: FakePoint) -> Catalogue:
        def entry_points(*, group: str) -> list[FakePoint]:
            assert group == "segbench"
            return list(points)

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
        return load_catalogue()

    return install


GOOD = FakePoint("zeta", offering(metric("good"), name="zeta"))  # sorts after the others: they must not stop it


def reasons(catalogue: Catalogue) -> str:
    assert catalogue.names("metrics") == ["good"]
    assert str(catalogue.entry("metrics", "good").origin) == "zeta (dist-zeta 1.2)"
    (problem,) = catalogue.problems
    assert str(problem.origin) == "bad (dist-bad 1.2)"
    return problem.reason


def raiser(error: BaseException) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("No module named 'nothing'"), "ImportError: No module named 'nothing' (test_host.py:"),
        (SystemExit(3), "SystemExit: 3"),
        (SyntaxError("invalid syntax"), "SyntaxError: invalid syntax"),
        (RecursionError("too deep"), "RecursionError"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_listed(
    installed: Callable[..., Catalogue], error: BaseException, words: str
) -> None:
    assert words in reasons(installed(FakePoint("bad", raiser(error)), GOOD))


def test_ctrl_c_while_loading_is_obeyed(installed: Callable[..., Catalogue]) -> None:
    with pytest.raises(KeyboardInterrupt):
        installed(FakePoint("bad", raiser(KeyboardInterrupt())), GOOD)


def bad_module(**hooks: Callable[..., Any]) -> FakePoint:
    return FakePoint("bad", lambda: module("bad", **hooks))


def test_misspelt_hooks(installed: Callable[..., Catalogue]) -> None:
    def function() -> list[Any]:
        return []

    reason = reasons(installed(bad_module(segbench_metric=hookimpl(function)), GOOD))
    assert "there is no hook 'segbench_metric'. Did you mean 'segbench_metrics'" in reason
    reason = reasons(installed(bad_module(metrics=hookimpl(function)), GOOD))
    assert "there is no hook 'metrics'" in reason and "segbench_metrics" in reason


def test_hooks_without_the_marker(installed: Callable[..., Catalogue]) -> None:
    def function() -> list[Any]:
        return []

    assert "lacks the marker @segbench.hookimpl" in reasons(installed(bad_module(segbench_metrics=function), GOOD))
    reason = reasons(installed(bad_module(segbench_metrix=function), GOOD))
    assert "lacks the marker" in reason and "Did you mean 'segbench_metrics'" in reason


def test_hooks_with_arguments(installed: Callable[..., Catalogue]) -> None:
    def segbench_metrics(config: Any) -> list[Any]:
        return []

    assert "config" in reasons(installed(bad_module(segbench_metrics=hookimpl(segbench_metrics)), GOOD))


def test_a_hook_under_another_name_is_fine(installed: Callable[..., Catalogue]) -> None:
    @hookimpl(specname="segbench_metrics")
    def mine() -> list[Any]:
        return [metric("mine")]

    assert installed(FakePoint("a", lambda: module("a", mine=mine))).names("metrics") == ["mine"]


def test_helpers_imported_by_a_plugin_are_not_its_hooks(installed: Callable[..., Catalogue]) -> None:
    def segbench_helper() -> None: ...

    segbench_helper.__module__ = "elsewhere"
    plugin = module("a")
    plugin.segbench_helper = segbench_helper  # type: ignore[attr-defined]
    assert installed(FakePoint("a", lambda: plugin)).problems == []


class Undecorated(Metric):
    name = "undecorated"
    weight: float = 1.0


class Strange:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("strange")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("dice", "returned 'dice'; expected subclasses of segbench.Metric"),
        (None, "returned None"),
        (Choice, "expected subclasses of segbench.Metric"),
        (Metric, "no class attribute `name`"),
        (metric(3), "no class attribute `name`"),
        (metric("../up"), "'../up' cannot be used as a name"),
        (metric("a b"), "cannot be used as a name"),
        (metric(""), "cannot be used as a name"),
        (Undecorated, "Undecorated is not a dataclass"),
    ],
)
def test_rubbish_among_the_classes(installed: Callable[..., Catalogue], found: Any, words: str) -> None:
    assert words in reasons(installed(FakePoint("bad", offering(found, name="bad")), GOOD))


def test_classes_that_cannot_even_be_looked_at(installed: Callable[..., Catalogue]) -> None:
    assert "strange" in reasons(installed(FakePoint("bad", lambda: offering(Strange(), name="bad")()), GOOD))


@pytest.mark.parametrize("found", [None, 3, "metrics", {"a": 1}, metric("x")])
def test_a_hook_that_returns_no_list(installed: Callable[..., Catalogue], found: Any) -> None:
    @hookimpl
    def segbench_metrics() -> Any:
        return found

    reason = reasons(installed(bad_module(segbench_metrics=segbench_metrics), GOOD))
    assert "hook segbench_metrics: expected a list of classes, found" in reason


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), SystemExit(1)])
def test_a_hook_that_raises(installed: Callable[..., Catalogue], error: BaseException) -> None:
    @hookimpl
    def segbench_metrics() -> Any:
        raise error

    reason = reasons(installed(bad_module(segbench_metrics=segbench_metrics), GOOD))
    assert f"hook segbench_metrics: {type(error).__name__}" in reason and "test_host.py" in reason


def test_the_other_parts_of_a_faulty_plugin_are_used(installed: Callable[..., Catalogue]) -> None:
    catalogue = installed(FakePoint("a", offering(metric("one"), "rubbish", metric("two"), name="a")))
    assert catalogue.names("metrics") == ["one", "two"] and len(catalogue.problems) == 1


def test_clashes_are_refused_and_name_both_sides(installed: Callable[..., Catalogue]) -> None:
    points = [FakePoint(name, offering(metric("same"), metric(name), name=name)) for name in ("a", "b", "c")]
    catalogue = installed(*points)
    assert catalogue.names("metrics") == ["a", "b", "c"]
    with pytest.raises(PluginError, match=r"'same' is claimed by .*a \(dist-a 1.2\) and by .*b \(dist-b 1.2\)"):
        catalogue.metric(Choice("same"))
    assert [problem.origin.plugin for problem in catalogue.problems] == ["a", "b", "c"]


def test_one_class_offered_twice_is_no_clash(installed: Callable[..., Catalogue]) -> None:
    one = metric("one")
    catalogue = installed(FakePoint("a", offering(one, one, name="a")), FakePoint("b", offering(one, name="b")))
    assert catalogue.names("metrics") == ["one"] and not catalogue.problems


def test_two_plugins_of_one_name(installed: Callable[..., Catalogue]) -> None:
    first = FakePoint("same", offering(metric("one"), name="one"), FakeDistribution("first", "1"))
    second = FakePoint("same", offering(metric("two"), name="two"), FakeDistribution("second", "2"))
    first.value, second.value = "a", "b"
    catalogue = installed(second, first)
    assert catalogue.names("metrics") == ["one"]
    assert catalogue.entry("metrics", "one").origin.distribution == "first"
    (problem,) = catalogue.problems
    assert "same (first 1) and same (second 2)" in problem.reason


def test_the_same_distribution_twice_on_the_path_counts_once(installed: Callable[..., Catalogue]) -> None:
    twice = [FakePoint("same", offering(metric("one"), name="one")) for _ in range(2)]
    twice[1].value = twice[0].value
    catalogue = installed(*twice)
    assert catalogue.names("metrics") == ["one"] and not catalogue.problems and len(catalogue.origins) == 1


def test_broken_metadata_of_a_distribution(installed: Callable[..., Catalogue]) -> None:
    nameless = FakePoint("a", offering(metric("one"), name="a"), FakeDistribution(None, None))
    lost = FakePoint("b", offering(metric("two"), name="b"))
    lost.dist = None  # type: ignore[assignment]
    catalogue = installed(nameless, lost)
    assert {str(origin) for origin in catalogue.origins} == {"a (unknown ?)", "b (unknown ?)"}


def test_plugins_may_be_objects(installed: Callable[..., Catalogue]) -> None:
    class Plugin:
        @hookimpl
        def segbench_metrics(self) -> list[Any]:
            return [metric("one")]

    assert installed(FakePoint("a", Plugin)).names("metrics") == ["one"]


# ------------------------------------------------------------------------------------------------------ the catalogue


def test_unknown_names_are_answered(installed: Callable[..., Catalogue]) -> None:
    catalogue = installed(FakePoint("bad", raiser(ImportError("no"))), GOOD)
    with pytest.raises(UnknownName, match=r"No metric is called 'god'. Did you mean 'good'\?.*problems: bad"):
        catalogue.metric(Choice("god"))
    with pytest.raises(UnknownName, match=r"No study is called 'x'. None is known"):
        catalogue.study(Choice("x"))


def test_defaults(installed: Callable[..., Catalogue]) -> None:
    points = [FakePoint(name, offering(metric(name, default=True), name=name)) for name in ("a", "b")]
    assert installed(points[0]).default("metrics") == "a"
    with pytest.raises(UsageError, match="expected one default among the plugins, found a, b"):
        installed(*points).default("metrics")
    with pytest.raises(UsageError, match=r"Name a method: .* found none"):
        installed(*points).default("methods")


@dataclass
class Exploding(Metric):
    name: ClassVar[str] = "exploding"
    fuse: int = parameter(1, "fuse")

    def __post_init__(self) -> None:
        if self.fuse > 1:
            raise ZeroDivisionError("bang")


def test_a_constructor_that_fails_is_blamed_on_its_plugin(installed: Callable[..., Catalogue]) -> None:
    catalogue = installed(FakePoint("a", offering(Exploding, name="a")))
    assert catalogue.metric(Choice("exploding")) == Exploding()
    with pytest.raises(PluginError, match=r"Plugin a \(dist-a 1.2\) failed while constructing exploding: ZeroDivision"):
        catalogue.settle("metrics", Choice("exploding", {"fuse": 2}))


def test_blame_leaves_expected_errors_alone() -> None:
    for error in (DataMissing("get it"), KeyboardInterrupt(), MemoryError(), OSError(28, "No space")):
        with pytest.raises(type(error)), blame("someone", "working"):
            raise error
    for unexpected in (ValueError("no"), SystemExit(1), FileNotFoundError(2, "No such file", "prior.csv")):
        with pytest.raises(PluginError, match="Plugin someone failed while working"), blame("someone", "working"):
            raise unexpected


def test_kinds_and_hooks_are_the_same() -> None:
    from segbench import hookspecs

    assert {name for name in vars(hookspecs) if name.startswith(f"{GROUP}_")} == {f"{GROUP}_{kind}" for kind in KINDS}


# -------------------------------------------------------------------------------------------------------- --plugin FILE

PLUGIN = """
from dataclasses import dataclass
from segbench import Metric, Score, hookimpl

print("hello from the plugin")

@dataclass
class Mine(Metric):
    name = "mine"
    summary = "[/bold] nothing [red]"

    def score(self, predicted, truth, task):
        return [Score(one, 1.0) for one in task.structures]

@hookimpl
def segbench_metrics():
    return [Mine]
"""


def segbench(*arguments: str, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == expect, result.output
    assert "Traceback" not in result.output
    return result


def test_a_file_is_a_plugin(tmp_path: Path) -> None:
    file = tmp_path / "my plugin.py"
    file.write_text(PLUGIN)
    document = json.loads(segbench("list", "metrics", "--json", "--plugin", str(file)).stdout)
    (mine,) = [part for part in document["metrics"] if part["name"] == "mine"]
    assert (mine["plugin"], mine["distribution"], mine["plugin_version"]) == ("my plugin", str(file), "file")
    assert "[/bold] nothing [red]" in segbench("list", "metrics", "--plugin", str(file)).stdout
    assert "[/bold] nothing [red]" in segbench("info", "metric", "mine", "--plugin", str(file)).stdout


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bad.py", "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module' (bad.py:1)"),
        ("bad.py", "x = = 1", "SyntaxError: invalid syntax (bad.py, line 1)"),
        ("bad.py", "raise SystemExit(0)", "SystemExit: 0"),
        ("bad.py", "\0", "null bytes"),
        ("bad.py", PLUGIN.replace("segbench_metrics", "segbench_metric"), "Did you mean 'segbench_metrics'"),
        ("bad.txt", PLUGIN, "expected a file ending in .py"),
        ("segbench_nonadj.py", PLUGIN, "two plugins are called 'segbench_nonadj'"),
    ],
)
def test_a_file_that_cannot_be_loaded_ends_the_command(tmp_path: Path, name: str, content: str, words: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    result = segbench("list", "--plugin", str(file), expect=4)
    assert words in result.stderr and not result.stdout


def test_a_file_that_cannot_be_loaded_leaves_no_module(tmp_path: Path) -> None:
    file = tmp_path / "halfway.py"
    file.write_text("value = 1\nraise ValueError")
    with pytest.raises(PluginError, match=r"halfway.py:2"):
        load_catalogue([file])
    assert "segbench_file_halfway" not in sys.modules


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "found none. Check the path" in segbench("list", "--plugin", str(tmp_path / "no.py"), expect=4).stderr
    assert "found none" in segbench("list", "--plugin", str(tmp_path), expect=4).stderr


def test_two_files_of_one_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(PLUGIN)
    both = [argument for folder in ("a", "b") for argument in ("--plugin", str(tmp_path / folder / "mine.py"))]
    assert "two plugins are called 'mine'" in segbench("list", *both, expect=4).stderr


# ----------------------------------------------------------------------------------------------------- segbench list


def test_list_shows_plugin_version_and_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [FakePoint("bad", raiser(ImportError("no [/x] here"))), GOOD]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points)
    text = " ".join(segbench("list").stdout.split())
    assert "good made for a test zeta" in text and "from dist-zeta 1.2: zeta" in text
    assert "Problem bad (dist-bad 1.2): ImportError: no [/x] here (test_host.py:" in text
    document = json.loads(segbench("list", "--json").stdout)
    assert document["metrics"][0]["plugin_version"] == "1.2"
    assert [problem["plugin"] for problem in document["problems"]] == ["bad"]


@pytest.mark.parametrize("width", ["40", "80", "100", "200"])
def test_lists_fit_the_terminal(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for arguments in (("list",), ("info", "method", "nonadj"), ("info", "dataset", "brain")):
        lines = segbench(*arguments).stdout.splitlines()
        wrapped = [line.rstrip() for line in lines if not line.startswith(("source ", "code ", "README "))]
        assert max(map(len, wrapped)) <= int(width)


# ------------------------------------------------------------------------------------------------ constructed once


@dataclass
class Counted(Method):
    """Counts its instances."""

    name = "counted"
    made: ClassVar[int] = 0
    weight: float = parameter(1.0, "weight")
    prior: Path | None = parameter(None, "file")

    def __post_init__(self) -> None:
        type(self).made += 1


def counting() -> Catalogue:
    catalogue = Catalogue()
    catalogue.entries["methods"]["counted"] = Entry(Counted, Origin("test", "tests", "1"))
    Counted.made = 0
    return catalogue


def test_a_part_is_not_constructed_to_be_thrown_away() -> None:
    catalogue = counting()
    settled = catalogue.settle("methods", Choice("counted", {"weight": "2"}))
    assert settled == Choice("counted", {"weight": 2.0}) == catalogue.settle("methods", settled)
    assert Counted.made == 1
    parts = [catalogue.method(settled) for _ in range(3)]
    assert Counted.made == 3 and len({id(part) for part in parts}) == 3, "everyone gets a part of their own"
    assert {part.weight for part in parts} == {2.0}  # type: ignore[attr-defined]
    assert catalogue.method(Choice("counted")).weight == 1.0  # type: ignore[attr-defined]
    assert catalogue.settle("methods", Choice("counted", {"weight": 3})).parameters == {"weight": 3.0}


def test_a_file_that_changed_is_settled_anew(tmp_path: Path) -> None:
    catalogue, file = counting(), tmp_path / "prior.csv"
    choice = Choice("counted", {"prior": str(file)})
    found = [catalogue.settle("methods", choice)]
    for text in ("a", "b"):
        file.write_text(text)
        found.append(catalogue.settle("methods", choice))
    assert len({str(one.parameters) for one in found}) == 3
    assert catalogue.method(found[-1]).prior == file  # type: ignore[attr-defined]


def test_what_the_machine_lacks_is_noted_with_what_was_being_done() -> None:
    from segbench.failures import failure_of

    for error in (MemoryError("64 GiB"), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")):
        with pytest.raises(type(error)) as caught, blame("someone", "preparing"):
            raise error
        failure = failure_of(caught.value)
        assert (
            failure.reason.startswith("Memory ran out while plugin someone was preparing (") and not failure.unexpected
        )
        assert "recipe.batch" in failure.reason and failure.exit_code == 3
    with pytest.raises(OSError) as full, blame("someone", "writing"):
        raise OSError(28, "No space left on device", "map.npy")
    assert failure_of(full.value).reason == (
        "No space left on device (map.npy) while plugin someone was writing. Free some space there "
        "or choose a folder on another disk, then give the same command again; what was finished is kept."
    )


def test_a_hook_of_a_file_that_raises_is_named_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "p.py"
    file.write_text("from segbench import hookimpl\n@hookimpl\ndef segbench_methods():\n    raise ValueError('boom')\n")
    with pytest.raises(
        PluginError, match=r"p.py: hook segbench_methods: ValueError: boom \(p.py:4\). Correct the file"
    ):
        load_catalogue([file])
    file.write_text("from segbench import hookimpl\n@hookimpl\ndef segbench_methods():\n    return [int]\n")
    catalogue = load_catalogue([file])
    with pytest.raises(
        UnknownName, match=r"p.py: hook segbench_methods returned <class 'int'>; expected subclasses of"
    ):
        catalogue.method(Choice("mine"))
