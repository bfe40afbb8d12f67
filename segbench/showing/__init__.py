"""Boards as tables of text: for a terminal, Markdown, CSV, LaTeX and JSON."""
