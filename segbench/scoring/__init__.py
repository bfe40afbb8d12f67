"""One pair of label maps -> outcomes -> rows: metrics, geometry, workers, the journal, what finished runs lack."""
