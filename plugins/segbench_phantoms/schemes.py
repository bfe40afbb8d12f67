"""The two label schemes: 31 structures named as SynthSeg does, and 134 in the manner of BrainCOLOR."""

from __future__ import annotations

from dataclasses import dataclass

from segbench_phantoms.parcels import PARCELS

PAIRED = (
    "cerebral white matter",
    "cerebral cortex",
    "lateral ventricle",
    "inferior lateral ventricle",
    "cerebellum white matter",
    "cerebellum cortex",
    "thalamus",
    "caudate",
    "putamen",
    "pallidum",
    "3rd ventricle",
    "4th ventricle",
    "brain-stem",
    "hippocampus",
    "amygdala",
    "accumbens area",
    "ventral DC",
)
"""Left side in label order; the right side follows without the three midline structures."""
MIDLINE = ("3rd ventricle", "4th ventricle", "brain-stem")
DETAIL_PAIRED = ("basal forebrain",)
DETAIL_MIDLINE = (
    "cerebrospinal fluid",
    "optic chiasm",
    "cerebellar vermal lobules I-V",
    "cerebellar vermal lobules VI-VII",
    "cerebellar vermal lobules VIII-X",
)


@dataclass(frozen=True, slots=True)
class Scheme:
    """Which labels there are.

    Args:
        labels: names, the index is the value, 0 is the background.
        parcellated: whether the cortex is divided into gyri.
    """

    labels: tuple[str, ...]
    parcellated: bool

    def codes(self, name: str) -> tuple[int, int]:
        """Return the label values of a structure on the left and on the right (equal on the midline)."""
        if name in self.labels:
            value = self.labels.index(name)
            return value, value
        return self.labels.index(f"left {name}"), self.labels.index(f"right {name}")

    def offers(self, name: str) -> bool:
        """Return whether the scheme has this structure."""
        return name in self.labels or f"left {name}" in self.labels


def _coarse() -> Scheme:
    left = tuple(name if name in MIDLINE else f"left {name}" for name in PAIRED)
    right = tuple(f"right {name}" for name in PAIRED if name not in MIDLINE)
    return Scheme(("background", *left, *right), parcellated=False)


def _fine() -> Scheme:
    sided = [name for name in (*PAIRED, *DETAIL_PAIRED) if name not in (*MIDLINE, "cerebral cortex")]
    sided += [parcel.name for parcel in PARCELS]
    pairs = tuple(f"{side} {name}" for name in sided for side in ("left", "right"))
    return Scheme(("background", *MIDLINE, *DETAIL_MIDLINE, *pairs), parcellated=True)


SCHEMES = {31: _coarse(), 134: _fine()}
