"""What every part of this plugin implements."""

from __future__ import annotations

DOI = "10.1007/978-3-030-00889-5_7"
BIBTEX = """@inproceedings{he2018shapesignature,
  title = {{3D} Deep Affine-Invariant Shape Learning for Brain {MR} Image Segmentation},
  booktitle = {Deep Learning in Medical Image Analysis (DLMIA 2018)},
  year = {2018}, doi = {10.1007/978-3-030-00889-5_7}
}"""
