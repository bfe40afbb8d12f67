"""The papers that define the metrics of this plugin."""

from __future__ import annotations

RELOADED = """@article{maierhein2024metrics,
  author = {Maier-Hein, Lena and Reinke, Annika and others},
  title = {Metrics reloaded: recommendations for image analysis validation},
  journal = {Nature Methods}, volume = {21}, pages = {195--212},
  year = {2024}, doi = {10.1038/s41592-023-02151-z}
}"""
HAUSDORFF = """@article{huttenlocher1993comparing,
  author = {Huttenlocher, Daniel P. and Klanderman, Gregory A. and Rucklidge, William J.},
  title = {Comparing Images Using the {Hausdorff} Distance},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence}, volume = {15}, number = {9},
  pages = {850--863}, year = {1993}, doi = {10.1109/34.232073}
}"""
HEIMANN = """@article{heimann2009comparison,
  author = {Heimann, Tobias and others},
  title = {Comparison and Evaluation of Methods for Liver Segmentation From {CT} Datasets},
  journal = {IEEE Transactions on Medical Imaging}, volume = {28}, number = {8}, pages = {1251--1265},
  year = {2009}, doi = {10.1109/TMI.2009.2013851}
}"""
SURFACE_DICE = """@article{nikolov2021clinically,
  author = {Nikolov, Stanislav and others},
  title = {Clinically Applicable Segmentation of Head and Neck Anatomy for Radiotherapy: Deep Learning Algorithm
    Development and Validation Study},
  journal = {Journal of Medical Internet Research}, volume = {23}, number = {7}, pages = {e26151},
  year = {2021}, doi = {10.2196/26151}
}"""
