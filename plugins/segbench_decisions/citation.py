"""The papers that describe the decisions of this plugin."""

from __future__ import annotations

RANKSEG = """@article{dai2023rankseg,
  author = {Dai, Ben and Li, Chunlin},
  title = {{RankSEG}: A Consistent Ranking-based Framework for Segmentation},
  journal = {Journal of Machine Learning Research}, volume = {24}, number = {224}, pages = {1--50},
  year = {2023}, url = {https://www.jmlr.org/papers/v24/22-0712.html}
}"""
NNUNET = """@article{isensee2021nnunet,
  author = {Isensee, Fabian and Jaeger, Paul F. and Kohl, Simon A. A. and Petersen, Jens and Maier-Hein, Klaus H.},
  title = {{nnU-Net}: a self-configuring method for deep learning-based biomedical image segmentation},
  journal = {Nature Methods}, volume = {18}, number = {2}, pages = {203--211},
  year = {2021}, doi = {10.1038/s41592-020-01008-z}
}"""
SOILLE = """@book{soille2004morphological,
  author = {Soille, Pierre},
  title = {Morphological Image Analysis: Principles and Applications}, edition = {2},
  publisher = {Springer}, year = {2004}, doi = {10.1007/978-3-662-05088-0}
}"""
