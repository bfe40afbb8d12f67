"""The report: a static site from finished runs, drawn from the numbers of ``ranking``; no network, no torch."""
