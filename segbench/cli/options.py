"""The options by which commands say what is ranked and how, and the request they make."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from segbench.errors import UsageError

if TYPE_CHECKING:
    from segbench.ranking.boards import Request


class Scheme(StrEnum):
    """Ranking schemes."""

    rank_then_mean = "rank-then-mean"
    rank_then_median = "rank-then-median"
    mean_then_rank = "mean-then-rank"
    median_then_rank = "median-then-rank"
    test_then_rank = "test-then-rank"


class Cases(StrEnum):
    """What to do when methods have different cases."""

    equal = "equal"
    common = "common"
    union = "union"


Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", help="Dataset, or the board NAME@REVISION; may be repeated."),
]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", help="Who takes part: a name, or what tells it apart; may be repeated."),
]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="Metric; may be repeated.")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="Label; may be repeated.")]
Without = Annotated[list[str] | None, typer.Option("--without", help="Run to leave out; may be repeated.")]
RankedBy = Annotated[Scheme, typer.Option("--scheme", help="How a task is ranked.")]
Missing = Annotated[
    str | None,
    typer.Option("--missing", help="Missing values: worst, drop or a NUMBER. Default: worst, and cases must be equal."),
]
SameCases = Annotated[
    Cases | None,
    typer.Option(
        "--cases", help="Methods or seeds with different cases: refuse, use the common ones, or count as missing."
    ),
]
Bootstrap = Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples of cases for rank intervals.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the bootstrap.")]


def request_of(
    dataset: list[str] | None,
    label: list[str] | None,
    without: list[str] | None,
    missing: str | None,
    cases: Cases | None,
    **others: Any,
) -> Request:
    """Return the request that these options, and ``others``, its other fields, make."""
    from segbench.ranking.boards import Request

    return Request(
        datasets=tuple(dataset or ()),
        labels=tuple(label or ()),
        without=tuple(without or ()),
        missing=_policy(missing),
        cases=cases.value if cases else None,
        **others,
    )


def _policy(text: str | None) -> float | Literal["worst", "drop"] | None:
    if text is None:
        return None
    if text == "worst":
        return "worst"
    if text == "drop":
        return "drop"
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number != number:
        raise UsageError(f"--missing {text!r}: expected worst, drop or a number.")
    return number
