"""What a first reader is told: what priors add, who is first and how surely, what it cost; in every form."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from segbench.cli import app
from segbench.costs import Cost, cost_of
from segbench.ranking.boards import Board, Leaderboard, Request
from segbench.ranking.effects import PriorEffect
from segbench.ranking.leaderboard import leaderboard
from segbench.results import write_json, write_table
from segbench.score_table import scores_table
from segbench.showing.exports import document, latex, markdown
from segbench.showing.first import cost_sheet, drawn_interval, effect_sheet, first_place, priors_lead
from segbench.showing.tables import sheets
from segbench.showing.terminal import draw_tables

CASES, SEEDS = 16, 3
RNG = np.random.default_rng(0)
NOISE = {name: 0.01 * RNG.normal(size=(SEEDS, CASES)) for name in ("prior", "control", "placebo", "other")}


def rows(method: str, mean: float, noise: str, arm: str = "method", cases: int = CASES) -> list[dict[str, Any]]:
    """Dice and Hausdorff distances of a method: ``mean`` and noise of its own, case by case."""
    found = []
    for seed in range(SEEDS):
        for case in range(cases):
            dice = mean + 0.02 * case / CASES + NOISE[noise][seed, case]
            common = {"run_id": f"{method}-{arm}-{seed}", "dataset": "heart", "dataset_revision": "1", "network": "net"}
            common |= {"method": method, "arm": arm, "seed": seed, "fold": 0, "case_id": f"c{case:02d}", "label": 1}
            common |= {"group": f"c{case:02d}", "label_name": "LV", "metric_version": "1", "status": "ok"}
            overlap = {"metric": "dice", "unit": "", "better": "higher", "family": "overlap", "value": dice}
            distance = {
                "metric": "hd",
                "unit": "mm",
                "better": "lower",
                "family": "boundary",
                "value": 100 * (1 - dice),
            }
            volume = {"metric": "volume", "unit": "mL", "better": "lower", "family": "", "value": 1 - dice}
            found += [common | one for one in (overlap, distance, volume)]
    return found


HELPS = [
    *rows("prior", 0.8, "prior"),
    *rows("prior", 0.7, "control", "control"),
    *rows("prior", 0.8, "placebo", "placebo"),
    *rows("other", 0.6, "other"),
]


def ranked(table: list[dict[str, Any]]) -> Leaderboard:
    return leaderboard(scores_table(table), Request(schemes=False))


def only(table: list[dict[str, Any]]) -> Board:
    return ranked(table).boards[0]


def test_a_prior_is_set_against_its_own_arms() -> None:
    found = {(one.role, one.metric): one for one in only(HELPS).effects}
    assert {one.method for one in found.values()} == {"prior"} and len(found) == 4
    control, placebo = found["control", "hd"], found["placebo", "dice"]
    assert (control.finding, control.against, control.unit) == ("better", "prior:control", "mm")
    assert control.difference == pytest.approx(10, abs=1), "positive = better, also where lower is"
    assert control.interval is not None and 5 < control.interval[0] < control.difference < control.interval[1] < 15
    assert placebo.finding == "no evidence" and placebo.interval is not None
    assert placebo.interval[0] < 0 < placebo.interval[1]


def test_arms_of_another_variant_are_not_its_own() -> None:
    changed = [row | ({"variant": "epochs=9"} if row["arm"] == "control" else {}) for row in HELPS]
    assert {one.role for one in only(changed).effects} == {"placebo"}


def test_without_arms_methods_are_set_against_the_first_and_that_is_said() -> None:
    board = only([row for row in HELPS if row["arm"] == "method"])
    assert {(one.method, one.against, one.role) for one in board.effects} == {("other", "prior", "first")}
    assert "not what a prior adds" in priors_lead(board)
    assert [sheet.title.split(" · ")[1] for sheet in sheets(ranked(rows("a", 0.8, "prior")))] == [
        "LV",
        "further metrics",
    ]


def test_a_prior_that_never_acted_has_no_interval() -> None:
    board = only([*rows("prior", 0.8, "prior"), *rows("prior", 0.8, "prior", "control")])
    assert {(one.finding, one.difference, one.interval) for one in board.effects} == {("identical", 0.0, None)}
    assert priors_lead(board) == "prior against its control: identical, the prior never acted."
    assert first_place(board).startswith("First place is shared: prior and prior:control are identical in 48 of 48")


def test_the_first_place_in_plain_words() -> None:
    assert first_place(only(HELPS)) == (
        "First place is not established: prior and prior:placebo are tied on these 16 cases and 3 seeds."
    )
    clear = [*rows("prior", 0.8, "prior"), *rows("other", 0.6, "other")]
    assert first_place(only(clear)) == (
        "First place is established: prior is better than every other method on these 16 cases and 3 seeds."
    )
    few = [row for row in clear if row["case_id"] < "c04"]
    assert first_place(only(few)) == (
        "First place is not established: prior leads, but these 4 cases and 3 seeds are too few to test anything."
    )
    scans = [row | {"group": row["case_id"][:2]} for row in clear]
    assert "these 2 patients (16 cases) and 3 seeds are too few" in first_place(only(scans))
    assert first_place(only(rows("prior", 0.8, "prior"))).startswith("Only one method is here")


def test_words_on_priors_say_metric_by_metric() -> None:
    assert priors_lead(only(HELPS)) == (
        "prior against its control: better by dice and hd. prior against its placebo: no evidence of a difference by "
        "dice and hd."
    )


def test_effects_come_first_then_the_order_cost_and_details() -> None:
    costs = {"heart@1": {"prior": Cost("prior", 3, 12.0, 2.0**30, 1e6), "other": Cost("other", 3, None, None, 2e6)}}
    found = sheets(ranked(HELPS), costs=costs)
    titles = [sheet.title.split(" · ", 1)[1] for sheet in found]
    assert titles == ["what each prior adds", "LV · 16 cases · 3 seeds", "what it cost", "further metrics"]
    effects, order, cost, further = found
    assert effects.rows[0][:3] == ["prior", "control", "dice"] and effects.rows[0][-1] == "better"
    assert order.header[:5] == ["#", "method", "group", "dice ↑", "hd mm ↓"] and order.rows[0][-1] == "0 of 48"
    assert cost.rows == [["prior", "3", "12", "1.00", "1.00"], ["other", "3", "-", "-", "2.00"]]
    assert further.header == ["#", "method", "volume mL ↓"]
    assert "First place is not established" in order.lead


def test_energy_is_shown_where_a_machine_counted_it() -> None:
    records = [
        {"seconds": {"train": 2.0}, "energy_joules": {"processor": 1000.0, "gpu": 3000.0}},
        {"energy_joules": None},
    ]
    one = cost_of("prior", records)
    assert (one.energy, one.seconds, one.memory) == (4000.0, 2.0, None)
    sheet = cost_sheet(only(HELPS), {"prior": one})
    assert (
        sheet is not None and sheet.header[-1] == "energy kJ" and sheet.rows == [["prior", "2", "2", "-", "-", "4.0"]]
    )
    assert cost_sheet(only(HELPS), {}) is None


def test_no_option_is_named_where_there_is_no_command_line() -> None:
    result = ranked([*HELPS, *rows("gone", 0.5, "other")])
    texts = [note for sheet in sheets(result, by_seed=True, hints=False) for note in [sheet.lead, *sheet.notes]]
    assert texts and not any("--" in text for text in texts)
    assert any("--" in note for sheet in sheets(result) for note in sheet.notes)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_tables_fit_a_terminal(width: int) -> None:
    out = io.StringIO()
    draw_tables(ranked(HELPS), Console(file=out, width=width))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    assert flat.index("what each prior adds") < flat.index("LV · 16 cases") < flat.index("further metrics")
    assert "First place is not established: prior and prior:placebo are tied on these 16 cases" in flat
    assert ("●" in text) == (width == 120)


def test_a_long_name_is_broken_between_its_words_before_a_verdict_takes_the_room() -> None:
    name, metric = "shape_descriptors [method.base=ce_dice]", "hd"
    table = [*rows("ce_dice", 0.8, "prior"), *rows("nonadj", 0.8, "prior"), *rows(name, 0.7, "other")]
    out = io.StringIO()
    draw_tables(ranked(table), Console(file=out, width=80))
    effects = out.getvalue().split("against the first")[1].split("Positive")[0]
    assert "identical" in effects and "shape_descriptors " in effects
    assert any(line.startswith("[method.base=ce_dice]") and metric in line for line in effects.splitlines())


def test_words_say_what_intervals_are_over_and_how_far_seeds_lie_apart() -> None:
    uneven = [*rows("a", 0.8, "prior"), *(row for row in rows("b", 0.7, "other") if row["seed"] == 0)]
    whole = leaderboard(scores_table(uneven))
    said = " ".join(note for sheet in sheets(whole) for note in sheet.notes)
    assert "Sd over seeds: dice " in said and " to " not in said.split("Sd over seeds: ")[1].split(", hd")[0]
    single = [row for row in uneven if row["seed"] == 0]
    said = " ".join(note for sheet in sheets(ranked(single)) for note in sheet.notes)
    assert "intervals over cases, each for itself (no training was repeated); verdicts" in said


def test_what_means_leave_out_is_said_to_count_in_differences() -> None:
    table = [*rows("a", 0.8, "prior"), *rows("b", 0.7, "other")]
    for row in table:
        if (row["metric"], row["method"], row["case_id"]) == ("hd", "b", "c03"):
            row |= {"value": None, "status": "pred_empty"}
    board = only(table)
    sheet = effect_sheet(board)
    assert sheet is not None
    said = " ".join(sheet.notes)
    assert "Undefined values of hd, which the means of the other tables leave out, count here as worst (1000" in said
    dropped = effect_sheet(board, missing="drop")
    assert dropped is not None and "Undefined" not in " ".join(dropped.notes)
    whole = effect_sheet(only(HELPS))
    assert whole is not None and "Undefined" not in " ".join(whole.notes)


def test_markdown_latex_and_json_have_the_effects() -> None:
    result = ranked(HELPS)
    text = markdown(result)
    assert text.index("what each prior adds") < text.index("LV · 16 cases")
    assert "**prior against its control: better by dice and hd." in text.replace("\\", "")
    assert "| prior | control | dice |" in text and "│" in text and "`" in text
    tex = latex(result)
    assert "what each prior adds" in tex and "│" not in tex
    (board,) = document(result)["boards"]
    assert board["effects"][0]["finding"] == "better" and board["effects"][0]["role"] == "control"
    assert board["in_words"]["first"].startswith("First place is not established")


def test_an_interval_is_drawn_around_no_difference() -> None:
    def line(difference: float, *interval: float) -> str:
        ends = (interval[0], interval[1]) if interval else None
        return drawn_interval(PriorEffect("a", "b", "control", "dice", "", difference, ends, "better"), 0.8)

    assert line(0.4, 0.2, 0.6) == "········│·├─●─┤··"
    assert line(-0.4, -0.8, 0.1) == "├───●───┼┤·······"
    assert line(0.0, -0.1, 0.1) == "·······├●┤·······"
    assert line(0.8) == "········│·······●"
    assert line(np.nan) == "········│········"
    sheet = effect_sheet(only(HELPS))
    assert sheet is not None and {len(row[sheet.header.index("worse | better")]) for row in sheet.rows} == {17}


def test_the_command_shows_cost_from_the_records(tmp_path: Path) -> None:
    for method in ("prior", "other"):
        folder = tmp_path / "heart" / method / method
        table = scores_table([row | {"run_id": method} for row in rows(method, 0.8, method)])
        write_table(folder / "scores.parquet", table)
        write_json(folder / "run.json", {"run_id": method, "seconds": {"train": 7.4}, "parameters": 5 * 10**6})
    result = CliRunner().invoke(app, ["leaderboard", "--results", str(tmp_path)], env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    assert "what it cost" in result.stdout and "5.00" in result.stdout
    result = CliRunner().invoke(app, ["leaderboard", "--results", str(tmp_path), "--json"])
    assert json.loads(result.stdout)["boards"][0]["effects"]
