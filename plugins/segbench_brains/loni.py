"""Numbers and names of the LONI Probabilistic Brain Atlas: odd = left, even = right, and two midline structures.

Source: Shattuck et al., NeuroImage 39, 1064 (2008), https://doi.org/10.1016/j.neuroimage.2007.09.031.
"""

from __future__ import annotations

_SIDED = {
    21: "superior frontal gyrus",
    23: "middle frontal gyrus",
    25: "inferior frontal gyrus",
    27: "precentral gyrus",
    29: "middle orbitofrontal gyrus",
    31: "lateral orbitofrontal gyrus",
    33: "gyrus rectus",
    41: "postcentral gyrus",
    43: "superior parietal gyrus",
    45: "supramarginal gyrus",
    47: "angular gyrus",
    49: "precuneus",
    61: "superior occipital gyrus",
    63: "middle occipital gyrus",
    65: "inferior occipital gyrus",
    67: "cuneus",
    81: "superior temporal gyrus",
    83: "middle temporal gyrus",
    85: "inferior temporal gyrus",
    87: "parahippocampal gyrus",
    89: "lingual gyrus",
    91: "fusiform gyrus",
    101: "insular cortex",
    121: "cingulate gyrus",
    161: "caudate",
    163: "putamen",
    165: "hippocampus",
}
STRUCTURES: dict[int, str] = {
    odd + side: f"{word} {name}" for odd, name in _SIDED.items() for side, word in ((0, "left"), (1, "right"))
} | {181: "cerebellum", 182: "brainstem"}
"""The 56 structures by number."""
