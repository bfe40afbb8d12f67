"""Boards by truth: who stands with whom, what is left off and why; by hand, by brute force, and through the boards."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import UnknownName, VerificationError
from segbench.importing.measures import Measure
from segbench.importing.runs import import_scores
from segbench.publishing.boards import staleness, write_boards
from segbench.ranking.boards import Leaderboard, Request
from segbench.ranking.chunks import chunks_of_table
from segbench.ranking.grid import COLUMNS
from segbench.ranking.holdings import divisions, holdings
from segbench.ranking.leaderboard import leaderboard
from segbench.ranking.truths import Division, Held, divide, keys_of
from segbench.ranking.verdicts import compare
from segbench.results import read_scores, write_json, write_table
from segbench.score_table import scores_table
from segbench.truths import truth_digest
from segbench.types import LabelMap

CASES = tuple(f"c{c}" for c in range(8))


def digest(case: str, spacing: float = 1.0, annotator: int = 0) -> str:
    """The digest of a real label map that belongs to the case alone."""
    array = np.zeros((4, 6, 6), dtype=np.uint8)
    array[1:3, 1:4, 1 : 2 + int(case[1:]) % 4] = 1
    array[0, 0, 0] = int(case[1:])
    array[3, 5, 5] = annotator
    return truth_digest(LabelMap(array, (2.0, spacing, spacing)))


def run(method: str, cases: Any = CASES, shift: float = 0.0, **changes: Any) -> list[dict[str, Any]]:
    """Rows of a run; ``truth`` may be a text, a function of the case, or left out for the case's own."""
    truth = changes.pop("truth", digest)
    rows = []
    for case in cases:
        rng = np.random.default_rng([int(case[1:]), len(method)])
        for metric in ("dice", "hd95"):
            rows.append(
                {
                    **{"run_id": f"{method}-run", "dataset": "brain", "dataset_revision": "1", "network": "net"},
                    **{"method": method, "arm": "method", "seed": 0, "fold": 0, "case_id": case, "group": case},
                    **{"label": 1, "label_name": "left", "metric": metric, "metric_version": "1", "unit": ""},
                    **{"better": "higher" if metric == "dice" else "lower", "value": 0.5 + shift + rng.random() / 9},
                    "truth": truth(case) if callable(truth) else truth,
                    **changes,
                }
            )
    return rows


def board(rows: list[dict[str, Any]], **request: Any) -> Leaderboard:
    return leaderboard(scores_table(rows), Request(**request))


def shape(found: Leaderboard) -> list[tuple[str, list[str], int]]:
    """Revision, methods and number of cases of every board."""
    return [(b.revision, sorted(e.place.method for e in b.entries), b.cases) for b in found.boards]


def test_the_same_truths_under_other_revisions_are_one_board() -> None:
    rows = run("a") + run("b", dataset_revision="ref-12", source="external", shift=0.2)
    found = board(rows)
    assert shape(found) == [("1", ["a", "b"], 8)]
    assert "Runs of several revisions stand here, for they share truths: 1 (1 run), ref-12 (1 run)." in (
        found.boards[0].notes
    )
    assert board(rows, metrics=("dice",)).boards[0].entries[0].place.method == "b"
    assert shape(board(rows, datasets=("brain@ref-12",))) == shape(found), "whoever holds the revision"
    (one,) = compare(chunks_of_table(scores_table(rows), COLUMNS), ["a", "b"], "dice")
    assert (one.cases, one.verdict) == (8, "worse")
    assert shape(board(run("a") + run("c", dataset_revision="2") + run("b", dataset_revision="2")))[0][0] == "2"


def test_a_case_that_was_annotated_again_is_left_off_and_named() -> None:
    def again(case: str) -> str:
        return digest(case, annotator=int(case == "c3"))

    rows = run("a") + run("b", dataset_revision="2", truth=again)
    found = board(rows)
    assert shape(found) == [("1", ["a", "b"], 7)]
    (note,) = [note for note in found.boards[0].notes if "left off" in note]
    assert note == (
        "1 case is left off, whose truth is not the same for a (run a-run) and for b (run b-run): c3 "
        "(its label values differ)."
    )
    assert found.boards[0].tasks[0].standings[0].n == 7
    (one,) = compare(chunks_of_table(scores_table(rows), COLUMNS), ["a", "b"], "dice")
    assert one.cases == 7
    assert shape(board(rows, without=("b-run",))) == [("1", ["a"], 8)]


def test_another_spacing_is_another_board() -> None:
    rows = run("a") + run("b") + run("a", dataset_revision="2", run_id="x", truth=lambda c: digest(c, spacing=3))
    found = board(rows)
    assert shape(found) == [("1", ["a", "b"], 8), ("2", ["a"], 8)]
    assert found.overall == ()
    assert "brain has 2 boards, whose truths differ; choose one with --dataset brain@REVISION." in found.notes
    assert shape(board(rows, datasets=("brain@2",))) == [("2", ["a"], 8)]
    with pytest.raises(UnknownName, match="brain@3"):
        board(rows, datasets=("brain@3",))


def test_other_truths_of_one_revision_are_boards_of_their_own_with_their_own_names() -> None:
    rows = run("a") + run("b") + run("c", truth=lambda c: digest(c, spacing=3))
    first, second = board(rows).boards
    assert first.revision == "1"
    assert second.revision.startswith("1+")
    assert len(second.revision) == 8
    assert shape(board(rows, datasets=(f"brain@{second.revision}",)))[0][1] == ["c"]


def test_folds_are_one_board_whatever_their_revisions() -> None:
    rows = [
        line
        for fold, cases in enumerate((CASES[:4], CASES[4:]))
        for line in run(
            "nnunet", cases, run_id=f"f{fold}", fold=fold, dataset_revision=f"ref-{fold}", source="external"
        )
    ]
    assert shape(board(rows)) == [("ref-0", ["nnunet"], 8)]
    found = board(rows + run("ours", dataset_revision="7", shift=0.1))
    assert shape(found) == [("7", ["nnunet", "ours"], 8)] or shape(found) == [("ref-0", ["nnunet", "ours"], 8)]
    assert {entry.seeds for entry in found.boards[0].entries} == {1}


def test_old_rows_stand_for_the_truth_of_their_revision() -> None:
    old = run("old", truth="")
    assert shape(board(old + run("older", truth=""))) == [("1", ["old", "older"], 8)]
    theirs = run("theirs", dataset_revision="ref")
    assert shape(board(old + run("new") + theirs)) == [("1", ["new", "old", "theirs"], 8)]
    apart = board(old + theirs)
    assert shape(apart) == [("1", ["old"], 8), ("ref", ["theirs"], 8)], "nobody knows what the truth of 1 was"
    part = board(old + run("new", CASES[:6]) + theirs)
    assert shape(part) == [("1", ["new", "old", "theirs"], 6)]
    (note,) = [note for note in part.boards[0].notes if "left off" in note]
    assert "2 cases are left off" in note
    assert "c6, c7 (that of revision 1 is not known by its values)" in note


def test_a_table_agrees_with_whoever_is_there_and_says_so() -> None:
    table = run("paper", truth="", source="imported", dataset_revision="imported", run_id="p")
    found = board(run("a") + table)
    assert shape(found) == [("1", ["a", "paper"], 8)]
    assert "The truth of paper is not known: taken to agree." in found.boards[0].notes
    told = run("paper", source="imported", dataset_revision="imported", truth=lambda c: digest(c, spacing=3))
    assert len(board(run("a") + told).boards) == 2, "a table may say what its truths were"
    dated = run("paper", truth="", source="imported", dataset_revision="1", run_id="p")
    assert not [note for note in board(run("a") + dated).boards[0].notes if "not known" in note]
    two = (
        run("a")
        + run("b", dataset_revision="2", truth=lambda c: digest(c, spacing=3))
        + run("bb", dataset_revision="2")
    )
    both = board(two + table)
    assert sorted(map(len, (b.entries for b in both.boards))) == [1, 3], "on one board only"
    alone = board(table + run("other", truth="", source="imported", dataset_revision="imported", run_id="q"))
    assert not [note for note in alone.boards[0].notes if "not known" in note], "both name the same"


def test_a_case_whose_reference_could_not_be_read_still_counts_against_its_method() -> None:
    rows = run("a") + run("b", dataset_revision="2", truth=lambda c: "" if c == "c5" else digest(c))
    rows = [row | {"value": None, "status": "missing"} if not row["truth"] else row for row in rows]
    found = board(rows)
    assert shape(found) == [("1", ["a", "b"], 8)]
    assert {e.place.method: e.missed for e in found.boards[0].entries} == {"a": 0, "b": 1}
    assert "The truth of b is not known in c5: taken to agree." in found.boards[0].notes


def test_raters_have_truths_of_their_own() -> None:
    rows = [
        line
        for method, revision, other in (("a", "1", 0), ("b", "2", 1))
        for rater, annotator in (("r1", 0), ("r2", 2 + other))
        for line in run(
            method,
            rater=rater,
            dataset_revision=revision,
            truth=lambda c, annotator=annotator: digest(c, annotator=annotator),
        )
    ]
    found = board(rows)
    assert shape(found) == [("1", ["a", "b"], 8)]
    (note,) = [note for note in found.boards[0].notes if "left off" in note]
    assert "8 cases are left off" in note
    assert "c0 of r2, c1 of r2, c2 of r2 and 5 more" in note
    by_one = board([row for row in rows if row["rater"] == "r1"])
    assert [e.summaries for e in by_one.boards[0].entries] == [e.summaries for e in found.boards[0].entries]


def test_nothing_that_agrees_for_all_is_refused_in_words() -> None:
    def chain(first: int, second: int) -> Any:
        return lambda c: digest(c, annotator=first if c == "c0" else second)

    rows = run("a", CASES[:2], truth=chain(0, 1)) + run("b", CASES[:2], dataset_revision="2", truth=chain(0, 2))
    rows += run("c", CASES[:2], dataset_revision="3", truth=chain(3, 2))
    with pytest.raises(VerificationError, match=r"brain@1: no case has the same truth for all runs.*--without RUN"):
        board(rows)
    assert shape(board(rows, without=("c-run",))) == [("1", ["a", "b"], 1)]


def test_two_decisions_of_one_run_are_two_competitors() -> None:
    filled = run("a", run_id="a2", variant="decision=fill_holes", decision="fill_holes", shift=0.1)
    found = board(run("a") + filled + run("b"))
    assert shape(found) == [("1", ["a", "a [decision=fill_holes]", "b"], 8)]


def test_the_order_of_files_plays_no_part() -> None:
    pieces = [
        run("a"),
        run("b", dataset_revision="2"),
        run("c", dataset_revision="3", truth=lambda c: digest(c, spacing=3)),
        run("d", CASES[:4], dataset_revision="4", truth=""),
        run("e", CASES[4:], dataset_revision="4", truth="", source="imported"),
    ]
    orders = [[line for piece in order for line in piece] for order in permuted(pieces)]
    found = [divisions(chunks_of_table(scores_table(rows), COLUMNS)) for rows in orders]
    assert all(one == found[0] for one in found)


def permuted(pieces: list[Any]) -> list[list[Any]]:
    orders = list(itertools.permutations(pieces))
    return [list(one) for one in random.Random(0).sample(orders, 20)]


# ------------------------------------------------------------------------------------------------------- brute force

RUNS = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "3"]),
        st.sampled_from(["trained", "external", "imported"]),
        st.dictionaries(st.sampled_from(["c1", "c2", "c3"]), st.sampled_from(["", "x", "y"]), min_size=1),
    ),
    min_size=1,
    max_size=6,
)


def held(runs: list[tuple[str, str, dict[str, str]]]) -> list[Held]:
    return [
        Held("d", revision, source, (("m", f"run{i}"),), {(case, ""): frozenset({t}) for case, t in truths.items()})
        for i, (revision, source, truths) in enumerate(runs)
    ]


def truth_of(runs: list[tuple[str, str, dict[str, str]]], i: int, case: str) -> str | None:
    """The truth of a run's case by the words of the rule; None = unknown, agrees with anything."""
    revision, source, truths = runs[i]
    if truths[case]:
        return truths[case]
    others = [(r, t) for r, s, t in runs if s != "imported"]
    linked = {t[case] for r, t in others if r == revision and t.get(case)}
    if len(linked) == 1:
        return linked.pop()
    if any(truths.values()) or (source == "imported" and revision not in {r for r, _ in others}):
        return None
    return f"revision {revision}"


@settings(max_examples=300, deadline=None)
@given(RUNS, st.randoms(use_true_random=False))
def test_boards_keep_the_rule_whatever_the_runs(runs, shuffle) -> None:
    given_runs = held(runs)
    boards = divide(given_runs)
    truth = [{case: truth_of(runs, i, case) for case in runs[i][2]} for i in range(len(runs))]
    of = {int(run[-1][3:]): b for b, one in enumerate(boards) for run in one.runs}
    assert sorted(of) == list(range(len(runs))), "every run is on exactly one board"
    for i, j in itertools.combinations(range(len(runs)), 2):
        shared = set(truth[i]) & set(truth[j])
        if any(truth[i][c] is not None and truth[i][c] == truth[j][c] for c in shared):
            assert of[i] == of[j], "who agrees on a case stands together"
    for b, one in enumerate(boards):
        mine = [truth[i] for i in of if of[i] == b]
        values = {c: {t[c] for t in mine if t.get(c) is not None} for c in ("c1", "c2", "c3")}
        assert {case for case, _ in one.left_off} == {c for c, found in values.items() if len(found) > 1}
        assert len(one.left_off) == 0 or any("left off" in note for note in one.notes)
        for other in range(b):
            theirs = [truth[i] for i in of if of[i] == other]
            both = {c: values[c] | {t[c] for t in theirs if t.get(c) is not None} for c in values}
            met = [c for c in both if values[c] and any(t.get(c) is not None for t in theirs)]
            trained = [any(runs[i][1] == "trained" for i in of if of[i] == one) for one in (b, other)]
            assert any(len(both[c]) > 1 for c in met) or all(trained), "boards of one name differ on some case"
        for group in agreeing(truth, [i for i in of if of[i] == b]):
            rest = [truth[i] for i in of if of[i] == b and i not in group]
            for c in ("c1", "c2", "c3"):
                here = {truth[i][c] for i in group if truth[i].get(c) is not None}
                there = {t[c] for t in rest if t.get(c) is not None}
                assert not (here and there) or here == there, "only runs that agree somewhere may differ elsewhere"
    assert len({one.revision for one in boards}) == len(boards)
    shuffle.shuffle(given_runs)
    assert divide(given_runs) == boards


def agreeing(truth: list[dict[str, str | None]], members: list[int]) -> list[set[int]]:
    """Runs connected by agreement on some case, found by walking from run to run."""
    left, groups = set(members), []
    while left:
        group, todo = set(), [left.pop()]
        while todo:
            i = todo.pop()
            group.add(i)
            near = {j for j in left if any(t is not None and truth[j].get(case) == t for case, t in truth[i].items())}
            left -= near
            todo += near
        groups.append(group)
    return groups


def test_what_is_read_from_rows_is_what_they_say() -> None:
    rows = run("a") + run("b", dataset_revision="2", truth="") + run("c", CASES[:3], source="imported", truth="")
    expected = {
        ("1", "trained", (("a", "a-run"),), frozenset((c, digest(c)) for c in CASES)),
        ("2", "trained", (("b", "b-run"),), frozenset((c, "") for c in CASES)),
        ("1", "imported", (("c", "c-run"),), frozenset((c, "") for c in CASES[:3])),
    }
    for table in (rows, random.Random(1).sample(rows, len(rows))):  # run by run, and interleaved
        found = holdings(chunks_of_table(scores_table(table), COLUMNS))
        assert {
            (h.revision, h.source, h.runs, frozenset((c, t) for (c, _), ts in h.truths.items() for t in ts))
            for h in found
        } == expected


def test_a_run_that_contradicts_itself_agrees_with_nobody_there() -> None:
    twice = run("a") + [row | {"metric": "nsd", "truth": digest(row["case_id"], annotator=int(row["case_id"] == "c1"))}
                        for row in run("a") if row["metric"] == "dice"]  # fmt: skip
    (one,) = divisions(chunks_of_table(scores_table(twice), COLUMNS))
    assert one.left_off == {("c1", "")}
    (keys,) = keys_of(holdings(chunks_of_table(scores_table(twice), COLUMNS)))
    assert len(keys["c1", ""]) == 2


# ----------------------------------------------------------------------------------------------- through the programs


def store(root: Path, rows: list[dict[str, Any]]) -> None:
    for run_id in sorted({row["run_id"] for row in rows}):
        mine = [row for row in rows if row["run_id"] == run_id]
        folder = root / mine[0]["dataset"] / mine[0]["method"] / run_id
        write_table(folder / "scores.parquet", scores_table(mine))
        write_json(folder / "run.json", {"run_id": run_id})


def test_published_boards_hold_runs_of_several_revisions(tmp_path: Path) -> None:
    store(tmp_path / "results", run("a") + run("b", dataset_revision="ref-1") + run("c", dataset_revision="ref-1"))
    store(tmp_path / "results", run("d", dataset_revision="9", truth=lambda c: digest(c, spacing=3)))
    folders = write_boards(tmp_path / "results", tmp_path / "boards")
    assert [folder.name for folder in folders] == ["brain@9", "brain@ref-1"]
    assert [staleness(folder) for folder in folders] == ["", ""]
    assert read_scores(folders[1] / "scores.parquet").num_rows == 3 * 16
    assert "Runs of several revisions" in (folders[1] / "README.md").read_text()
    assert [f.name for f in write_boards(tmp_path / "results", tmp_path / "some", ["brain@1"])] == ["brain@ref-1"]
    with pytest.raises(UnknownName, match="brain@8"):
        write_boards(tmp_path / "results", tmp_path / "some", ["brain@8"])


def test_the_commands_compare_across_revisions(tmp_path: Path) -> None:
    store(tmp_path, run("a") + run("b", dataset_revision="ref-1", shift=0.2))
    csv = tmp_path / "scores.csv"
    lines = [f"brain,{case},left,dice,higher,paper,0.1" for case in CASES]
    csv.write_text("dataset,case,label,metric,better,method,value\n" + "\n".join(lines) + "\n")
    import_scores(csv, tmp_path, measures={"dice": Measure("dice", "higher", "", "overlap", 10)})
    answer = CliRunner().invoke(app, ["compare", "a", "b", "--metric", "dice", "--results", str(tmp_path), "--json"])
    assert answer.exit_code == 0, answer.output
    (one,) = json.loads(answer.stdout)["comparisons"]
    assert (one["cases"], one["family"]) == (8, 6), "the imported method is of the family"
    assert one["effect"]["better"] == 0
    arguments = ["leaderboard", "--metric", "dice", "--results", str(tmp_path), "--json"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    assert any("do not say by which version" in note for note in json.loads(answer.stdout)["boards"][0]["notes"])


def test_divisions_are_plain_data() -> None:
    (one,) = divide([Held("d", "1", "trained", (("m", "r"),), {("c", ""): frozenset({"x"})})])
    assert one == Division("d", "1", ("1",), frozenset({("d", "1", "trained", "m", "r")}), frozenset(), ())
    assert one.names == {"d", "d@1"}


def test_files_from_before_there_were_truths_are_read(tmp_path: Path) -> None:
    rows = [row for name in ("a", "b") for row in run(name, truth="")]
    store(tmp_path, rows)
    for file in tmp_path.rglob("scores.parquet"):
        table = read_scores(file)
        write_table(file, table.drop_columns(["decision", "truth", "family", "preference"]))
    answer = CliRunner().invoke(app, ["leaderboard", "--results", str(tmp_path), "--json"])
    assert answer.exit_code == 0, answer.output
    (found,) = json.loads(answer.stdout)["boards"]
    assert (found["revision"], found["headline"], len(found["rows"])) == ("1", ["dice", "hd95"], 2)
