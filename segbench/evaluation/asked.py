"""What an evaluation is asked for besides its files: its options, its metrics, and what the predictions come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from segbench.contracts import Metric
from segbench.errors import Incompatible, UsageError, safe_name
from segbench.host import Catalogue
from segbench.types import Choice

Arm = Literal["method", "control", "placebo"]
Supervision = Literal["", "masks", "descriptors", "semi", "none"]

_USUAL: dict[str, Any] = {"network": "", "arm": "method", "seed": 0, "fold": 0, "supervision": ""}


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
