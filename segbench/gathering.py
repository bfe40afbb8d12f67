"""Results from several places, read as one: runs merged by identity, contradictions named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segbench.errors import DataInvalid, DataMissing
from segbench.litter import temporary
from segbench.results import SCORES, complete_runs, published_boards, read_scores


@contextmanager
def gathered(places: Sequence[Path]) -> Iterator[Path]:
    """Yield one place that holds the finished runs, and the published boards, of several.

    It is a folder of links, for as long as the block lasts; whoever reads it meets the runs under their own paths. Of a
    run that is in several places the one with more scores counts.

    Args:
        places: roots of results, folders in them, boards or folders of boards.

    Raises:
        DataMissing: a place holds no results.
        DataInvalid: the same run has different values in two places.
    """
    if len(places) == 1:
        yield places[0]
        return
    chosen: dict[str, Path] = {}
    boards: list[Path] = []
    for place in places:
        found, published = complete_runs(place), published_boards(place)
        if not found and not published:
            raise DataMissing(f"--results {place}: expected finished runs or published boards, found none.")
        for folder in found:
            before = chosen.get(folder.name)
            chosen[folder.name] = folder if before is None else _fuller(before, folder)
        boards += published
    with temporary("results") as root:
        for name, folder in chosen.items():
            dataset, method = folder.absolute().parts[-3:-1]
            _link(root / dataset / method / name, folder)
        for index, board in enumerate(boards):
            _link(root / f"{index}-{board.resolve().name}", board)
        yield root


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target.absolute(), target_is_directory=True)


def _fuller(one: Path, other: Path) -> Path:
    """Return the place of a run that holds all that the other one holds.

    Raises:
        DataInvalid: neither does, because a value differs or each has scores of its own.
    """
    if (one / SCORES).read_bytes() == (other / SCORES).read_bytes():
        return one
    mine, theirs = _values(one), _values(other)
    different = sorted(key for key in mine.keys() & theirs.keys() if mine[key] != theirs[key])
    if different:
        case, label, metric, *_ = different[0]
        raise DataInvalid(
            f"Run {one.name} is in two places with different values: {len(different)} differ, e.g. {metric} of {label} "
            f"in case {case}: {mine[different[0]][0]} in {one}, {theirs[different[0]][0]} in {other}. Remove one."
        )
    if mine.keys() >= theirs.keys():
        return one
    if theirs.keys() >= mine.keys():
        return other
    raise DataInvalid(
        f"Run {one.name} is in two places, and each has scores that the other lacks: {one}, {other}. Let "
        f"`segbench score` add what is missing to one of them, or remove the other."
    )


def _values(folder: Path) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Return what tells rows of a run apart -> value and status."""
    names = ["case_id", "label_name", "metric", "metric_version", "decision", "rater"]
    columns = read_scores(folder, [*names, "value", "status"]).to_pydict()
    keys = zip(*(map(str, columns[name]) for name in names), strict=True)
    return dict(zip(keys, zip(columns["value"], columns["status"], strict=True), strict=True))
