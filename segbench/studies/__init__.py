"""Studies: a paper's grid of runs carried out, and the tables that come of it."""
