"""What every part of this plugin implements."""

from __future__ import annotations

DOI = "10.1007/978-3-030-00931-1_68"
BIBTEX = """@inproceedings{ganaye2018nonadjloss,
  author = {Ganaye, Pierre-Antoine and Sdika, Micha{\\"e}l and Benoit-Cattin, Hugues},
  title = {Semi-supervised Learning for Segmentation Under Semantic Constraint},
  booktitle = {Medical Image Computing and Computer Assisted Intervention -- MICCAI 2018},
  year = {2018}, doi = {10.1007/978-3-030-00931-1_68}
}"""
