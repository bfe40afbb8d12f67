"""Names are a board's own: neighbours elsewhere do not change them, parts of them will do, the ambiguous is listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import UnknownName, UsageError
from segbench.ranking.boards import Request
from segbench.ranking.entrants import meant, resolve
from segbench.ranking.leaderboard import leaderboard
from segbench.results import write_json, write_table
from segbench.score_table import scores_table


def rows(method: str, value: float = 0.5, dataset: str = "heart", **changes: Any) -> list[dict[str, Any]]:
    """Ten cases of one run; ``changes`` are columns."""
    entrant = {"network": "unet2d", "arm": "method", "variant": "", "build": ""} | changes
    return [
        {
            **{"run_id": "-".join([method, dataset, *map(str, entrant.values())]), "dataset": dataset},
            **{"dataset_revision": "1", "method": method, "seed": 0, "fold": 0, "case_id": f"c{c}", "group": f"c{c}"},
            **{
                "label": 1,
                "label_name": "one",
                "metric": "dice",
                "metric_version": "1",
                "unit": "",
                "better": "higher",
            },
            **{"value": value + 0.01 * c, "status": "ok"},
            **entrant,
        }
        for c in range(10)
    ]


def board_names(*some: list[dict[str, Any]], **request: Any) -> dict[str, list[str]]:
    found = leaderboard(scores_table([row for one in some for row in one]), Request(**request))
    return {one.dataset: sorted(entry.place.method for entry in one.entries) for one in found.boards}


def results(root: Path, *some: list[dict[str, Any]]) -> Path:
    for number, one in enumerate(some):
        folder = root / one[0]["dataset"] / one[0]["method"] / f"{one[0]['run_id']}-{number}"
        write_table(folder / "scores.parquet", scores_table(one))
        write_json(folder / "run.json", {"run_id": one[0]["run_id"]})
    return root


HEART = [rows("ce"), rows("boundary", 0.6)]
OTHERS = [
    rows("ce", dataset="liver", network="unet3d", variant="epochs=9"),
    rows("boundary", 0.6, dataset="liver", network="unet3d", variant="epochs=8"),
]


def test_another_dataset_changes_no_name() -> None:
    assert board_names(*HEART)["heart"] == ["boundary", "ce"]
    assert board_names(*HEART, *OTHERS) == {
        "heart": ["boundary", "ce"],
        "liver": ["boundary [epochs=8]", "ce [epochs=9]"],
    }


def test_another_choice_of_metrics_changes_no_name() -> None:
    other = [row | {"metric": "betti"} for row in rows("ce", network="unet3d")]
    assert board_names(rows("ce"), rows("ce", network="unet3d"), other, metrics=("betti",)) == {"heart": ["ce/unet3d"]}


def test_the_order_over_datasets_tells_apart_what_one_dataset_need_not() -> None:
    table = scores_table([row for one in (*HEART, rows("ce", dataset="liver", network="unet3d")) for row in one])
    assert {place.method for place in leaderboard(table, Request()).overall} == {
        "boundary/unet2d",
        "ce/unet2d",
        "ce/unet3d",
    }


def test_no_two_competitors_of_a_board_share_a_name() -> None:
    foreign = rows("ce", network="")
    assert board_names(rows("ce"), foreign)["heart"] == ["ce [network=unet2d]", "ce [network=unknown]"]
    assert board_names(rows("ce"), rows("ce", arm=""))["heart"] == ["ce [arm=method]", "ce [arm=unknown]"]


NAMES = {
    ("boundary", "unet2d", "method", "epochs=8", ""): "boundary [epochs=8]",
    ("boundary", "unet2d", "control", "epochs=8", ""): "boundary:control [epochs=8]",
    ("ce", "unet2d", "method", "epochs=8", ""): "ce [epochs=8]",
    ("ce", "unet2d", "method", "epochs=8 width=4", ""): "ce [epochs=8 width=4]",
    ("a [b]", "", "method", "", ""): "a [b]",
}


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("boundary", ["boundary [epochs=8]"]),
        ("boundary:method", ["boundary [epochs=8]"]),
        ("boundary:control", ["boundary:control [epochs=8]"]),
        ("boundary/unet2d [epochs=8]", ["boundary [epochs=8]"]),
        ("bound", ["boundary [epochs=8]", "boundary:control [epochs=8]"]),
        ("boundary:c", ["boundary:control [epochs=8]"]),
        ("ce", ["ce [epochs=8 width=4]", "ce [epochs=8]"]),
        ("ce [width=4]", ["ce [epochs=8 width=4]"]),
        ("ce [epochs=8]", ["ce [epochs=8]"]),
        ("ce/unet3d", []),
        ("", []),
        ("a [b]", ["a [b]"]),
    ],
)
def test_what_a_word_means(word: str, names: list[str]) -> None:
    assert meant(word, NAMES) == names


def test_a_word_is_resolved_dataset_by_dataset() -> None:
    one = {("ce", "n", "method", "", ""): "ce"}
    two = {("ce", "n", "method", f"epochs={n}", ""): f"ce [epochs={n}]" for n in (1, 2)}
    chosen, notes = resolve(["ce"], {"heart": one, "liver": two})
    assert chosen == {"heart": ["ce"], "liver": []}
    assert "'ce' may be any of 'ce [epochs=1]', 'ce [epochs=2]' on liver" in notes[0]
    with pytest.raises(UsageError, match=r"'ce \[epochs=1\]', 'ce \[epochs=2\]' on liver"):
        resolve(["ce"], {"liver": two})
    with pytest.raises(UnknownName, match="no method 'dice'"):
        resolve(["dice"], {"heart": one, "liver": two})


def test_compare_goes_on_working_when_another_dataset_lies_beside(tmp_path: Path) -> None:
    root = results(tmp_path / "r", *HEART, *OTHERS, rows("ce", dataset="liver", network="unet3d", variant="epochs=7"))
    words = ["compare", "boundary", "ce", "--metric", "dice", "--results", str(root), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["comparisons"]
    assert [(one["dataset"], one["first"], one["second"]) for one in found] == [("heart@1", "boundary", "ce")]
    assert "'ce' may be any of" in result.stderr
    result = CliRunner().invoke(app, [*words, "--dataset", "liver"])
    assert result.exit_code == 2 and "'ce [epochs=7]', 'ce [epochs=9]' on liver" in result.stderr


def test_a_board_of_chosen_methods_keeps_their_names(tmp_path: Path) -> None:
    root = results(tmp_path / "r", *HEART, rows("ce", network="unet3d"))
    words = ["leaderboard", "--method", "bound", "--method", "ce/unet3d", "--results", str(root), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    (board,) = json.loads(result.stdout)["boards"]
    assert {row["method"] for row in board["rows"]} == {"boundary/unet2d", "ce/unet3d"}
    assert CliRunner().invoke(app, [*words[:2], "ce", *words[5:]]).exit_code == 2
