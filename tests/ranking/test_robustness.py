"""Headline metrics, letters, seeds, policies and notices, against brute force and by hand."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import DataInvalid, UnknownName
from segbench.ranking.boards import Leaderboard, Request
from segbench.ranking.grid import Measure
from segbench.ranking.grouping import cases_needed, letters, smallest_adjusted_p
from segbench.ranking.headline import headline
from segbench.ranking.leaderboard import leaderboard
from segbench.ranking.schemes import SCHEMES
from segbench.results import write_json, write_table
from segbench.score_table import scores_table
from segbench.showing.exports import document
from segbench.showing.terminal import draw_tables

FAMILIES = {
    **{"dice": ("overlap", 10), "iou": ("overlap", 8), "nsd": ("boundary", 10), "hd95": ("boundary", 8)},
    **{"assd": ("boundary", 7)},
}
"""Of metrics of these names, as rows say it."""


def rows(X: Any, metric: str = "dice", methods: str = "abcdef", **changes: Any) -> list[dict[str, Any]]:
    """Rows of a (cases, methods) matrix; None is pred_empty."""
    return [
        {
            **{"run_id": f"{methods[k]}{changes.get('seed', 0)}", "dataset": "brain", "dataset_revision": "1"},
            **{"network": "net", "method": methods[k], "arm": "method", "seed": 0, "fold": 0, "case_id": f"c{c:02d}"},
            **{"group": "", "label": 1, "label_name": "left", "metric": metric, "metric_version": "1", "unit": ""},
            **{"better": "lower" if metric in ("hd95", "assd") else "higher"},
            **{"value": value, "status": "ok" if value is not None else "pred_empty"},
            **dict(zip(("family", "preference"), FAMILIES.get(metric, ("", 0)), strict=True)),
            **changes,
        }
        for c, line in enumerate(X)
        for k, value in enumerate(line)
    ]


def board(table: list[dict[str, Any]], **request: Any) -> Leaderboard:
    return leaderboard(scores_table(table), Request(**request))


def measures(metrics: list[str]) -> list[Measure]:
    return [Measure("left", name, 1, "", "1", *FAMILIES.get(name, ("", 0))) for name in metrics]


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (["iou", "dice", "hd95", "assd", "volume_error"], ("dice", "hd95")),
        (["dice", "nsd", "hd95"], ("dice", "nsd")),
        (["dice", "iou", "volume_error"], ("dice", "volume_error")),
        (["iou", "assd", "x"], ("assd", "iou")),
        (["p", "q"], ("p", "q")),
    ],
)
def test_headline_metrics(metrics, expected) -> None:
    known = measures(metrics)
    assert headline(known) == expected
    assert headline(known, ("all",)) == tuple(sorted(metrics))
    assert headline(known, (metrics[-1],)) == (metrics[-1],)
    with pytest.raises(UnknownName, match="--headline"):
        headline(known, ("nothing",))


def test_a_strangers_distance_takes_the_boundary_seat() -> None:
    X = [[0.9, 0.8]] * 3
    table = rows(X, "dice") + rows(X, "hd95") + rows(X, "stranger", family="boundary", preference=99)
    assert board(table).boards[0].headline == ("dice", "stranger")
    alike = rows(X, "dice") + rows(X, "hd95") + rows(X, "aaa", family="boundary", preference=8)
    assert board(alike).boards[0].headline == ("aaa", "dice"), "of equal preference the first by name"
    odd = rows(X, "dice") + rows(X, "hd95") + rows(X, "shape", family="nobody knows it", preference=99)
    with pytest.raises(DataInvalid, match="family must be one of overlap, boundary or nothing; found 'nobody"):
        board(odd)


def test_old_rows_take_the_family_that_others_of_the_metric_have() -> None:
    old = {"family": "", "preference": 0}
    X = [[0.9, 0.8]] * 3
    mixed = [one for m in ("dice", "iou", "hd95") for one in rows(X, m)[:3] + rows(X, m, **old)[3:]]
    assert board(mixed).boards[0].headline == ("dice", "hd95")
    assert board(mixed[::-1]).boards[0].headline == ("dice", "hd95")
    alone = [one for m in ("dice", "iou", "hd95") for one in rows(X, m, **old)]
    assert board(alone).boards[0].headline == ("dice", "hd95", "iou"), "of no family: everything counts"


def test_correlated_metrics_do_not_count_twice() -> None:
    a_wins, b_wins = [[0.9, 0.8]] * 3, [[0.8, 0.9]] * 3
    table = rows(a_wins, "dice") + rows(a_wins, "iou") + rows(a_wins, "hd95")  # the larger distance loses
    plain = board(table)
    assert {e.place.method: e.place.mean_rank for e in plain.boards[0].entries} == {"a": 1.5, "b": 1.5}
    assert plain.boards[0].headline == ("dice", "hd95")
    everything = board(table, headline=("all",)).boards[0].entries
    assert {e.place.method: e.place.mean_rank for e in everything} == pytest.approx({"a": 4 / 3, "b": 5 / 3})
    named = board(table, metrics=("dice", "iou")).boards[0]
    assert named.headline == ("dice", "iou"), "whoever names metrics gets these"
    assert [task.headline for task in plain.boards[0].tasks] == [True, True, False]
    assert "iou not counted" in " ".join(document(plain)["boards"][0]["notes"])
    assert len(board(rows(b_wins)).boards[0].headline) == 1


@settings(max_examples=60)
@given(st.integers(1, 6).flatmap(lambda k: st.tuples(st.just(k), st.sets(st.sampled_from(range(max(1, k * k)))))))
def test_letters_are_shared_exactly_by_those_that_do_not_differ(drawn) -> None:
    k, cells = drawn
    different = np.zeros((k, k), dtype=bool)
    for cell in cells:
        i, j = divmod(cell, k)
        different[i, j] = different[j, i] = i != j
    texts = letters(different)
    for i, j in itertools.combinations(range(k), 2):
        assert bool(set(texts[i]) & set(texts[j])) != different[i, j]
    assert all(texts)
    assert texts[0].startswith("a")


def test_groups_equal_scipy_and_holm() -> None:
    rng = np.random.default_rng(0)
    X = np.round(0.7 + 0.05 * rng.normal(size=(30, 1)) + 0.03 * rng.normal(size=(30, 4)) - [0, 0.01, 0.05, 0.06], 6)
    pairs = list(itertools.permutations(range(4), 2))
    p = [
        stats.wilcoxon(X[:, i], X[:, j], "wilcox", True, alternative="greater", method="asymptotic").pvalue
        for i, j in pairs
    ]
    order = np.argsort(p)
    holm = np.maximum.accumulate(np.minimum(1, np.array(p)[order] * np.arange(len(p), 0, -1)))
    different = {frozenset(pairs[index]) for index, q in zip(order, holm, strict=True) if q <= 0.01}  # one seed
    result = board(rows(X.tolist())).boards[0]
    groups = {e.place.method: e.group for e in result.entries}
    for i, j in itertools.combinations(range(4), 2):
        assert bool(set(groups["abcd"[i]]) & set(groups["abcd"[j]])) != (frozenset((i, j)) in different)
    assert 0 < len(different) < 6
    assert {s.method: s.group for s in result.tasks[0].standings} == groups
    several = board(rows(X.tolist()) + rows((-X).tolist(), "hd95")).boards[0]
    assert {e.place.method: e.group for e in several.entries} == groups, "the same order in both metrics"


def test_equal_methods_tie_in_whatever_order_their_seeds_are_read() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((3, 12, 1)).repeat(2, axis=2)
    forwards = [row for seed in (0, 1, 2) for row in rows(X[seed].tolist(), seed=seed) if row["method"] == "a"]
    backwards = [row for seed in (2, 0, 1) for row in rows(X[seed].tolist(), seed=seed) if row["method"] == "b"]
    entries = board(forwards + backwards).boards[0].entries
    assert any(sum(X[:, c, 0]) != X[2, c, 0] + X[0, c, 0] + X[1, c, 0] for c in range(12)), "the last bit differs"
    assert [entry.place.mean_rank for entry in entries] == [1.5, 1.5]


@pytest.mark.parametrize(("shift", "apart"), [(0.0, False), (0.5, True)])
def test_lucky_seeds_make_no_group(shift: float, apart: bool) -> None:
    """Two methods whose seeds overlap share a letter however small p over cases is; a true difference stays one."""
    rng = np.random.default_rng(3)
    difficulty = 0.02 * rng.normal(size=(30, 1))
    luck = [(0.0, 0.06), (0.05, 0.02), (-0.02, 0.04)]  # of a and b by seed: b is 0.03 better, sd over seeds 0.03
    table = []
    for seed, drawn in enumerate(luck):
        X = difficulty + np.array(drawn) + [0.0, shift] + 0.01 * rng.normal(size=(30, 2))
        table += rows(X.tolist(), seed=seed) + rows((-X).tolist(), "hd95", seed=seed)
    result = board(table).boards[0]
    single = board([row | {"seed": 0} for row in rows(np.add(difficulty, [0.01, 0.04]).tolist())]).boards[0]
    assert [e.group for e in single.entries] == ["a", "b"], "cases alone would claim a difference"
    assert [e.group for e in result.entries] == (["a", "b"] if apart else ["a", "a"])
    assert {s.group for s in result.tasks[0].standings} == ({"a", "b"} if apart else {"a"})


def test_the_smallest_attainable_p_is_printed() -> None:
    assert cases_needed(6) == 12
    assert smallest_adjusted_p(11, 6) > 0.05 >= smallest_adjusted_p(12, 6)
    assert cases_needed(6, 0.01) == 16, "one seed each: a fifth of the level"
    rng = np.random.default_rng(0)
    for n, words in ((5, "Fewer than 6 cases"), (15, "0.01 must be reached; 16 cases are needed"), (16, "")):
        result = board(rows(rng.random((n, 6)).tolist())).boards[0]
        text = " ".join(result.notes)
        assert (words in text) if words else not text
        assert result.tasks[0].smallest_adjusted_p == smallest_adjusted_p(n, 6)
        assert all(bool(entry.group) == (n == 16) for entry in result.entries)
    single = board(rows(rng.random((11, 6)).tolist()), scheme="test-then-rank").boards[0]
    assert single.notes == (), "without Holm, eleven cases are enough"


def test_seeds_one_by_one() -> None:
    rng = np.random.default_rng(1)
    X = rng.random((3, 8, 3))
    table = [line for s in range(3) for line in rows(X[s].tolist(), seed=s)] + rows(
        rng.random((8, 1)).tolist(), methods="d"
    )
    result = board(table, scheme="mean-then-rank").boards[0]
    means = X.mean(axis=1)  # (seeds, methods)
    for entry in result.entries:
        if entry.place.method == "d":
            assert entry.seed_sd == {}
            assert [seed for seed, _ in entry.by_seed] == [0]
            continue
        k = "abc".index(entry.place.method)
        assert entry.seed_sd["dice"] == pytest.approx(means[:, k].std(ddof=1))
        assert [seed for seed, _ in entry.by_seed] == [0, 1, 2]
        for seed, place in entry.by_seed[1:]:  # d has seed 0 only
            assert place.rank == stats.rankdata(-means[seed])[k]
    standing = next(s for s in result.tasks[0].standings if s.method == "a")
    assert [one.aggregate for one in standing.by_seed] == pytest.approx(means[:, 0].tolist())
    line = next(r for r in document(board(table))["tasks"][0]["rows"] if r["method"] == "a")
    assert line["mean_seed_sd"] == pytest.approx(means[:, 0].std(ddof=1))
    assert [one["seed"] for one in line["seeds"]] == [0, 1, 2]
    assert board(table, schemes=False).boards[0].seeds == 0


def test_a_winner_that_depends_on_the_policy() -> None:
    table = rows([[None, 0.1], [None, 0.1], [None, 0.1], [0.9, 0.8], [0.9, 0.8]])
    result = board(table).boards[0]
    assert result.entries[0].place.method == "b"
    survives = {one.name: one.survives for one in result.policies}
    assert survives == {"drop": False, "exclude": False, "number": True}, "dropping rewards who fails"
    by_mean = board(table, scheme="mean-then-rank").boards[0]
    assert by_mean.entries[0].place.method == "b"
    assert {one.name: one.survives for one in by_mean.policies} == survives
    text = " ".join(document(board(table))["boards"][0]["notes"])
    assert "depends on the policy: not b" in text
    assert "excluded for all (a first)" in text
    assert document(board(table))["boards"][0]["winner_survives"] is False


def test_a_winner_that_survives_and_a_board_without_gaps() -> None:
    firm = board(rows([[0.9, None], [0.9, 0.1], [0.8, 0.2]])).boards[0]
    assert all(one.survives for one in firm.policies)
    assert {one.name for one in firm.policies} == {"drop", "exclude", "number"}
    assert "a would also be first" in " ".join(document(board(rows([[0.9, None], [0.9, 0.1]])))["boards"][0]["notes"])
    assert {one.name for one in board(rows([[0.9, None], [0.9, 0.1]]), missing="drop").boards[0].policies} >= {"worst"}
    plain = board(rows([[0.9, 0.2], [0.9, 0.1]]))
    assert plain.boards[0].policies == ()
    assert document(plain)["boards"][0]["winner_survives"] is None


def test_both_empty_masks_can_be_excluded() -> None:
    table = rows([[0.5, 0.6], [0.5, 0.6]]) + [
        {**line, "case_id": "empty", "value": value, "status": status}
        for line, value, status in zip(rows([[0.0, 0.0]]), (1.0, 0.0), ("both_empty", "truth_empty"), strict=True)
    ]
    result = board(table, scheme="mean-then-rank").boards[0]
    assert result.entries[0].place.method == "a"
    assert {one.name: one.survives for one in result.policies} == {"drop": False, "exclude": False, "number": True}


def test_tau_between_every_two_schemes() -> None:
    X = np.random.default_rng(2).random((9, 4)).tolist()
    found = document(board(rows(X)))["boards"][0]
    assert len(found["tau"]) == 10
    places = {one["scheme"]: {p["method"]: p["rank"] for p in one["rows"]} for one in found["schemes"]}
    places["rank-then-mean"] = {p["method"]: p["rank"] for p in found["rows"]}
    assert set(places) == set(SCHEMES)
    for one in found["tau"]:
        first, second = ([places[scheme][m] for m in "abcd"] for scheme in one["schemes"])
        assert one["tau"] == pytest.approx(stats.kendalltau(first, second).statistic, nan_ok=True)


@pytest.mark.parametrize("width", [40, 60, 100])
def test_tables_with_groups_and_seeds_fit(width: int) -> None:
    X = np.random.default_rng(3).random((2, 14, 4)) + np.arange(4) / 2
    table = [line for s in range(2) for line in rows(X[s].tolist(), seed=s)]
    table += [line for s in range(2) for line in rows((-X[s]).tolist(), "hd95", seed=s)]
    out = io.StringIO()
    draw_tables(board(table), Console(file=out, width=width), by_seed=True)
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "group" in text
    assert "seed by seed" in " ".join(text.split())


def test_command_line(tmp_path: Path) -> None:
    X = np.random.default_rng(3).random((2, 14, 3))
    for seed in range(2):
        for metric in ("dice", "iou", "hd95"):
            folder = tmp_path / "brain" / "all" / f"{metric}{seed}"
            write_table(folder / "scores.parquet", scores_table(rows(X[seed].tolist(), metric, seed=seed)))
            write_json(folder / "run.json", {"run_id": f"{metric}{seed}"})
    base = ["leaderboard", "--results", str(tmp_path)]
    found = json.loads(CliRunner().invoke(app, [*base, "--json"]).stdout)["boards"][0]
    assert found["headline"] == ["dice", "hd95"]
    chosen = json.loads(CliRunner().invoke(app, [*base, "--headline", "iou", "--json"]).stdout)["boards"][0]
    assert chosen["headline"] == ["iou"]
    for options in (["--by-seed"], ["--by-seed", "--format", "csv"], ["--by-seed", "--format", "md"]):
        answer = CliRunner().invoke(app, [*base, *options])
        assert answer.exit_code == 0, answer.output
        assert "seed" in answer.stdout
    assert CliRunner().invoke(app, [*base, "--headline", "dise"]).exit_code == 2
