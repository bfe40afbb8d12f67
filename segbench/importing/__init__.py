"""Tables of per-case scores that others published or wrote, brought into the results folder as runs."""
