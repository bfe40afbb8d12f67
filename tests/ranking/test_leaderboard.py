"""Leaderboards: worth of a status, seeds, combination, refusals, output; through the functions and the command line."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import UnknownName, VerificationError
from segbench.ranking.boards import Leaderboard, Request
from segbench.ranking.leaderboard import leaderboard
from segbench.ranking.schemes import SCHEMES, rank_task, worst_for_tests
from segbench.results import write_json, write_table
from segbench.score_table import scores_table
from segbench.showing.exports import comma_separated, document, latex, markdown
from segbench.showing.terminal import draw_tables


def row(method: str, case: str, value: float | None, metric: str = "dice", **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "run_id": f"{method}-{changes.get('seed', 0)}",
        "dataset": "brain",
        "dataset_revision": "1",
        "network": "unet3d",
        "method": method,
        "arm": "method",
        "seed": 0,
        "fold": 0,
        "case_id": case,
        "group": case,
        "label": 1,
        "label_name": "left",
        "metric": metric,
        "metric_version": "1",
        "unit": "",
        "better": "higher" if metric == "dice" else "lower",
        "value": value,
        "status": "ok" if value is not None else "missing",
    }
    return values | changes


def matrix(X: Any, methods: str = "abcdef", **changes: Any) -> list[dict[str, Any]]:
    """Rows of a (cases, methods) matrix; None and NaN are missing."""
    return [
        row(methods[k], f"c{c:02d}", None if value is None or np.isnan(value) else float(value), **changes)
        for c, line in enumerate(X)
        for k, value in enumerate(line)
    ]


def board(rows: list[dict[str, Any]], **request: Any) -> Leaderboard:
    return leaderboard(scores_table(rows), Request(**request))


def ranks(result: Leaderboard, task: int = 0) -> dict[str, float]:
    return {standing.method: standing.rank for standing in result.boards[0].tasks[task].standings}


def aggregates(result: Leaderboard, task: int = 0) -> dict[str, float]:
    return {standing.method: standing.aggregate for standing in result.boards[0].tasks[task].standings}


RNG = np.random.default_rng(0)
GAPS = np.round(RNG.random((20, 5)) + np.arange(5) * 0.1, 3)
GAPS[RNG.random(GAPS.shape) < 0.1] = np.nan


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("missing", ["drop", 0.0, None])
@pytest.mark.parametrize("ties", ["average", "min"])
@pytest.mark.parametrize("metric", ["dice", "hd95"])
def test_every_scheme_equals_the_ranking_functions(scheme, missing, ties, metric) -> None:
    result = board(matrix(GAPS, metric=metric), scheme=scheme, missing=missing, ties=ties)
    direction = 1 if metric == "dice" else -1
    expected_missing = missing
    if missing is None and not scheme.startswith("rank"):
        penalty = 0.0 if metric == "dice" else 1000.0
        expected_missing = worst_for_tests(GAPS, -1) if scheme[0] == "t" and metric == "hd95" else penalty
    expected = rank_task(GAPS, direction, scheme, expected_missing, ties)
    assert [ranks(result)[name] for name in "abcde"] == expected.rank.tolist()
    assert [aggregates(result)[name] for name in "abcde"] == pytest.approx(expected.aggregate.tolist())


def test_a_missing_value_is_never_better_than_a_bad_one() -> None:
    rows = matrix([[0.9, 0.1], [0.8, 0.2], [np.nan, 0.1]])
    result = board(rows)
    entry = {e.place.method: e for e in result.boards[0].entries}
    assert aggregates(result) == {"a": pytest.approx(4 / 3), "b": pytest.approx(5 / 3)}
    assert entry["a"].missed == 1
    assert entry["a"].summaries["dice"].mean == pytest.approx(1.7 / 3), "a missing overlap counts 0 in the mean"


def test_what_a_status_is_worth() -> None:
    rows = []
    for status in ("both_empty", "pred_empty", "truth_empty", "missing", "failed"):
        for metric in ("dice", "hd95"):
            rows += [row("a", status, None, metric, status=status), row("b", status, 0.5, metric)]
    result = board(rows)
    entry = {e.place.method: e for e in result.boards[0].entries}
    assert entry["a"].summaries["dice"].mean == pytest.approx(1 / 5)
    assert entry["a"].summaries["hd95"].mean == 0.0, "only both_empty is defined"
    assert entry["a"].summaries["hd95"].undefined == 4
    assert entry["a"].missed == 3, "truth_empty is a false alarm, not a missed structure"
    mean = board(rows, scheme="mean-then-rank", metrics=("hd95",))
    assert aggregates(mean)["a"] == pytest.approx(4 * 1000 / 5)


def test_values_beyond_the_penalty_raise_it() -> None:
    rows = matrix([[1500.0, np.nan], [2.0, 3.0]], metric="volume")
    assert aggregates(board(rows, scheme="mean-then-rank"))["b"] == pytest.approx((10_000 + 3) / 2)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("status", ["missing", "pred_empty", "truth_empty"])
def test_who_fails_is_last_where_higher_is_better_and_values_are_negative(scheme, status) -> None:
    values = -1 - np.random.default_rng(0).random((12, 3))
    values[:, 2] = np.nan
    values[::2, 1] = np.nan
    rows = [line | ({"status": status} if line["value"] is None else {}) for line in matrix(values)]
    result = board(rows, scheme=scheme, missing="worst")
    assert [entry.place.method for entry in result.boards[0].entries] == ["a", "b", "c"]
    last = result.boards[0].entries[-1]
    assert np.isnan(last.summaries["dice"].mean)
    assert "12 undefined" in markdown(result)
    by_number = {policy.name: policy for policy in result.boards[0].policies}["number"]
    assert by_number.number == {"dice": -1000.0}
    assert by_number.places[-1].method == "c"


def test_half_a_missing_repetition_does_not_make_a_negative_value_better() -> None:
    rows = [row("a", "c", -2.0), row("a", "c", None, seed=1), row("b", "c", -3.0)]
    assert ranks(board(rows)) == {"a": 2, "b": 1}


def test_penalties_are_as_bad_as_every_observed_value() -> None:
    correlation = matrix([[-0.5, np.nan], [0.5, 0.5]])
    assert aggregates(board(correlation, scheme="mean-then-rank"))["b"] == pytest.approx(-0.25)
    endless = matrix([[np.inf, 2.0], [2.0, np.nan]], metric="hd95")
    assert ranks(board(endless, scheme="mean-then-rank")) == {"a": 1, "b": 1}, "infinite is as bad as missing"
    few = [[1.0, np.nan]] * 6 + [[np.inf, 2.0]]
    assert ranks(board(matrix(few, metric="hd95"), scheme="test-then-rank")) == {"a": 1, "b": 2}
    absent = [*matrix([[1500.0, 2.0]], metric="volume"), row("a", "d", 1.0, "volume")]
    assert aggregates(board(absent, scheme="mean-then-rank", cases="union"))["b"] == pytest.approx((2 + 10_000) / 2)


def two_of_three_seeds() -> list[dict[str, Any]]:
    rows = [row(m, f"c{c}", 0.8 + 0.01 * (m == "b"), seed=s) for m in "ab" for c in range(4) for s in range(3)]
    return [one for one in rows if (one["method"], one["seed"]) != ("b", 2) or one["case_id"] == "c0"]


def test_a_row_that_only_some_seeds_have_is_refused_or_missing() -> None:
    with pytest.raises(VerificationError, match=r"case c1 is there for some seeds of b, not for all \(3 cases"):
        board(two_of_three_seeds())
    union = board(two_of_three_seeds(), cases="union", scheme="mean-then-rank").boards[0]
    entry = {e.place.method: e for e in union.entries}
    assert entry["b"].place.rank == 2
    assert entry["b"].missed == 3
    assert entry["b"].summaries["dice"].mean == pytest.approx(0.81 * 9 / 12)
    assert "3 values are absent" in union.notes[0]
    dropped = board(two_of_three_seeds(), missing="drop", scheme="mean-then-rank")
    assert aggregates(dropped)["b"] == pytest.approx(0.81)
    assert "3 values are absent altogether and are left out." in dropped.boards[0].notes
    common = board(two_of_three_seeds(), cases="common").boards[0]
    assert common.cases == 1
    assert "1 of 4 cases" in common.notes[0]


def test_seeds_may_divide_the_cases_into_other_folds() -> None:
    rows = [row("a", f"c{c}", 0.5, seed=s, fold=(c + s) % 2, run_id=f"{s}{c}") for c in range(4) for s in range(2)]
    assert board(rows).boards[0].cases == 4
    with pytest.raises(VerificationError, match="seed"):
        board(rows[1:])


@pytest.mark.parametrize("missing", ["drop", 0.95])
@pytest.mark.parametrize("metric", ["dice", "hd95"])
def test_the_mean_shown_is_the_one_that_is_ranked(missing, metric) -> None:
    values = np.array([[0.9, np.nan, 0.5], [0.8, np.nan, np.nan]])
    result = board(matrix(values, metric=metric), scheme="mean-then-rank", missing=missing)
    for standing in result.boards[0].tasks[0].standings:
        assert standing.summary.mean == pytest.approx(standing.aggregate, nan_ok=True)
    means = {e.place.method: e.summaries[metric].mean for e in result.boards[0].entries}
    expected = {"a": 0.85, "b": np.nan, "c": 0.5} if missing == "drop" else {"a": 0.85, "b": 0.95, "c": 0.725}
    assert means == pytest.approx(expected, nan_ok=True)
    words = "left out of the mean" if missing == "drop" else f"Missing values of {metric} count as 0.95"
    assert words in markdown(result)
    assert ("2 undefined" in markdown(result)) == (missing == "drop")


def test_those_who_tie_for_the_first_place_are_all_named() -> None:
    tied = markdown(board(matrix([[0.9, 0.8, 0.1], [0.8, 0.9, 0.1]]), scheme="mean-then-rank"))
    assert "test-then-rank undefined (all tie)" in tied
    assert "rank-then-mean 1.00," in tied, "the same two are first"
    outlier = markdown(board(matrix([[0.9, 0.8, 0.8], [0.9, 0.8, 0.8], [0.1, 0.8, 0.8]])))
    assert "mean-then-rank -1.00 (first: b and c)" in outlier
    seeds = [row(m, "c", 0.5, seed=s) for m in "ab" for s in range(2)]
    assert "First with seeds taken alone (--by-seed): a with 2 of 2 and b with 2 of 2." in markdown(board(seeds))


def test_a_single_method_is_not_tested() -> None:
    result = board(matrix([[0.9]] * 12))
    assert result.boards[0].tasks[0].smallest_adjusted_p is None
    assert document(result)["tasks"][0]["smallest_adjusted_p"] is None


@pytest.mark.parametrize("width", [40, 50, 60])
def test_narrow_tables_break_names_of_methods_only(width) -> None:
    values = np.random.default_rng(0).random((14, 3))
    names = ("nnU-Net baseline configuration", "geometric_constraints", "TransUNet")
    rows = [
        row(m, f"c{c}", float(values[c, k]), q)
        for c in range(14)
        for k, m in enumerate(names)
        for q in ("dice", "hd95")
    ]
    out = io.StringIO()
    draw_tables(board(rows, bootstrap=20), Console(file=out, width=width))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert {"method", "missed", "rank"} <= set(text.split("───")[0].split())
    assert all(f"{values[:, k].mean():.3f}" in text for k in range(3))


def test_seeds_are_repetitions_not_cases() -> None:
    rows = matrix([[0.9, 0.8], [0.7, 0.9]]) + [row("a", f"c{c:02d}", v, seed=1) for c, v in enumerate([0.5, 0.5])]
    result = board(rows, scheme="mean-then-rank")
    assert aggregates(result) == {"a": pytest.approx((0.7 + 0.6) / 2), "b": pytest.approx(0.85)}
    entry = {e.place.method: e for e in result.boards[0].entries}
    assert (entry["a"].seeds, entry["b"].seeds, result.boards[0].cases) == (2, 1, 2)
    assert entry["a"].summaries["dice"].sd == pytest.approx(np.std([0.7, 0.6], ddof=1))


def test_a_missing_seed_is_substituted_before_averaging() -> None:
    rows = [row("a", "c", 0.8), row("a", "c", None, seed=1), row("b", "c", 0.5)]
    assert aggregates(board(rows, scheme="mean-then-rank"))["a"] == pytest.approx(0.4)
    assert aggregates(board(rows, scheme="mean-then-rank", missing="drop"))["a"] == pytest.approx(0.8)


def test_ranks_combine_over_metrics_then_labels_then_datasets() -> None:
    def task(label: str, metric: str, best: str, dataset: str = "brain") -> list[dict[str, Any]]:
        good, bad = (0.9, 0.1) if metric == "dice" else (0.1, 0.9)
        return [row(m, "c", good if m == best else bad, metric, label_name=label, dataset=dataset) for m in ("a", "b")]

    rows = task("left", "dice", "a") + task("left", "hd95", "a") + task("right", "dice", "b")
    result = board(rows + task("left", "dice", "a", "hippo"))
    first, second = result.boards
    assert {e.place.method: e.place.mean_rank for e in first.entries} == {"a": 1.5, "b": 1.5}
    assert [e.place.rank for e in first.entries] == [1, 1]
    assert {e.place.method: e.place.mean_rank for e in second.entries} == {"a": 1.0, "b": 2.0}
    assert {p.method: p.mean_rank for p in result.overall} == {"a": 1.25, "b": 1.75}


def test_absent_from_a_dataset_means_last_there() -> None:
    rows = matrix([[0.9, 0.8]]) + matrix([[0.9, 0.8, 0.7]], dataset="hippo")
    assert {p.method: p.mean_rank for p in board(rows).overall} == {"a": 1.0, "b": 2.0, "c": 3.0}


def test_truths_that_are_not_known_to_agree_never_mix() -> None:
    rows = matrix([[0.9, 0.8]]) + matrix([[0.1, 0.8]], dataset_revision="2")
    result = board(rows)
    assert [(b.dataset, b.revision) for b in result.boards] == [("brain", "1"), ("brain", "2")]
    assert result.overall == ()
    assert "brain has 2 boards, whose truths differ; choose one with --dataset brain@REVISION." in result.notes
    assert len(board(rows, datasets=("brain@2",)).boards) == 1


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [row("a", "c", 0.5), row("b", "c", 0.5, metric_version="2")],
            ["dice", "1 (a)", "2 (b)", "--metric"],
        ),
        ([row("a", "c", 0.5), row("b", "c", 0.5, better="lower")], ["dice", "higher (a)", "lower (b)"]),
        (
            [row("a", "c", 0.5), row("a", "c", 0.6, run_id="other")],
            ["more than once", "case c", "a-0", "other", "--without"],
        ),
        (
            [row("a", "c", 0.5), row("a", "d", 0.5), row("b", "c", 0.5)],
            ["a has 2", "b has 1", "case d", "--cases common"],
        ),
        (
            [row("a", "c", 0.5), row("b", "c", 0.5, metric="hd95")],
            ["dice is not there for b", "hd95 is not there for a", "--metric"],
        ),
        ([row("a", "c", 0.5), row("a", "c", 0.5, label_name="right"), row("b", "c", 0.5)], ["right", "b has 0"]),
    ],
    ids=["versions", "directions", "duplicates", "cases", "metrics", "labels"],
)
def test_what_must_not_be_compared_is_refused_in_words(rows, words) -> None:
    with pytest.raises(VerificationError) as error:
        board(rows)
    for word in words:
        assert word in str(error.value)


def test_common_and_union_of_cases() -> None:
    rows = [*matrix([[0.9, 0.8], [0.7, 0.9]]), row("b", "c99", 0.99)]
    common = board(rows, cases="common", scheme="mean-then-rank")
    assert common.boards[0].cases == 2
    assert aggregates(common)["b"] == pytest.approx(0.85)
    assert "2 of 3 cases" in common.boards[0].notes[0]
    union = board(rows, cases="union", scheme="mean-then-rank")
    assert aggregates(union)["a"] == pytest.approx(1.6 / 3)
    assert "1 values are absent" in union.boards[0].notes[0]
    with pytest.raises(VerificationError, match="no case"):
        board([row("a", "c", 0.5), row("b", "d", 0.5)], cases="common")


def test_a_metric_that_some_lack_is_left_off_with_a_note() -> None:
    rows = [*matrix([[0.9, 0.8]]), row("a", "c00", 3.0, "hd95")]
    result = board(rows)
    assert list(result.boards[0].metrics) == ["dice"]
    assert "hd95 is not there for b" in result.boards[0].notes[0]
    with pytest.raises(VerificationError, match="hd95"):
        board(rows, metrics=("dice", "hd95"))


def test_leaving_a_run_out() -> None:
    rows = [row("a", "c", 0.5), row("a", "c", 0.6, run_id="other"), row("b", "c", 0.4)]
    assert aggregates(board(rows, without=("other",), scheme="mean-then-rank"))["a"] == 0.5
    with pytest.raises(UnknownName, match="Did you mean 'other'"):
        board(rows, without=("othr",))


def test_networks_and_arms_are_told_apart() -> None:
    plain = board([row("a", "c", 0.5), row("a", "c", 0.4, arm="control", run_id="x")])
    assert [p.method for p in plain.overall] == ["a", "a:control"]
    mixed = board([row("a", "c", 0.5), row("a", "c", 0.4, network="unet2d", arm="control", run_id="x")])
    assert [p.method for p in mixed.overall] == ["a/unet3d", "a/unet2d:control"]


def test_folds_hold_different_cases() -> None:
    rows = [row(m, f"c{c}", 0.5 + 0.1 * (m == "a"), fold=c % 2, run_id=f"{m}{c % 2}") for m in "ab" for c in range(6)]
    result = board(rows)
    assert result.boards[0].cases == 6
    assert {e.seeds for e in result.boards[0].entries} == {1}


def test_unknown_names_are_answered() -> None:
    for request in ({"metrics": ("dise",)}, {"datasets": ("brian",)}, {"labels": ("lefd",)}):
        with pytest.raises(UnknownName, match="Did you mean"):
            board([row("a", "c", 0.5)], **request)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bootstrap_is_seeded_and_says_how_firm_the_order_is(scheme) -> None:
    rows = matrix(GAPS) + matrix(10 - GAPS, metric="hd95")
    first, again = (board(rows, bootstrap=200, scheme=scheme) for _ in range(2))
    assert first.overall == again.overall
    for place in first.overall:
        assert place.rank_low <= place.rank_high
        assert 0 <= place.p_first <= 1
    assert sum(place.p_first for place in first.overall) >= 1 - 1e-9
    clear = board(matrix(np.arange(5) / 10 + np.zeros((8, 1))), bootstrap=100, scheme=scheme)
    assert clear.overall[0].p_first == 1.0
    assert clear.overall[0].method == "e"


def test_bootstrap_of_a_dataset_does_not_depend_on_the_others() -> None:
    rows = matrix(GAPS)
    alone = board(rows, bootstrap=100).boards[0].entries
    beside = board(rows + matrix(GAPS, dataset="aaa"), bootstrap=100).boards[1].entries
    assert [e.place for e in alone] == [e.place for e in beside]


def test_json_schema() -> None:
    text = json.loads(json.dumps(document(board(matrix(GAPS), bootstrap=50))))
    assert set(text["tasks"][0]) >= {"dataset", "label", "metric", "scheme", "rows"}
    assert set(text["tasks"][0]["rows"][0]) >= {"method", "aggregate", "rank", "n", "missing"}
    assert set(text["overall"][0]) == {"method", "mean_rank", "rank", "rank_low", "rank_high", "p_first"}
    assert sum(line["missing"] for line in text["tasks"][0]["rows"]) == np.isnan(GAPS).sum()
    assert text["tasks"][0]["rows"][0]["n"] == 20


def many_metrics() -> Leaderboard:
    rows = []
    for q, metric in enumerate(["dice", "hd95", "assd", "volume_error", "forbidden_contacts"]):
        for label in ("left ventricle", "right ventricle"):
            for c in range(4):
                for m in ("ce_dice", "nonadj", "geometric_constraints"):
                    value = None if (c, q, m) == (0, 1, "nonadj") else (c + q + len(m)) * 10.0**q / 7
                    changes = {"label_name": label, "unit": "mm" if q in (1, 2) else "", "synthetic": True}
                    status = {} if value is not None else {"status": "pred_empty"}
                    rows.append(row(m, f"c{c}", value, metric, **changes, **status))
    return board(rows, bootstrap=50)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("by_label", [False, True])
def test_tables_fit_the_terminal(width, by_label) -> None:
    out = io.StringIO()
    draw_tables(many_metrics(), Console(file=out, width=width), by_label)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "synthetic phantom" in text
    assert "undefined" in text or "not shown" in text
    assert ("± sd" in text) == ("±" in text.replace("± sd", "")), "the note says what the cells say"


def test_markdown_csv_and_latex() -> None:
    rows = matrix([[0.9, 0.8], [0.7, 0.6]], methods="ab", label_name="a_b|c & <d>")
    rows += [changed | {"method": "x_y"} for changed in matrix([[0.5], [0.4]], label_name="a_b|c & <d>")]
    result = board(rows)
    text = markdown(result)
    assert "| x\\_y |" in text
    assert "a\\_b\\|c & \\<d\\>" in text
    assert all(line.count("|") - line.count("\\|") == 6 for line in text.splitlines() if line.startswith("| "))
    tex = latex(result)
    assert r"x\_y" in tex
    assert r"a\_b|c \& \textless{}d\textgreater{}" in tex
    assert r"\toprule" in tex
    assert r"\textbf{0.800" in tex
    table = list(csv.DictReader(io.StringIO(comma_separated(result, by_label=True))))
    assert [(line["method"], float(line["rank"])) for line in table] == [("a", 1), ("b", 2), ("x_y", 3)]
    assert float(next(iter(csv.DictReader(io.StringIO(comma_separated(result)))))["mean"]) == pytest.approx(0.8)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\u2028"])
def test_line_breaks_in_names_do_not_reach_tables(end) -> None:
    label = f"left{end}ventricle"
    result = board([row(name, "c", 0.9, label_name=label) for name in ("a", f"two{end}lines")])
    for text in (latex(result), markdown(result)):
        assert "two lines" in text
        assert "left ventricle" in text


def write_runs(root: Path, rows: list[dict[str, Any]]) -> None:
    for name in sorted({line["run_id"] for line in rows}):
        mine = [line for line in rows if line["run_id"] == name]
        folder = root / mine[0]["dataset"] / mine[0]["method"] / name
        write_table(folder / "scores.parquet", scores_table(mine))
        write_json(folder / "run.json", {"run_id": name})


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": "100"})


def test_command_line(tmp_path: Path) -> None:
    write_runs(tmp_path, matrix(GAPS))
    for options in ([], ["--by-label"], ["--format", "md"], ["--format", "csv"], ["--format", "latex"]):
        answer = invoke("leaderboard", "--results", str(tmp_path), *options)
        assert answer.exit_code == 0, answer.output
        assert "dice" in answer.stdout
    answer = invoke("leaderboard", "--results", str(tmp_path), "--json", "--scheme", "mean-then-rank", "--missing", "0")
    task = json.loads(answer.stdout)["tasks"][0]
    expected = rank_task(GAPS, 1, "mean-then-rank", 0.0)
    assert {line["method"]: line["aggregate"] for line in task["rows"]} == pytest.approx(
        dict(zip("abcde", expected.aggregate.tolist(), strict=True)), abs=1e-12
    )


def test_exit_codes(tmp_path: Path) -> None:
    assert invoke("leaderboard", "--results", str(tmp_path / "nowhere")).exit_code == 3
    write_runs(tmp_path, [row("a", "c", 0.5), row("b", "c", 0.5, metric_version="2")])
    assert invoke("leaderboard", "--results", str(tmp_path)).exit_code == 5
    assert invoke("leaderboard", "--results", str(tmp_path), "--missing", "best").exit_code == 2
    assert invoke("leaderboard", "--results", str(tmp_path), "--metric", "dise").exit_code == 2


def test_needs_no_torch_and_no_plugin(tmp_path: Path) -> None:
    write_runs(tmp_path, matrix(GAPS))
    program = (
        "import sys; from segbench.cli import app\n"
        "try: app(['leaderboard', '--results', sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "heads = {name.split('.')[0] for name in sys.modules}\n"
        "bad = [h for h in heads if h in ('torch', 'pandas', 'nibabel') or h.startswith('segbench_')]\n"
        "assert not bad, bad; assert 'scipy.stats' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, timeout=60)


def test_other_schemes_are_shown_beside_the_headline() -> None:
    outlier = matrix([[0.9, 0.8], [0.9, 0.8], [0.9, 0.8], [0.1, 0.8]])
    agreement = {a.scheme: a for a in board(outlier).boards[0].agreement}
    assert set(agreement) == set(SCHEMES) - {"rank-then-mean"}
    assert agreement["rank-then-median"].tau == 1.0
    assert agreement["mean-then-rank"].tau == -1.0
    assert np.isnan(agreement["test-then-rank"].tau), "nothing is significant, so the order is constant"
    assert "mean-then-rank -1.00 (first: b)" in markdown(board(outlier)).replace("\\", "")
    assert board(outlier, schemes=False).boards[0].agreement == ()
    assert document(board(outlier))["boards"][0]["schemes"][0]["scheme"] == "rank-then-median"


def test_variants_of_a_method_are_competitors_of_their_own() -> None:
    short = [row("a", case, 0.5, run_id="short", variant="epochs=2") for case in ("c1", "c2")]
    long = [row("a", case, 0.9, run_id="long") for case in ("c1", "c2")]
    assert ranks(board(short + long)) == {"a": 1, "a [epochs=2]": 2}


def test_a_variant_shared_by_all_becomes_a_note() -> None:
    result = board([row(name, "c1", 0.5, variant="epochs=2") for name in "ab"])
    assert set(ranks(result)) == {"a", "b"}
    assert "All with epochs=2." in result.notes


def test_what_variants_share_is_a_note_and_what_they_do_not_a_name() -> None:
    variants = {"a": "epochs=2", "b": "method.base=ce dice epochs=2", "c": "epochs=2 crop=1,2"}
    result = board([row(name, "c1", 0.5, variant=variant) for name, variant in variants.items()])
    assert set(ranks(result)) == {"a", "b [method.base=ce dice]", "c [crop=1,2]"}
    assert "All with epochs=2." in result.notes
    twice = [row("a", "c1", 0.5, run_id=text, variant=text) for text in ("x=1 y=2", "y=2 x=1")]
    assert len(ranks(board(twice))) == 2, "never shortened until two have one name"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("missing", ["drop", 0.0, None])
def test_who_is_alone_has_mean_rank_one(scheme, missing) -> None:
    """Whatever is missing, undefined or infinite, for some labels altogether, with several seeds and metrics."""
    rows = []
    for place, (label, seed, case) in enumerate((a, b, c) for a in range(4) for b in range(2) for c in range(3)):
        for metric in ("dice", "hd95"):
            value = None if label == 0 or place % 5 == 0 else np.inf if place % 7 == 0 else place / 30
            value = 0.0 if metric == "dice" and value == np.inf else value
            rows.append(row("a", f"c{case}", value, metric, seed=seed, label=label, label_name=f"l{label}"))
    rows += [row("a", f"c{case}", 0.1, dataset="heart") for case in range(3)]
    result = board(rows, scheme=scheme, missing=missing, bootstrap=20)
    places = [*result.overall, *(entry.place for each in result.boards for entry in each.entries)]
    assert [(place.mean_rank, place.rank, place.p_first) for place in places] == [
        (pytest.approx(1, abs=1e-12), 1, 1)
    ] * 3


def test_how_firm_an_order_is_speaks_of_the_same_methods_in_the_same_order() -> None:
    X = np.random.default_rng(3).random((12, 4)) + np.array([0.0, 0.1, 0.2, 0.9])
    result = board(matrix(X) + matrix(X[:, :3] * 0.5, dataset="heart"), bootstrap=200)
    brain = result.boards[0]
    for places, firm in (
        ([entry.place for entry in brain.entries], brain.stability),
        (result.overall, result.stability),
    ):
        assert firm is not None
        assert [place.rank_low for place in places] == firm.low.tolist()
        assert [place.rank_high for place in places] == firm.high.tolist()
        assert firm.frequency.sum(axis=1) == pytest.approx(1)
        assert firm.levels[0] == 1
        assert [place.p_first for place in places] == pytest.approx(firm.frequency[:, 0])
    assert board(matrix(X)).boards[0].stability is None


def test_the_metrics_an_order_rests_on_are_shown_first() -> None:
    families = {"dice": {"family": "overlap"}, "assd": {"family": "boundary"}}
    families["nsd"] = {"family": "boundary", "preference": 2}
    metrics = ("assd", "dice", "nsd", "zzz")
    rows = [row(name, "c1", 0.5, metric, **families.get(metric, {})) for name in "ab" for metric in metrics]
    assert list(board(rows).boards[0].metrics) == ["dice", "nsd", "assd", "zzz"]
