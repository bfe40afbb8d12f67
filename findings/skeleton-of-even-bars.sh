#!/usr/bin/env bash
# scikit-image 0.26.0, skimage.morphology.skeletonize of 3D masks (Lee's thinning, the default in 3D).
# One would guess: every non-empty component keeps at least one voxel of skeleton.
# Seen: a bar whose cross-section is even (2x2 to 8x8 voxels) loses every voxel, one with an odd cross-section keeps its
# axis. A clDice computed from these skeletons gives a perfect prediction of such a vessel 0 / 0.
# Source: https://scikit-image.org/docs/stable/api/skimage.morphology.html#skimage.morphology.skeletonize
# Fails if this changes.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
python3 -m pip install --quiet --target "$room" scikit-image==0.26.0 numpy==2.4.6
PYTHONPATH="$room" python3 - <<'P'
import numpy as np
import skimage
from skimage.morphology import skeletonize

left = {}
for side in range(1, 9):
    bar = np.zeros((side + 4, side + 4, 24), dtype=bool)
    bar[2 : 2 + side, 2 : 2 + side, 2:22] = True
    left[side] = int(skeletonize(bar).sum())
print("scikit-image", skimage.__version__, "voxels of the skeleton by side of the bar:", left)
assert all(left[side] == 0 for side in (2, 4, 6, 8)), "even bars have a skeleton now"
assert all(left[side] > 0 for side in (1, 3, 5, 7)), "odd bars have none"
P
