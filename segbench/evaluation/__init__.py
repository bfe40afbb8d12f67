"""Scoring: one case, and folders of predictions made anywhere. No torch below here."""
