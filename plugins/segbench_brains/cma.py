"""Numbers and names of the Center for Morphometric Analysis (CMA) protocol, which FreeSurfer took over, as in IBSR.

Source: IBSR 2.0, http://www.nitrc.org/projects/ibsr, and FreeSurfer's colour table.
"""

from __future__ import annotations

_SIDED = {
    (2, 41): "cerebral white matter",
    (3, 42): "cerebral cortex",
    (4, 43): "lateral ventricle",
    (5, 44): "inferior lateral ventricle",
    (7, 46): "cerebellum white matter",
    (8, 47): "cerebellum cortex",
    (10, 49): "thalamus",
    (11, 50): "caudate",
    (12, 51): "putamen",
    (13, 52): "pallidum",
    (17, 53): "hippocampus",
    (18, 54): "amygdala",
    (26, 58): "accumbens area",
    (28, 60): "ventral DC",
}
_MIDDLE = {14: "3rd ventricle", 15: "4th ventricle", 16: "brain-stem", 24: "CSF"}
STRUCTURES: dict[int, str] = dict(
    sorted(
        (
            _MIDDLE
            | {left: f"left {name}" for (left, _), name in _SIDED.items()}
            | {right: f"right {name}" for (_, right), name in _SIDED.items()}
        ).items()
    )
)
"""The 32 structures by number."""
SAME: dict[int, int] = {9: 10, 48: 49}
"""Thalamus with its surface -> thalamus proper; IBSR uses 48 and 49 for one and the same structure."""
IGNORED: frozenset[int] = frozenset((29, 30, 61, 62, 72))
"""Undetermined (29, 61), vessels (30, 62) and the fifth ventricle (72): drawn in some subjects only."""
TISSUES: dict[int, str] = {1: "CSF", 2: "grey matter", 3: "white matter"}
"""Values of IBSR's ``segTRI`` maps."""
