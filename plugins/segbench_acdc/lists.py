"""The fixed split of ACDC's 100 training patients into 70/10/20 that most of the semi-supervised literature uses.

Source: the files train.list, val.list and test.list in data/ACDC of https://github.com/HiLab-git/SSL4MIS. They list
frames; a patient's two frames always stand in the same list, so the patients' numbers say it all. Whoever is neither in
VALIDATION nor in TEST is a training patient.
"""

from __future__ import annotations

VALIDATION = frozenset({2, 19, 28, 30, 39, 45, 78, 82, 85, 87})
"""Numbers of the 10 validation patients."""
TEST = frozenset({1, 7, 8, 11, 13, 22, 24, 33, 52, 59, 64, 65, 66, 68, 75, 80, 81, 83, 84, 93})
"""Numbers of the 20 test patients."""
PATIENTS = range(1, 101)
"""Numbers of the patients the list speaks of."""
