"""The papers that define the metrics of this plugin."""

from __future__ import annotations

DICE = """@article{dice1945measures,
  author = {Dice, Lee R.},
  title = {Measures of the Amount of Ecologic Association Between Species},
  journal = {Ecology}, volume = {26}, number = {3}, pages = {297--302},
  year = {1945}, doi = {10.2307/1932409}
}"""
RELOADED = """@article{maierhein2024metrics,
  author = {Maier-Hein, Lena and Reinke, Annika and others},
  title = {Metrics reloaded: recommendations for image analysis validation},
  journal = {Nature Methods}, volume = {21}, pages = {195--212},
  year = {2024}, doi = {10.1038/s41592-023-02151-z}
}"""
HEIMANN = """@article{heimann2009comparison,
  author = {Heimann, Tobias and others},
  title = {Comparison and Evaluation of Methods for Liver Segmentation From {CT} Datasets},
  journal = {IEEE Transactions on Medical Imaging}, volume = {28}, number = {8}, pages = {1251--1265},
  year = {2009}, doi = {10.1109/TMI.2009.2013851}
}"""
BOUNDARY_IOU = """@inproceedings{cheng2021boundary,
  author = {Cheng, Bowen and Girshick, Ross and Doll{\\'a}r, Piotr and Berg, Alexander C. and Kirillov, Alexander},
  title = {Boundary {IoU}: Improving Object-Centric Image Segmentation Evaluation},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2021}, doi = {10.1109/CVPR46437.2021.01508}
}"""
BETTI = """@article{clough2022topological,
  author = {Clough, James R. and Byrne, Nicholas and Oksuz, Ilkay and Zimmer, Veronika A. and Schnabel, Julia A. and
    King, Andrew P.},
  title = {A Topological Loss Function for Deep-Learning Based Image Segmentation Using Persistent Homology},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence}, volume = {44}, number = {12},
  year = {2022}, doi = {10.1109/TPAMI.2020.3013679}
}"""
CENTRELINE_DICE = """@inproceedings{shit2021cldice,
  author = {Shit, Suprosanna and Paetzold, Johannes C. and Sekuboyina, Anjany and Ezhov, Ivan and Unger, Alexander and
    Zhylka, Andrey and Pluim, Josien P. W. and Bauer, Ulrich and Menze, Bjoern H.},
  title = {{clDice} -- A Novel Topology-Preserving Loss Function for Tubular Structure Segmentation},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2021}, doi = {10.1109/CVPR46437.2021.01629}
}"""
