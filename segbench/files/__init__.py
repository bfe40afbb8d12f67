"""Label maps and images, in and out, in one axis order: (D, H, W), spacing in mm in the same order."""
