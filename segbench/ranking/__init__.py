"""Ranking: schemes, tests, bootstrap, leaderboards, verdicts, published tables. No torch and no plugin below here."""
