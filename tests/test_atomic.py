"""Files and folders that appear whole: what killed processes leave, what damage does to a seal, what a disk refuses."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segbench import litter
from segbench.atomic import atomically, is_intact, write_sealed, writing
from segbench.errors import EXIT_DATA, DataMissing, SegbenchError, Unwritable
from segbench.litter import leave, place, room, sweep, temporary, unfinished


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def gone() -> int:
    """Return the number of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


# ----------------------------------------------------------------------------------------------------------- litter


def test_what_the_dead_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    dead, here = gone(), place()
    (tmp_path / f".a.npy.{here}-{dead}.00000000.part").write_bytes(b"half")
    (tmp_path / f".case.{here}-{dead}.00000001.part").mkdir()
    (tmp_path / f".case.{here}-{dead}.00000001.part" / "image.npy").write_bytes(b"half")
    kept = [
        unfinished(tmp_path / "mine").name,
        f".init.{here}-1.00000000.part",  # process 1 always lives
        f".other.{'0' * 8}-{dead}.00000000.part",  # of another machine: who knows
        f".older.{dead}.00000000.part",  # says no machine
        f"a.npy.{here}-{dead}.part",  # somebody's own file
    ]
    for name in kept:
        (tmp_path / name).write_bytes(b"")
    sweep(tmp_path)
    assert names(tmp_path) == sorted(kept)


def test_what_another_machine_left_is_swept_after_a_day(tmp_path: Path) -> None:
    fresh, old = (tmp_path / f".{name}.{'0' * 8}-7.00000000.part" for name in ("fresh", "old"))
    for path in (fresh, old):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    sweep(tmp_path)
    assert names(tmp_path) == [fresh.name]
    sweep(tmp_path / "nowhere")


def test_whoever_writes_into_a_folder_sweeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litter, "_swept", set())
    (tmp_path / f".x.{place()}-{gone()}.00000000.part").write_bytes(b"")
    atomically(tmp_path / "x", lambda part: part.write_bytes(b"whole"))
    assert names(tmp_path) == ["x"]


def test_temporary_folders_go_with_their_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(litter, "_swept", set())
    left = tmp_path / f".segbench.{place()}-{gone()}.00000000.part" / "smoke"
    left.mkdir(parents=True)
    with temporary("voxels") as folder:
        (folder / "voxels.npy").write_bytes(b"")
        assert folder.name == "voxels" and names(tmp_path) == [folder.parent.name]
    kept = room("smoke")
    assert names(tmp_path) == [kept.parent.name]
    leave(kept)
    assert names(tmp_path) == []


def test_a_name_says_whose_it_is() -> None:
    path = unfinished(Path("there/scores.parquet"))
    assert path.parent == Path("there") and path.name.startswith(f".scores.parquet.{place()}-{os.getpid()}.")
    assert len(place()) == 8 and litter._PART.fullmatch(path.name)


# ----------------------------------------------------------------------------------------------------------- sealed


def fill(folder: Path) -> None:
    (folder / "a").write_bytes(b"some bytes")
    (folder / "empty").write_bytes(b"")


def test_every_flip_cut_and_loss_breaks_a_seal(tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    assert not is_intact(folder)
    write_sealed(folder, fill)
    (folder / "derived").mkdir()  # folders do not count
    assert is_intact(folder) and names(folder) == ["a", "derived", "empty", "seal.json"]
    for file in ("a", "seal.json"):
        content = (folder / file).read_bytes()
        for bit in range(8 * len(content)):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            (folder / file).write_bytes(flipped)
            assert not is_intact(folder), f"bit {bit} of {file}"
        for damaged in (content[:-1], content + b" x", b"", bytes(len(content))):
            (folder / file).write_bytes(damaged)
            assert not is_intact(folder)
        (folder / file).write_bytes(content)
        assert is_intact(folder)
    (folder / "more").write_bytes(b"")
    assert not is_intact(folder)


def test_a_damaged_folder_is_replaced_and_an_intact_one_wins(tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    write_sealed(folder, fill)
    write_sealed(folder, lambda part: (part / "a").write_bytes(b"a rival's"))
    assert (folder / "a").read_bytes() == b"some bytes"
    (folder / "a").write_bytes(b"some bites")
    write_sealed(folder, fill)
    assert is_intact(folder) and names(tmp_path) == ["sealed"]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def full(part: Path) -> None:
        fill(part)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Unwritable, match="sealed cannot be written: No space left on device"):
        write_sealed(tmp_path / "sealed", full)
    assert names(tmp_path) == []


# ------------------------------------------------------------------------------------------------------------- disk


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Your quota"),
        (errno.EROFS, "can only be read"),
        (errno.EACCES, "Check the permissions"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EIO, "reports a fault"),
    ],
)
def test_what_a_disk_refuses_is_said_with_path_and_advice(tmp_path: Path, number: int, advice: str) -> None:
    def refused(part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(number, os.strerror(number), str(part))

    with pytest.raises(Unwritable, match=advice) as told:
        atomically(tmp_path / "deep" / "file", refused)
    assert str(told.value).startswith(f"{tmp_path / 'deep' / 'file'} cannot be written: {os.strerror(number)}.")
    assert told.value.exit_code == EXIT_DATA and isinstance(told.value, SegbenchError | OSError)
    assert names(tmp_path / "deep") == []


def test_libraries_that_hide_the_disk_are_seen_through(tmp_path: Path) -> None:
    def torch_like() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")  # noqa: B904

    with pytest.raises(Unwritable, match="No space left"), writing(tmp_path / "last.pt"):
        torch_like()
    with pytest.raises(Unwritable, match="1000 requested and 24 written"), writing(tmp_path / "image.npy"):
        raise OSError("1000 requested and 24 written")  # numpy.save


@pytest.mark.parametrize("error", [ValueError("x"), DataMissing("y"), FileNotFoundError(errno.ENOENT, "font.ttf")])
def test_what_is_not_the_disk_s_fault_stays_what_it_is(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as told, writing(tmp_path):
        raise error
    assert told.value is error
