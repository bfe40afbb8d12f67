"""Values of the label maps of the MRBrainS challenges.

Sources: Mendrik et al., MRBrainS Challenge, Computational Intelligence and Neuroscience 2015, 813696,
https://doi.org/10.1155/2015/813696; Kuijf et al., MRBrainS18, https://doi.org/10.34894/E0U32Q.
"""

from __future__ import annotations

STRUCTURES: dict[int, str] = {
    1: "cortical grey matter",
    2: "basal ganglia",
    3: "white matter",
    4: "white matter lesions",
    5: "extracerebral CSF",
    6: "ventricles",
    7: "cerebellum",
    8: "brain stem",
}
"""``LabelsForTraining`` of 2013 and ``segm`` of 2018."""
PATHOLOGY: frozenset[int] = frozenset((9, 10))
"""Infarction and other lesions of 2018: left out of the evaluation on both sides."""
TISSUES: dict[int, str] = {1: "CSF", 2: "grey matter", 3: "white matter"}
"""``LabelsForTesting`` of 2013: ventricles are CSF, lesions white matter, cerebellum and brain stem background."""
TISSUES_OF_STRUCTURES: dict[int, int] = {1: 2, 2: 2, 3: 3, 4: 3, 5: 1, 6: 1}
"""Structure -> tissue; cerebellum and brain stem are none and were left out of the evaluation of 2013."""
