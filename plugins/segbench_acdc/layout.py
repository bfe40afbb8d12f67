"""Where the annotated frames of ACDC lie, in every layout in which the data are met; see README.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench import DataInvalid, first_few, visible

TRAINING, TESTING = "training", "testing"
PHASES = ("ED", "ES")
_ENDINGS = (".nii", ".nii.gz")
_RENAMED = {"ED": 1, "ES": 2}


@dataclass(frozen=True)
class Frame:
    """One annotated frame.

    Attributes:
        patient: e.g. ``patient001``.
        phase: ED (end-diastole) or ES (end-systole).
        part: training or testing.
        image: the frame.
        label: its label map, or None where the organisers kept it back.
    """

    patient: str
    phase: str
    part: str
    image: Path
    label: Path | None

    @property
    def name(self) -> str:
        """The case's id."""
        return f"{self.patient}_{self.phase}"


def find_frames(folder: Path, parts: Sequence[str]) -> list[Frame]:
    """Return the ED and ES frames of all patients, by part and patient.

    Args:
        folder: holds ``training`` (and ``testing``), or one folder that does, or the training patients themselves.
        parts: TRAINING, or TRAINING and TESTING.

    Raises:
        DataInvalid: no training patients, a patient in both parts, or a patient's folder that is not as it should be.
    """
    base = _base(folder)
    folders = [(patient, part) for part in parts for patient in _patients(base, part)]
    names = [patient.name.lower() for patient, _ in folders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataInvalid(
            f"{folder}: expected every patient once, found {first_few(twice)} twice. Unpack the archive afresh."
        )
    return [frame for patient, part in folders for frame in _frames(patient, part)]


def _base(folder: Path) -> Path:
    if _patients(folder, TRAINING):
        return folder
    inner = [path for path in visible(folder) if path.is_dir() and _patients(path, TRAINING)]
    if len(inner) == 1:
        return inner[0]
    found = "several copies" if inner else "no such folder"
    if not inner and (_patients(folder, TESTING) or _patient_folders(folder)):
        found = "the testing patients alone"
    if any(folder.glob("*.h5")) or any(folder.glob("*/*.h5")):
        found = "slices in .h5 files, which have lost their spacing"
    raise DataInvalid(
        f"{folder}: expected ACDC with training/patient001/Info.cfg and so on, found {found}. "
        f"Point dataset.path at the unpacked database folder."
    )


def _patients(base: Path, part: str) -> list[Path]:
    places = [base / part, base / part / part]
    if part == TRAINING and base.name.lower() != TESTING:  # the testing patients alone are no training patients
        places.append(base)
    return next((found for place in places if (found := _patient_folders(place))), [])


def _patient_folders(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if re.fullmatch(r"patient\d{3}", path.name.lower()) and path.is_dir()]


def _frames(folder: Path, part: str) -> list[Frame]:
    patient = folder.name.lower()
    files = _scan(folder)
    images = {number for number, label in files if not label}
    numbers = read_phases(folder / "Info.cfg")
    if not set(numbers.values()) <= images or not numbers:
        if images != set(_RENAMED.values()):
            wanted = (
                ", ".join(f"{phase} = frame {number}" for phase, number in numbers.items()) or "Info.cfg with ED, ES"
            )
            raise DataInvalid(
                f"{folder}: expected {wanted}, found the frames {sorted(images) or 'none'}"
                f"{'' if numbers else ' and no Info.cfg'}. Unpack the archive afresh."
            )
        numbers = _RENAMED  # a re-pack: frame01 is ED and frame02 is ES
    frames = [
        Frame(patient, phase, part, files[numbers[phase], False], files.get((numbers[phase], True))) for phase in PHASES
    ]
    if bare := [frame.phase for frame in frames if part == TRAINING and frame.label is None]:
        raise DataInvalid(f"{folder}: expected a label map (_gt) of every frame, found none of {' and '.join(bare)}.")
    return frames


def _scan(folder: Path) -> dict[tuple[int, bool], Path]:
    """Return (frame number, is label) -> file; where both are there, ``.nii.gz`` goes before ``.nii``."""
    pattern = re.compile(rf"{re.escape(folder.name)}_frame(\d+)(_gt)?\.nii(\.gz)?", re.IGNORECASE)
    files = {}
    for entry in visible(folder):
        if (match := pattern.fullmatch(entry.name)) and (path := _file(entry)):
            files[int(match[1]), bool(match[2])] = path
    return files


def _file(entry: Path) -> Path | None:
    """Return the file itself, or the one image in a folder that is called like a file; None for empty ones."""
    candidates = visible(entry) if entry.is_dir() else [entry]
    images = [path for path in candidates if path.name.endswith(_ENDINGS) and path.is_file() and path.stat().st_size]
    if len(images) > 1:
        raise DataInvalid(
            f"{entry}: expected one image in this folder, found {len(images)}. Unpack the archive afresh."
        )
    return images[0] if images else None


def read_phases(path: Path) -> dict[str, int]:
    """Read the numbers of the ED and ES frames from an ``Info.cfg``; empty if there is no such file.

    Raises:
        DataInvalid: a file without ``ED: number`` and ``ES: number``, or with one number for both.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataInvalid(f"{path}: expected a readable file, found: {error.strerror}. Check its rights.") from error
    values = {key.strip().upper(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    numbers = {phase: int(values[phase]) for phase in PHASES if re.fullmatch(r"\d{1,4}", values.get(phase, ""))}
    if len(set(numbers.values())) != len(PHASES):
        raise DataInvalid(
            f"{path}: expected lines 'ED: number' and 'ES: number' of two frames, found {numbers or 'neither'}. "
            f"Get an intact copy."
        )
    return numbers
