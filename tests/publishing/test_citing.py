"""Citations: every part once, what has no entry is named; the paragraph says what the records say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segbench import load_catalogue
from segbench.cli import app
from segbench.publishing.citing import bibliography, paragraph

RECORD: dict[str, Any] = {
    "run_id": "abcdef123456",
    "config": {
        "dataset": {"name": "brain", "parameters": {}},
        "network": {"name": "unet3d", "parameters": {}},
        "method": {"name": "nonadj", "parameters": {}},
        "metrics": [],
        "recipe": {
            **{"epochs": 3, "optimizer": "adamw", "learning_rate": 0.02, "schedule": "poly", "weight_decay": 1e-4},
            **{"normalisation": "zscore", "spacing": "native", "choose": "last"},
        },
        "recipe_name": "fair",
        "folds": 0,
    },
    "parameters": 1234,
    "splits": {"train": ["a", "b"], "val": ["c"], "test": ["d", "e", "f"]},
    "training": {"epochs": 3, "steps": 150, "precision": "32-true"},
    "seconds": {"train": 120.0},
    "hardware": {"device": "cpu"},
    "versions": {"segbench": "0.1.0"},
}


def row(method: str, seed: int = 0) -> dict[str, Any]:
    return {"dataset": "brain", "dataset_revision": "1", "method": method, "seeds": [seed], "cases": 3}


def test_every_part_is_cited_once_and_gaps_are_named() -> None:
    found = bibliography([RECORD, RECORD], ["dice", "forbidden_contacts", "nowhere"], load_catalogue())
    keys = [entry.split("{", 1)[1].split(",", 1)[0] for entry in found.entries]
    assert len(keys) == len(set(keys)) >= 3, "the network, the method (whose metric shares its paper), segbench"
    assert keys[-1] == "segbench"
    assert any(line.startswith("metric nowhere: not installed here") for line in found.skipped)
    assert any(line.startswith("dataset brain: no BibTeX entry") for line in found.skipped)
    assert "% dataset brain" in found.text()
    assert found.text().count("@") >= len(keys)


def test_every_metric_has_a_well_formed_entry_of_its_source() -> None:
    entries: dict[str, str] = {}
    for name, entry in load_catalogue().entries["metrics"].items():
        part = entry.cls
        assert part.bibtex.startswith("@"), f"{name} has no BibTeX entry"
        assert part.bibtex.count("{") == part.bibtex.count("}"), name
        if part.source.startswith(("https://doi.org/", "10.")):
            assert f"doi = {{{part.source.removeprefix('https://doi.org/')}}}" in part.bibtex, name
        key = part.bibtex.split("{", 1)[1].split(",", 1)[0]
        assert entries.setdefault(key, part.bibtex) == part.bibtex, f"{key} has two texts"
    found = bibliography([], ["dice", "hd95", "nsd", "cldice"], load_catalogue())
    assert found.skipped == ()
    for doi in ("10.2307/1932409", "10.1038/s41592-023-02151-z", "10.2196/26151", "10.1109/CVPR46437.2021.01629"):
        assert found.text().count(doi) == 1


def test_runs_made_elsewhere_are_said_to_be() -> None:
    found = bibliography([{"run_id": "x", "source": "imported"}], [], load_catalogue())
    assert len(found.entries) == 1
    assert "made elsewhere" in found.skipped[0]


def test_the_paragraph_says_what_the_records_say() -> None:
    text = paragraph([RECORD, RECORD], ["dice", "hd95"], [row("nonadj"), row("ce_dice", 1)])
    for words in (
        "nonadj and ce_dice",
        "2 seeds",
        "3 test cases",
        "unet3d (1,234 parameters)",
        "recipe fair",
        "3 epochs (150 optimiser steps)",
        "2 training, 1 validation and 3 test cases",
        "32-true precision on cpu, 2.0 minutes",
        "dice and hd95",
        "Holm",
        "segbench 0.1.0",
    ):
        assert words in text
    several = paragraph([{"run_id": "x"}], ["dice"], [row("theirs") | {"seeds": [0, 1, 2]}])
    assert "3 seeds" in several, "an imported run may hold several"
    tested = paragraph([RECORD] * 2, ["dice"], [row(name) | {"seeds": [0, 1, 2]} for name in ("nonadj", "ce_dice")])
    assert "tests over patients and by a test of the mean difference with the spread between seeds" in tested
    assert "(alpha = 0.05), with rank intervals from resampled patients" in tested
    single = paragraph([RECORD] * 2, ["dice"], [row("nonadj"), row("ce_dice", 1)])
    assert "tests over patients, adjusted" in single and "(alpha = 0.01, since no training was repeated)" in single
    alone = paragraph([RECORD], ["dice"], [row("nonadj")])
    assert "Holm" not in alone
    elsewhere = paragraph([{"run_id": "x"}], ["dice"], [row("theirs")])
    assert "made elsewhere" in elsewhere
    assert "recipe" not in elsewhere


@pytest.mark.parametrize("option", ["--paragraph", "--latex", "--json", None])
def test_command_line(tmp_path: Path, option: str | None) -> None:
    table = tmp_path / "scores.csv"
    lines = [f"h,c{c},1,dice,higher,{m},{s},0.{c + 5},\n" for c in range(3) for m in "ab" for s in range(3)]
    table.write_text("dataset,case,label,metric,better,method,seed,value,status\n" + "".join(lines))
    results = str(tmp_path / "results")
    assert CliRunner().invoke(app, ["import", str(table), "--results", results]).exit_code == 0
    answer = CliRunner().invoke(app, ["cite", results, *([option] if option else [])])
    assert answer.exit_code == 0, answer.output
    if option == "--paragraph":
        assert "3 seeds" in answer.stdout
    expected = {"--paragraph": "We evaluated a and b", "--latex": r"\toprule", None: "@software{segbench"}
    if option == "--json":
        assert set(json.loads(answer.stdout)) == {"bibtex", "skipped", "paragraph", "latex"}
    else:
        assert expected[option] in answer.stdout
