"""The files of the maps: what was written comes back, and a run that dies comes back to its last checkpoint."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench import DataInvalid, SegbenchError
from segbench_geometric.maps import Store, signatures

FIELDS = {"pair": ((2, 3), np.float32), "start": ((4,), np.float16)}


def values(number: float, count: int = 1) -> dict[str, torch.Tensor]:
    return {"pair": torch.full((count, 2, 3), number), "start": torch.full((count, 4), number + 0.5)}


def held(store: Store, sample: int) -> float:
    pair, start = (store.read(name, torch.tensor([sample])) for name in ("pair", "start"))
    assert start.dtype == torch.float16 and len(pair.unique()) == len(start.unique()) == 1
    assert float(start.flatten()[0]) == float(pair.flatten()[0]) + 0.5 * bool(store.written(torch.tensor([sample])))
    return float(pair.flatten()[0])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path, 4, FIELDS)
    assert not store.written(torch.arange(4)).any() and held(store, 2) == 0
    store.write(torch.tensor([2, 0]), {name: torch.cat([values(1)[name], values(5)[name]]) for name in FIELDS})
    assert store.written(torch.arange(4)).tolist() == [True, False, True, False]
    assert [held(store, sample) for sample in (2, 0, 1)] == [1, 5, 0]
    store.write(torch.tensor([2]), values(7))
    assert held(store, 2) == 7


def test_a_killed_run_comes_back_to_its_checkpoint(tmp_path: Path) -> None:
    store = Store(tmp_path, 2, FIELDS)
    checkpoints = []
    for epoch in range(5):
        for repeat in range(epoch):  # the first epoch writes nothing, later ones write often
            store.write(torch.tensor([0]), values(10 * epoch + repeat))
            # a process that dies here, and whatever it did not flush, leaves this behind
            for slots, expected in checkpoints:
                if slots is checkpoints[-1][0]:
                    again = Store(tmp_path, 2, FIELDS)
                    again.restore(slots)
                    assert held(again, 0) == expected
        before = checkpoints[-1:] or []
        slots = store.commit()
        for old, expected in before:  # it may also die between commit and the end of writing the checkpoint
            again = Store(tmp_path, 2, FIELDS)
            again.restore(old)
            assert held(again, 0) == expected
        checkpoints.append((slots, held(store, 0)))
    assert [expected for _, expected in checkpoints] == [0, 10, 21, 32, 43]


def test_damaged_maps_are_named_and_never_resumed_from(tmp_path: Path) -> None:
    store = Store(tmp_path / "method" / "scratch", 3, FIELDS)
    store.write(torch.tensor([0, 2]), values(1, 2))
    committed = store.commit()
    store.write(torch.tensor([0]), values(9))  # an epoch that a kill ends
    for name in FIELDS:
        path = tmp_path / "method" / "scratch" / f"{name}.maps"
        content = path.read_bytes()
        for bit in range(8 * len(content)):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            again = Store(tmp_path / "method" / "scratch", 3, FIELDS)
            try:
                again.restore(committed)
            except DataInvalid as error:
                assert str(path) in str(error) and str(tmp_path) in str(error)
            else:  # a slot that the checkpoint does not point to
                assert held(again, 0) == held(again, 2) == 1 and not again.written(torch.tensor([1]))
        path.write_bytes(bytes(len(content)))
        with pytest.raises(DataInvalid, match=f"{name}.maps is damaged"):
            Store(tmp_path / "method" / "scratch", 3, FIELDS).restore(committed)
        path.write_bytes(content)
    again = Store(tmp_path / "method" / "scratch", 3, FIELDS)
    again.restore({"slots": committed["slots"]})  # an older checkpoint
    assert held(again, 0) == 1


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path, 2, FIELDS)
    store.streams["pair"].close()
    store.streams["pair"] = io.FileIO("/dev/full", "r+")
    with pytest.raises(SegbenchError, match=r"pair\.maps cannot be written: No space left"):
        store.write(torch.tensor([1]), values(3))


def test_files_of_another_size_are_not_taken_up(tmp_path: Path) -> None:
    Store(tmp_path, 2, FIELDS).write(torch.tensor([1]), values(3))
    size = (tmp_path / "pair.maps").stat().st_size
    other = Store(tmp_path, 3, FIELDS)
    assert (tmp_path / "pair.maps").stat().st_size == size * 3 // 2
    assert held(other, 1) == 0 and not np.asarray(other.files["pair"]).any()


def test_signatures_tell_targets_apart() -> None:
    target = torch.randint(-1, 3, (1, 20, 30), generator=torch.Generator().manual_seed(0))
    seen = {int(signatures(target)[0])}
    assert int(signatures(target.clone())[0]) in seen
    variants = [target.flip(1), target.flip(2), target.roll(1, 2), (target + 1).clamp(max=2)]
    one = target.clone()
    one[0, 3, 4] = (one[0, 3, 4] + 2) % 3
    seen |= {int(signatures(variant)[0]) for variant in (*variants, one)}
    assert len(seen) == 6
    assert len(set(signatures(torch.cat([target, one])).tolist())) == 2
