"""What an evaluation is asked for besides its files: its options, its metrics, and what the predictions come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from segbench.contracts import FinishedRun, Metric
from segbench.errors import Incompatible, UsageError, safe_name
from segbench.evaluation.labelling import Labels
from segbench.evaluation.layouts import Kind
from segbench.host import Catalogue
from segbench.params import to_json
from segbench.scoring.geometry import Mode
from segbench.types import Choice

OnMissing = Literal["worst", "skip", "fail"]
Arm = Literal["method", "control", "placebo"]
Supervision = Literal["", "masks", "descriptors", "semi", "none"]

_USUAL: dict[str, Any] = {"network": "", "arm": "method", "seed": 0, "fold": 0, "supervision": ""}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """All that an evaluation is asked for but where it is written; see ``folders.evaluate``, which has the same names.

    Raises:
        UsageError: a value that its option does not know.
    """

    predictions: Path = field(kw_only=False)
    references: Path | None = field(kw_only=False)
    name: str
    dataset: str | None
    like: FinishedRun | None
    labels: Labels | None
    regions: Mapping[str, Sequence[int]] | None
    ignore_label: int | None
    metrics: Sequence[str | Choice | Metric] | None
    on_missing: OnMissing
    geometry: Mode
    layout: Kind
    decision: tuple[Choice, ...] | None
    one_hot: bool
    cases: Sequence[str] | None
    split: str | Path | Mapping[str, Any] | Sequence[Any] | None
    network: str
    arm: Arm
    seed: int
    fold: int | None
    supervision: Supervision
    images: Path | None = None

    def __post_init__(self) -> None:
        safe_name(self.name, "method")
        choices = {"on_missing": OnMissing, "geometry": Mode, "layout": Kind}
        check_choices(**{option: (getattr(self, option), kind) for option, kind in choices.items()})
        design_of(**self._design)

    @property
    def _design(self) -> dict[str, Any]:
        return {one: getattr(self, one) for one in ("network", "arm", "seed", "fold", "supervision")}

    @property
    def said(self) -> dict[str, Any]:
        """What is said of the training behind the predictions, by column; what is as usual is left out."""
        return design_of(**self._design)

    def again(self) -> dict[str, Any]:
        """Return what has to be asked to have the same again, as JSON values."""
        as_they_are = ("labels", "regions", "ignore_label", "on_missing", "geometry", "layout", "one_hot", "cases")
        asked: dict[str, Any] = {"predictions": _absolute(self.predictions), "references": _absolute(self.references)}
        asked |= {one: getattr(self, one) for one in as_they_are}
        asked |= {"split": _absolute(self.split) if isinstance(self.split, str | Path) else self.split, **self._design}
        asked |= {"images": _absolute(self.images)} if self.images is not None else {}
        asked |= {"like": _absolute(self.like.folder)} if self.like else {}
        return asked | ({} if self.decision is None else {"decision": [to_json(one) for one in self.decision]})


def _absolute(path: str | Path | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())


def check_choices(**choices: tuple[str, Any]) -> None:
    """Refuse a value that its option does not know; ``option=(value, Literal)``."""
    for option, (value, kind) in choices.items():
        if value not in get_args(kind):
            raise UsageError(f"{option} {value!r}: expected one of {', '.join(get_args(kind))}.")


def design_of(*, network: str, arm: str, seed: int, fold: int | None, supervision: str) -> dict[str, Any]:
    """Return what is said of the training behind the predictions, by column; what is as usual is left out.

    Raises:
        UsageError: for an arm or a supervision that does not exist, or a number below 0.
    """
    check_choices(arm=(arm, Arm), supervision=(supervision, Supervision))
    for option, number in (("seed", seed), ("fold", fold or 0)):
        if number < 0:
            raise UsageError(f"{option} {number}: expected a whole number from 0.")
    if network:
        safe_name(network, "network")
    said = {"network": network, "arm": arm, "seed": seed, "fold": fold or 0, "supervision": supervision}
    return {column: value for column, value in said.items() if value != _USUAL[column]}


def chosen_metrics(
    metrics: Sequence[str | Choice | Metric] | None, catalogue: Catalogue, *, may_learn: bool = False
) -> tuple[Metric, ...]:
    """Return the metrics asked for, or those that are on by default and need no training data.

    Args:
        metrics: names, choices or metrics.
        catalogue: where they come from.
        may_learn: whether there are training truths to learn priors from.

    Raises:
        Incompatible: if one asked for must see training truths and was given no prior by parameter.
        UnknownName: if there is no such metric.
    """
    if metrics is None:
        made = [catalogue.metric(Choice(name)) for name in catalogue.defaults("metrics")]
        chosen = [metric for metric in made if not metric.learns]
    else:
        choices = [Choice(one) if isinstance(one, str) else one for one in metrics]
        chosen = [catalogue.metric(one) if isinstance(one, Choice) else one for one in choices]
    for metric in chosen if not may_learn else ():
        if metric.learns:
            option = f"--set metric.{metric.name}.prior=FILE"
            able = f"Give it one with {option}" if metric.prior_kind else "Score like a run (--like RUN)"
            raise Incompatible(
                f"metric {metric.name} needs training truths to learn its prior from, and an evaluation has none. "
                f"{able} (`segbench info metric {metric.name}`), or leave it out."
            )
    if not chosen:
        raise UsageError("No metric was chosen. Name some, such as --metrics dice,hd95; `segbench list metrics`.")
    return tuple(chosen)
