"""The conformance checks: everything built in passes, and each kind of broken promise is found by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segbench.conformance import CheckResult, check_part, checks_for
from segbench.contracts import FIXED_SAMPLES, UNLABELLED, Dataset, Method, Metric, Network, Part, Stage, Step
from segbench.errors import UnknownName, UsageError
from segbench.host import KINDS, Catalogue, Entry, Origin, load_catalogue
from segbench.params import parameter
from segbench.types import Batch, Case, CaseRef, Choice, LabelMap, Score, Task
from segbench.views import Slices

BUILT_IN = load_catalogue()


def examine(kind: str, cls: type[Part]) -> dict[str, CheckResult]:
    catalogue = Catalogue()
    catalogue.entries[kind][cls.name] = Entry(cls, Origin("test", "tests", "1"))
    return {result.name: result for result in check_part(catalogue, kind, cls.name)}


def broken(kind: str, cls: type[Part]) -> set[str]:
    return {name for name, result in examine(kind, cls).items() if not result.ok}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in KINDS for name in BUILT_IN.names(kind)],
)
def test_built_in_parts_keep_their_promises(kind: str, name: str) -> None:
    faults = [f"{result.name}: {result.message}" for result in check_part(BUILT_IN, kind, name) if not result.ok]
    assert not faults


def test_checks_have_names_that_say_what_they_check() -> None:
    for kind in KINDS:
        checks = checks_for(kind)
        assert len({check.__name__ for check in checks}) == len(checks) > 5
        assert all(check.__doc__ for check in checks)
    with pytest.raises(UsageError, match="Did you mean 'metrics'"):
        checks_for("metric")
    with pytest.raises(UnknownName):
        check_part(BUILT_IN, "metrics", "no_such_metric")


# ------------------------------------------------------------------------------------------------------- all parts


@dataclass
class Careless(Metric):
    """Touches a file when constructed, and says nothing about itself."""

    name = "careless"
    source = "somewhere"
    size: int = 3
    learnt_: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.learnt_ = Path(__file__).read_text()

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        return [Score(one, 1.0) for one in task.structures]


def test_careless_part() -> None:
    found = examine("metrics", Careless)
    faults = {name for name, result in found.items() if not result.ok}
    assert {"attributes_describe_the_part", "parameters_are_explained", "constructing_does_no_work"} <= faults
    assert "test_conformance.py" in found["constructing_does_no_work"].message
    assert "empty_masks_have_their_status" in faults


# --------------------------------------------------------------------------------------------------------- metrics


@dataclass
class Sum(Metric):
    """Difference of the volumes in voxels, done properly."""

    name = "sum"
    summary = "difference of the volumes"
    unit = "voxels"
    better = "lower"

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        words: Any = {(0, 0): "both_empty", (1, 0): "truth_empty", (0, 1): "pred_empty", (1, 1): "ok"}
        for one in task.structures:
            first, second = predicted.mask(one), truth.mask(one)
            status = words[int(first.any()), int(second.any())]
            yield Score(one, float(abs(int(first.sum()) - int(second.sum()))), status)

    def examples(self) -> Sequence[tuple[LabelMap, LabelMap, Sequence[float | None]]]:
        ones = LabelMap(np.ones((2, 2), np.uint8), (1.0, 1.0))
        return [(ones, LabelMap(np.zeros((2, 2), np.uint8), (1.0, 1.0)), [4.0])]


@dataclass
class WrongExample(Sum):
    name = "wrong"

    def examples(self) -> Sequence[tuple[LabelMap, LabelMap, Sequence[float | None]]]:
        return [(predicted, truth, [3.0]) for predicted, truth, _ in super().examples()]


@dataclass
class Meddling(Sum):
    name = "meddling"

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        predicted.array[...] = 1
        return super().score(predicted, truth, task)


@dataclass
class Remembering(Sum):
    name = "remembering"

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        return truth.memo.setdefault("scores", list(super().score(predicted, truth, task)))  # type: ignore[no-any-return]


@dataclass
class NotMillimetres(Sum):
    name = "voxels"
    unit = "mm"


@dataclass
class FlatOnly(Sum):
    name = "flat"

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        _depth, _height, _width = truth.array.shape
        return super().score(predicted, truth, task)


@dataclass
class SaysNaN(Sum):
    name = "nan"

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        for score in super().score(predicted, truth, task):
            yield Score(score.structure, score.value if score.status == "ok" else float("nan"), score.status)


@pytest.mark.parametrize(
    ("cls", "faults"),
    [
        (Sum, set()),
        (WrongExample, {"examples_have_the_promised_values"}),
        (NotMillimetres, {"unit_agrees_with_the_values"}),
        (FlatOnly, {"examples_have_the_promised_values", "scores_two_and_three_dimensions"}),
        (SaysNaN, {"empty_masks_have_their_status", "examples_have_the_promised_values"}),
    ],
)
def test_broken_metrics(cls: type[Metric], faults: set[str]) -> None:
    assert broken("metrics", cls) == faults


def test_metrics_that_meddle_or_remember() -> None:
    assert "inputs_are_left_alone" in broken("metrics", Meddling)
    assert "scores_do_not_depend_on_history" in broken("metrics", Remembering)


# -------------------------------------------------------------------------------------------------------- networks


@dataclass
class Point(Network):
    """One 1x1 convolution."""

    name = "point"
    summary = "one convolution"
    dims = 2

    @property
    def view(self) -> Slices:
        return Slices()

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        return torch.nn.Conv2d(channels, labels, 1)


@dataclass
class Pooled(Point):
    """Halves the size of its input."""

    name = "pooled"

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        return torch.nn.Conv2d(channels, labels, 2, stride=2)


@dataclass
class Wild(Point):
    """Weights from a generator nobody seeds, and a layer nothing flows through."""

    name = "wild"

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        module = torch.nn.Sequential(torch.nn.Conv2d(channels, labels, 1))
        with torch.no_grad():
            generator = torch.Generator()
            generator.seed()
            module[0].weight.normal_(generator=generator)
        module.register_parameter("idle", torch.nn.Parameter(torch.zeros(1)))
        return module


def test_networks() -> None:
    assert broken("networks", Point) == set()
    assert "logits_for_any_size" in broken("networks", Pooled)
    assert broken("networks", Wild) == {"same_seed_same_network", "gradients_reach_every_weight"}


# --------------------------------------------------------------------------------------------------------- methods


def cross_entropy(batch: Batch, logits: torch.Tensor) -> torch.Tensor:
    loss = torch.nn.functional.cross_entropy(logits.float(), batch.target, ignore_index=-1, reduction="sum")
    return loss / (batch.target >= 0).sum().clamp(min=1)


@dataclass
class Proper(Method):
    """Cross-entropy with everything a method may do: priors, maps, helpers, duals, state, arms."""

    name = "proper"
    summary = "uses every hook"
    needs = frozenset({UNLABELLED, FIXED_SAMPLES})
    arms = {"control": {"weight": 0.0}}  # noqa: RUF012
    weight: float = parameter(0.1, "weight of the prior", low=0)

    def derive(self, truth: LabelMap) -> Mapping[str, Any]:
        return {"edge": (truth.array > 0).astype(np.float32)}

    def prepare(self, stage: Stage) -> None:
        self.volume_ = float(sum((truth.array > 0).mean() for truth in stage.truths()))
        self.dual_ = torch.zeros(max(stage.samples, 1))
        helper = torch.nn.Linear(1, 1)
        stage.fit(helper, lambda step, generator: helper(torch.ones(1, 1)).square().sum(), steps=1000)

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        inside = torch.softmax(logits.float(), 1)[:, 1:].sum(1)
        prior = (inside.mean() - batch.derived["edge"].mean()).square() + 0 * self.dual_.sum()
        return {"cross_entropy": cross_entropy(batch, logits), "prior": self.weight * prior * (1 + self.dual_.sum())}

    def after_step(self, step: Step) -> None:
        if not step.skipped:
            known = step.batch.sample_ids[step.batch.sample_ids >= 0]
            self.dual_[known] += step.forward().float().std()

    def state(self) -> Mapping[str, Any]:
        return {"dual": self.dual_, "volume": self.volume_}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.dual_, self.volume_ = state["dual"].clone(), state["volume"]


@dataclass
class Fragile(Method):
    """A logarithm of probabilities, a mean over nothing, a forgotten dual, an arm that does not exist."""

    name = "fragile"
    summary = "breaks where methods usually break"
    arms = {"control": {"wieght": 0.0}}  # noqa: RUF012
    weight: float = parameter(1.0, "weight", low=0)

    def prepare(self, stage: Stage) -> None:
        self.steps_ = 0

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        known = batch.target >= 0
        chosen = torch.softmax(logits, 1).gather(1, batch.target.clamp(min=0)[:, None])[:, 0]
        return {"nll": -(self.weight + self.steps_) * torch.log(chosen)[known].mean()}

    def after_step(self, step: Step) -> None:
        self.steps_ += 1

    def state(self) -> Mapping[str, Any]:
        return {"method": self}


def test_a_proper_method_passes() -> None:
    found = examine("methods", Proper)
    assert {name: result.message for name, result in found.items() if not result.ok} == {}


def test_a_fragile_method_is_caught() -> None:
    faults = broken("methods", Fragile)
    expected = {"arms_are_parameters", "extreme_logits_stay_finite", "unknown_targets_are_harmless"}
    assert faults == {*expected, "state_is_plain_and_restores"}


@dataclass
class Wishful(Proper):
    """Every instance wishes what nobody grants."""

    name = "wishful"

    def __post_init__(self) -> None:
        self.needs = frozenset({"magic"})


@dataclass
class Greedy(Proper):
    """Wants a number of cases that is none."""

    name = "greedy"
    unlabelled: int = parameter(-1, "unlabelled cases")


@pytest.mark.parametrize(
    ("cls", "words"), [(Wishful, "needs ['magic']: unknown wishes"), (Greedy, "unlabelled must be a number of cases")]
)
def test_what_an_instance_needs_is_checked_too(cls: type[Part], words: str) -> None:
    result = examine("methods", cls)["declares_what_it_needs"]
    assert not result.ok and words in result.message


# -------------------------------------------------------------------------------------------------------- datasets


@dataclass
class Sloppy(Dataset):
    """Two cases of one name, uint8 images, labels out of range, another order each time."""

    name = "sloppy"
    summary = "does everything wrong"

    def prepare(self, root: Path) -> None:
        self.calls_ = 0

    @property
    def task(self) -> Task:
        return Task("sloppy", "", ("background", "a", "a"), regions={"x": (9,)})

    def refs(self) -> Sequence[CaseRef]:
        self.calls_ += 1
        return [CaseRef("a b", ""), CaseRef("c", "p", "train"), CaseRef(f"c{self.calls_}", "p", "test")]

    def load(self, ref: CaseRef) -> Case:
        array = np.random.default_rng().integers(0, 9, (4, 4, 4))
        truth = LabelMap(array, (1.0, 1.0, 1.0))
        return Case(ref.id, array[None].astype(np.uint8), (1.0, 1.0, 1.0), np.eye(4), truth)  # type: ignore[arg-type]

    def forge(self, root: Path) -> Dataset:
        return Sloppy()


def test_a_sloppy_dataset_is_caught() -> None:
    assert broken("datasets", Sloppy) == {
        "task_is_consistent",
        "case_names_are_safe_and_unique",
        "listing_is_deterministic",
        "groups_keep_to_one_split",
        "cases_keep_the_contract",
        "loading_is_deterministic",
    }


# ------------------------------------------------------------------------------------------------- priors and the rest


TESTS = Path(__file__).parent
KNOWLEDGE = load_catalogue([TESTS / "toy.py", TESTS / "knowledge.py"])


def faults(kind: str, name: str, cls: type[Part] | None = None) -> set[str]:
    """Return the checks that a part of ``knowledge.py``, or a worse version of it, fails."""
    entry = KNOWLEDGE.entries[kind][name]
    KNOWLEDGE.entries[kind][name] = Entry(cls or entry.cls, entry.origin)
    try:
        return {result.name for result in check_part(KNOWLEDGE, kind, name) if not result.ok}
    finally:
        KNOWLEDGE.entries[kind][name] = entry


def worse(kind: str, name: str, **members: Any) -> type[Part]:
    """Return a version of a part with some members replaced."""
    base = KNOWLEDGE.entries[kind][name].cls
    return dataclass(type(base.__name__, (base,), members))


def test_priors_figures_and_studies_that_keep_their_promises() -> None:
    parts = (("priors", "volumes"), ("figures", "bars"), ("studies", "paper"))
    assert [faults(kind, name) for kind, name in parts] == [set(), set(), set()]


def test_priors_that_break_promises() -> None:
    base: Any = KNOWLEDGE.entries["priors"]["volumes"].cls

    def guess(self: Any, path: Path) -> bool:
        return bool(path.read_text())

    def forget(self: Any, path: Path, task: Task) -> None:
        base.read(self, path, task)
        self.largest_ = dict.fromkeys(self.largest_, 1e9)

    def by_position(self: Any, path: Path, task: Task) -> None:
        self.order_ = tuple(self.labels(path))
        base.read(self, path, Task(task.name, "", self.order_))
        self.largest_ = dict(zip(task.labels[1:], self.largest_.values(), strict=True))

    def backwards(self: Any, case_id: str, labels: LabelMap, task: Task) -> Any:
        audit = base.audit(self, case_id, labels, task)
        labels.array.setflags(write=True)
        labels.array[:] = 0
        return type(audit)({name: -value for name, value in audit.measures.items()})

    assert "other_files_are_not_recognised" in faults("priors", "volumes", worse("priors", "volumes", recognises=guess))
    assert {"nonsense_is_worse_than_truth", "learning_and_reading_agree", "what_is_read_is_written_again"} <= faults(
        "priors", "volumes", worse("priors", "volumes", read=forget)
    )
    assert {"labels_go_by_their_names", "other_labels_are_refused"} <= faults(
        "priors", "volumes", worse("priors", "volumes", read=by_position)
    )
    found = faults("priors", "volumes", worse("priors", "volumes", audit=backwards))
    assert {"nonsense_is_worse_than_truth", "inputs_are_left_alone"} <= found


def test_figures_that_break_promises() -> None:
    base: Any = KNOWLEDGE.entries["figures"]["bars"].cls

    def twice(self: Any, runs: Any) -> Any:
        yield from base.draw(self, runs)
        yield from base.draw(self, runs)

    def litter(self: Any, runs: Any) -> Any:
        import matplotlib.pyplot as plt

        plt.figure()
        yield from base.draw(self, runs)

    def crash(self: Any, runs: Any) -> Any:
        yield "bars", runs[0].title

    assert "draws_finished_runs" in faults("figures", "bars", worse("figures", "bars", draw=twice))
    assert faults("figures", "bars", worse("figures", "bars", draw=litter)) == {"figures_are_closed_by_the_caller_only"}
    assert {"draws_finished_runs", "no_run_is_refused"} <= faults(
        "figures", "bars", worse("figures", "bars", draw=crash)
    )


def test_studies_that_break_promises() -> None:
    base: Any = KNOWLEDGE.entries["studies"]["paper"].cls

    def altered(**changes: Any) -> Any:
        def cells(self: Any, dataset: Any) -> Any:
            import dataclasses

            first, *rest = base.cells(self, dataset)
            return [dataclasses.replace(first, config=dataclasses.replace(first.config, **changes)), *rest]

        return worse("studies", "paper", cells=cells)

    def twin(self: Any, dataset: Any) -> Any:
        import dataclasses

        rows = base.cells(self, dataset)
        return [*rows, dataclasses.replace(rows[0], label="again")]

    paper: list[tuple[Any, str]] = [
        (worse("studies", "paper", recipe=lambda self: {"epochs": 3}), "gives_its_recipe"),
        (worse("studies", "paper", cells=twin), "rows_name_parts_that_exist"),
        (altered(arm="contrl"), "rows_name_parts_that_exist"),
        (altered(seed=3), "rows_name_parts_that_exist"),
        (altered(method=Choice("nobody")), "rows_name_parts_that_exist"),
        (altered(network=Choice("toy2d", {"falt": ""})), "rows_name_parts_that_exist"),
        (worse("studies", "paper", metrics=("dise",)), "rows_name_parts_that_exist"),
        (worse("studies", "paper", comparisons=lambda self: [("with prior", "without")]), "rows_and_comparisons_fit"),
        (worse("studies", "paper", published=lambda self: [{"row": "with prior"}]), "published_values_fit"),
    ]
    for cls, check in paper:
        assert check in faults("studies", "paper", cls), check
