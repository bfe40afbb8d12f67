"""Training: preprocessing into memory-mapped cases, splits, batches, augmentation, the only epoch loop, inference."""
