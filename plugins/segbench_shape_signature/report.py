"""Table 1 of finished runs: the mean signature distance of affine pairs of the same subject and of different ones."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from segbench import FinishedRun, LabelMap, Structure, Table, load_checkpoint
from segbench_shape_signature.choice import chosen_structures
from segbench_shape_signature.fitting import generate
from segbench_shape_signature.pretraining import PAIRS, Spread, measure
from segbench_shape_signature.settings import Pretraining
from segbench_shape_signature.store import restored
from segbench_shape_signature.subjects import Subjects, collect

COLUMNS = ("structure", "signature", "same", "different", "same / different", "published same", "different", "ratio")


def spread_table(
    runs: Mapping[str, Sequence[FinishedRun]], published: Mapping[str, tuple[float, float]]
) -> Table:  # fmt: skip
    """Return a row per structure and label of a row, means over seeds.

    Pairs are of test subjects, whom no signature was trained on, where there are two at least; else of training ones.

    Args:
        runs: row label -> finished runs of the method.
        published: structure -> (same, different).
    """
    found: dict[tuple[str, str], list[Spread]] = {}
    notes = [f"Means over {PAIRS} affine pairs. Scales differ between networks, ratios do not."]
    for label, several in runs.items():
        for run in several:
            for name, spread in _spreads(run):
                found.setdefault((name, label), []).append(spread)
    rows = []
    for (name, label), spreads in sorted(found.items(), key=lambda item: item[0][0]):
        same, different = (statistics.fmean(getattr(one, key) for one in spreads) for key in ("same", "different"))
        mean = Spread(same, different, statistics.fmean(one.length for one in spreads))
        paper = published.get(name, (None, None))
        ratio = paper[0] / paper[1] if paper[0] and paper[1] else None
        rows.append((name, label, same, different, mean.ratio, *paper, ratio))
        if complaint := mean.complaint():
            notes.append(f"{name}, {label}: {complaint}")
    return Table("Signature distance, held-out subjects", COLUMNS, tuple(rows), tuple(notes))


def _spreads(run: FinishedRun) -> Iterator[tuple[str, Spread]]:
    """Yield the spread of every signature of a run over its test subjects."""
    method = run.record["method"]
    settings = Pretraining(**method["pretraining"])
    structures = chosen_structures(run.task, method["structures"], method["most"])
    masks = _held_out(run, structures)
    files = sorted((run.folder / "method").glob("signature-*.pt"))
    states = {state["name"]: state for state in map(load_checkpoint, files)}
    for structure in structures:
        if structure.name in states and len(masks[structure.name]):
            signature = restored(states[structure.name], settings)
            generator = generate(0)(structure.name)
            yield structure.name, measure(signature.network, masks[structure.name], settings, generator)


def _held_out(run: FinishedRun, structures: Sequence[Structure]) -> dict[str, Subjects]:
    cases = (run.case(case_id).truth for case_id in run.case_ids)
    truths: list[LabelMap] = [truth for truth in cases if truth is not None]
    return collect(truths if len(truths) > 1 else run.truths(), structures)
