"""``segbench cite``: whom to cite for a run, and the paragraph of a paper's methods section that describes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from segbench.costs import seconds_of
from segbench.errors import SegbenchError
from segbench.host import Catalogue

KINDS = {"dataset": "datasets", "unlabelled": "datasets", "network": "networks", "method": "methods"}
_KEY = re.compile(r"@\w+\s*\{\s*([^,\s]+)\s*,")


@dataclass(frozen=True)
class Bibliography:
    """BibTeX entries, and in words the parts that have none."""

    entries: tuple[str, ...]
    skipped: tuple[str, ...]

    def text(self) -> str:
        """Return the contents of a ``.bib`` file; what has no entry is a comment."""
        comments = [f"% {line}" for line in self.skipped]
        return "\n\n".join([*self.entries, *(["\n".join(comments)] if comments else [])]) + "\n"


def own_entry() -> str:
    """Return the BibTeX entry of segbench itself."""
    return (
        "@software{segbench,\n"
        "  title = {segbench: does prior knowledge help to segment?},\n"
        "  author = {{The segbench authors}},\n"
        f"  version = {{{version('segbench')}}},\n"
        "  license = {MIT},\n"
        "}"
    )


def bibliography(records: Sequence[Mapping[str, Any]], metrics: Sequence[str], catalogue: Catalogue) -> Bibliography:
    """Return the entries of everything some runs used; each once.

    Args:
        records: of the runs.
        metrics: names of all metrics in their scores.
        catalogue: where the parts are found.
    """
    wanted: dict[tuple[str, str, str], None] = {}
    for record in records:
        config = record.get("config", {})
        for role, kind in KINDS.items():
            if config.get(role):
                wanted[role, kind, config[role]["name"]] = None
    for name in metrics:
        wanted["metric", "metrics", name] = None
    entries: dict[str, str] = {}
    skipped = []
    for role, kind, name in wanted:
        try:
            part = catalogue.entry(kind, name).cls
        except SegbenchError as error:
            skipped.append(f"{role} {name}: not installed here ({str(error).splitlines()[0]})")
            continue
        text = part.bibtex.strip()
        for entry in _split(text):
            entries.setdefault(_key(entry), entry)
        if not text:
            skipped.append(f"{role} {name}: no BibTeX entry" + (f"; its source: {part.source}" if part.source else ""))
    if not all(record.get("config") for record in records):
        skipped.append("runs made elsewhere: cite the methods' and the dataset's own papers")
    return Bibliography((*entries.values(), own_entry()), tuple(skipped))


def _split(text: str) -> list[str]:
    """Return the entries of a text."""
    return [entry for piece in re.split(r"(?m)^(?=\s*@\w+\s*\{)", text) if (entry := piece.strip())]


def _key(entry: str) -> str:
    match = _KEY.match(entry)
    return match.group(1) if match else entry


def paragraph(records: Sequence[Mapping[str, Any]], metrics: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return sentences on data, training, budget, metrics and statistics, as the records say.

    Args:
        records: of the runs, of one or several methods, seeds and datasets.
        metrics: names of the metrics in their scores.
        rows: one ``{"dataset", "dataset_revision", "method", "seeds", "cases"}`` per run.
    """
    trained = [record for record in records if record.get("config")]
    sentences = [_data(rows)]
    if trained:
        sentences += [_training(trained), _budget(trained), _splits(trained), _hardware(trained)]
    if len(trained) < len(records):
        count = len(records) - len(trained)
        sentences.append(f"The scores of {count} run{'s' if count > 1 else ''} come from predictions made elsewhere.")
    sentences += [_measures(metrics), _statistics(rows, records)]
    return " ".join(sentence for sentence in sentences if sentence)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _each(values: Sequence[Any]) -> list[str]:
    return [str(value) for value in dict.fromkeys(values)]


def _data(rows: Sequence[Mapping[str, Any]]) -> str:
    methods = _each([row["method"] for row in rows])
    sets = _each([f"{row['dataset']} (revision {row['dataset_revision']}, {row['cases']} test cases)" for row in rows])
    seeds = len({seed for row in rows for seed in row["seeds"]})
    repeats = f", each trained with {seeds} seeds" if seeds > 1 else ""
    return f"We evaluated {_listed(methods)}{repeats} on {_listed(sets)}."


def _training(records: Sequence[Mapping[str, Any]]) -> str:
    networks = _each([record["config"]["network"]["name"] for record in records])
    counts = sorted({record["parameters"] for record in records if isinstance(record.get("parameters"), int)})
    size = f" ({_listed([f'{count:,}' for count in counts])} parameters)" if counts else ""
    recipe = records[0]["config"]["recipe"]
    names = _each([record["config"]["recipe_name"] for record in records])
    return (
        f"Networks ({_listed(networks)}{size}) were trained by the recipe {_listed(names)}: {recipe['optimizer']}, "
        f"initial learning rate {recipe['learning_rate']:g}, {recipe['schedule']} schedule, weight decay "
        f"{recipe['weight_decay']:g}, {recipe['normalisation']} intensities, {recipe['spacing']} spacing; weights, "
        f"batches and augmentation are the same for all methods of a seed, and the {recipe['choose']} checkpoint was "
        f"scored."
    )


def _budget(records: Sequence[Mapping[str, Any]]) -> str:
    budgets = _each(
        [
            f"{r['training']['epochs']} epochs ({r['training']['steps']} optimiser steps)"
            for r in records
            if "training" in r
        ]
    )
    return f"The budget was {_listed(budgets)}." if budgets else ""


def _splits(records: Sequence[Mapping[str, Any]]) -> str:
    words = {"train": "training", "unlabelled": "unlabelled", "val": "validation", "test": "test"}
    found = _each(
        [
            _listed([f"{len(r['splits'][role])} {word}" for role, word in words.items() if r["splits"].get(role)])
            for r in records
            if r.get("splits")
        ]
    )
    folds = sorted({record["config"]["folds"] for record in records if record["config"].get("folds")})
    crossed = f" ({_listed([str(n) for n in folds])}-fold cross-validation over patients)" if folds else ""
    return f"Cases were split by patient into {' or '.join(found)} cases{crossed}." if found else ""


def _hardware(records: Sequence[Mapping[str, Any]]) -> str:
    precisions = _each([r["training"]["precision"] for r in records if r.get("training", {}).get("precision")])
    devices = _each([r["hardware"]["device"] for r in records if r.get("hardware", {}).get("device")])
    spent = [seconds_of(record) for record in records]
    seconds = [one["train"] for one in spent if "train" in one]
    time = f", {sum(seconds) / len(seconds) / 60:.1f} minutes per training on average" if seconds else ""
    return (
        f"Training ran in {_listed(precisions)} precision on {_listed(devices)}{time}."
        if precisions and devices
        else ""
    )


def _measures(metrics: Sequence[str]) -> str:
    return (
        f"Per case and structure we computed {_listed(list(metrics))}; a missed structure counts as the worst value, "
        f"two empty masks as perfect agreement."
    )


def _statistics(rows: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> str:
    versions = _each(
        [record["versions"]["segbench"] for record in records if record.get("versions", {}).get("segbench")]
    )
    by = f"segbench {_listed(versions or [version('segbench')])}"
    if len({row["method"] for row in rows}) < 2:
        return f"All was done with {by}."
    trained: dict[str, set[Any]] = {}
    for row in rows:
        trained.setdefault(row["method"], set()).update(row["seeds"])
    repeated = max(map(len, trained.values())) > 1
    both = " and by a test of the mean difference with the spread between seeds, both to be passed,"
    trainings = both if repeated else ","
    level = "0.05" if repeated else "0.01, since no training was repeated"
    return (
        f"Methods were ranked case by case, ranks averaged over cases, metrics, structures and datasets; seeds were "
        f"averaged within a case and never counted as cases, scans of one patient never as patients. Pairs of methods "
        f"were compared by one-sided Wilcoxon signed rank tests over patients{trainings} adjusted by Holm over all "
        f"ordered pairs (alpha = {level}), with rank intervals from resampled patients. All was done with {by}."
    )
