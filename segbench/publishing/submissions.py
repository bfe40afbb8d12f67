"""``segbench submit``: one finished run in one file, with a hash of everything that its scores were computed from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from segbench.atomic import atomically
from segbench.collection import KeptRun
from segbench.digests import sha256_of
from segbench.errors import DataInvalid, DataMissing, UsageError, safe_name
from segbench.litter import temporary
from segbench.publishing.packages import FORMAT, MANIFEST, PREDICTIONS, write_package
from segbench.publishing.records import distinct, public_record
from segbench.results import RECORD, SCORES, of_decision, write_table
from segbench.runs import predictions_folder

ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".npz", ".hdr", ".img", ".raw", ".zraw", ".png", ".tif", ".tiff")
_ABOUT = ("run_id", "dataset", "dataset_revision", "method", "network", "arm", "variant", "source")


@dataclass(frozen=True)
class Submission:
    """What was packed: the file, the run, and how many predictions are named and enclosed."""

    path: Path
    about: dict[str, Any]
    predictions: int
    enclosed: bool


def pack(
    run: KeptRun | Path,
    out: Path | None = None,
    predictions: Path | None = None,
    enclose: bool = False,
    decision: str = "",
) -> Submission:
    """Pack a finished run: the label maps of one decision, and their scores.

    Args:
        run: by its folder, or as it is kept on a board, which has its scores and its published record.
        out: the file to write, by default ``<dataset>-<method>-<run>.zip`` here.
        predictions: where the predictions lie, by default in the run's folder.
        enclose: put the predictions into the file, not only their hashes.
        decision: text of the chain that is meant, "" for the run's own.

    Raises:
        DataMissing, DataInvalid: the run or its predictions are not there or cannot be used.
        UsageError: predictions are to be enclosed and there are none.
    """
    run = KeptRun.of(run)
    every = run.scores()
    table = of_decision(every, decision)
    if not table.num_rows:
        known = ", ".join(sorted(filter(None, every.column("decision").unique().to_pylist()))) or "none but its own"
        raise DataInvalid(
            f"{run.place}: run {run.run_id} has no such scores: there is nothing to submit (decisions: {known})."
        )
    first = table.slice(0, 1).to_pylist()[0]
    about = {name: first[name] for name in _ABOUT}
    about |= {f"{name}s": distinct(table, name) for name in ("seed", "fold")}
    files = _predictions(run, predictions, decision)
    if enclose and not files:
        raise UsageError(f"{run.place} keeps no predictions to enclose: say where they are with --predictions DIR.")
    with temporary("submit") as room:
        scores = run.place / SCORES
        if run.folder is None or table.num_rows < every.num_rows:
            scores = room / SCORES
            write_table(scores, table)
        return _packed(about, _json(public_record(run.record)), scores, files, out, enclose)


def _predictions(run: KeptRun, given: Path | None, decision: str) -> dict[str, Path]:
    if given is not None:
        return prediction_files(given, needed=True)
    if run.folder is None:
        return {}
    key = str((run.record.get("decisions") or {}).get(decision, ""))
    return prediction_files(predictions_folder(run.folder, decision, key), needed=False)


def _packed(
    about: dict[str, Any], record: bytes, scores: Path, files: dict[str, Path], out: Path | None, enclose: bool
) -> Submission:
    hashes = {SCORES: sha256_of(scores), RECORD: hashlib.sha256(record).hexdigest()}
    manifest = {
        "format": FORMAT,
        **about,
        "segbench": version("segbench"),
        "files": hashes,
        "enclosed": enclose,
        "predictions": [{"file": name, "sha256": sha256_of(path)} for name, path in files.items()],
    }
    target = out or Path(f"{about['dataset']}-{about['method']}-{about['run_id']}.zip")
    enclosed = {PREDICTIONS + name: path for name, path in files.items()} if enclose else {}
    members = {SCORES: scores, **enclosed}
    texts = {MANIFEST: _json(manifest), RECORD: record}
    atomically(target, lambda part: write_package(part, texts, members))
    return Submission(target, about, len(files), enclose)


def prediction_files(folder: Path, needed: bool) -> dict[str, Path]:
    """Return the label maps of a folder by file name, sorted.

    Args:
        folder: flat; hidden files and other endings do not count.
        needed: whether it must hold some.

    Raises:
        DataMissing: it is needed and not there, or holds none.
    """
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    files = {p.name: p for p in found if p.is_file() and p.name.lower().endswith(ENDINGS) and p.name[0] != "."}
    if needed and not files:
        raise DataMissing(f"{folder} holds no predictions. Name the folder that holds one label map per case.")
    return {safe_name(name, "prediction"): path for name, path in files.items()}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
