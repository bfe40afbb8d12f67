"""Numbers and names of the BrainCOLOR protocol (Neuromorphometrics, Inc.) as the MICCAI 2012 challenge used them.

Source: Landman and Warfield, MICCAI 2012 Workshop on Multi-Atlas Labeling; http://www.neuromorphometrics.com. Of the
cortical numbers (100 and above) the even ones are right, the odd ones left.
"""

from __future__ import annotations

_DEEP = {
    4: "3rd Ventricle",
    11: "4th Ventricle",
    23: "Right Accumbens Area",
    30: "Left Accumbens Area",
    31: "Right Amygdala",
    32: "Left Amygdala",
    35: "Brain Stem",
    36: "Right Caudate",
    37: "Left Caudate",
    38: "Right Cerebellum Exterior",
    39: "Left Cerebellum Exterior",
    40: "Right Cerebellum White Matter",
    41: "Left Cerebellum White Matter",
    44: "Right Cerebral White Matter",
    45: "Left Cerebral White Matter",
    46: "CSF",
    47: "Right Hippocampus",
    48: "Left Hippocampus",
    49: "Right Inf Lat Vent",
    50: "Left Inf Lat Vent",
    51: "Right Lateral Ventricle",
    52: "Left Lateral Ventricle",
    55: "Right Pallidum",
    56: "Left Pallidum",
    57: "Right Putamen",
    58: "Left Putamen",
    59: "Right Thalamus Proper",
    60: "Left Thalamus Proper",
    61: "Right Ventral DC",
    62: "Left Ventral DC",
    69: "Optic Chiasm",
    71: "Cerebellar Vermal Lobules I-V",
    72: "Cerebellar Vermal Lobules VI-VII",
    73: "Cerebellar Vermal Lobules VIII-X",
    75: "Left Basal Forebrain",
    76: "Right Basal Forebrain",
}
_CORTEX = {
    100: "ACgG anterior cingulate gyrus",
    102: "AIns anterior insula",
    104: "AOrG anterior orbital gyrus",
    106: "AnG angular gyrus",
    108: "Calc calcarine cortex",
    112: "CO central operculum",
    114: "Cun cuneus",
    116: "Ent entorhinal area",
    118: "FO frontal operculum",
    120: "FRP frontal pole",
    122: "FuG fusiform gyrus",
    124: "GRe gyrus rectus",
    128: "IOG inferior occipital gyrus",
    132: "ITG inferior temporal gyrus",
    134: "LiG lingual gyrus",
    136: "LOrG lateral orbital gyrus",
    138: "MCgG middle cingulate gyrus",
    140: "MFC medial frontal cortex",
    142: "MFG middle frontal gyrus",
    144: "MOG middle occipital gyrus",
    146: "MOrG medial orbital gyrus",
    148: "MPoG postcentral gyrus medial segment",
    150: "MPrG precentral gyrus medial segment",
    152: "MSFG superior frontal gyrus medial segment",
    154: "MTG middle temporal gyrus",
    156: "OCP occipital pole",
    160: "OFuG occipital fusiform gyrus",
    162: "OpIFG opercular part of the inferior frontal gyrus",
    164: "OrIFG orbital part of the inferior frontal gyrus",
    166: "PCgG posterior cingulate gyrus",
    168: "PCu precuneus",
    170: "PHG parahippocampal gyrus",
    172: "PIns posterior insula",
    174: "PO parietal operculum",
    176: "PoG postcentral gyrus",
    178: "POrG posterior orbital gyrus",
    180: "PP planum polare",
    182: "PrG precentral gyrus",
    184: "PT planum temporale",
    186: "SCA subcallosal area",
    190: "SFG superior frontal gyrus",
    192: "SMC supplementary motor cortex",
    194: "SMG supramarginal gyrus",
    196: "SOG superior occipital gyrus",
    198: "SPL superior parietal lobule",
    200: "STG superior temporal gyrus",
    202: "TMP temporal pole",
    204: "TrIFG triangular part of the inferior frontal gyrus",
    206: "TTG transverse temporal gyrus",
}
STRUCTURES: dict[int, str] = _DEEP | {
    even + side: f"{word} {name}" for even, name in _CORTEX.items() for side, word in ((0, "Right"), (1, "Left"))
}
"""The 134 structures of the challenge by number."""
IGNORED: frozenset[int] = frozenset(
    number
    for low, high in (
        *((1, 3), (5, 10), (12, 22), (24, 29), (33, 34), (42, 43), (53, 54), (63, 68), (70, 70), (74, 74)),
        *((80, 99), (110, 111), (126, 127), (130, 131), (158, 159), (188, 189)),
    )
    for number in range(low, high + 1)
)
"""Numbers of the protocol that are not scored: lesions, vessels, and structures drawn in some subjects only."""
