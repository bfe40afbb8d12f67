"""Pages from templates: everything that came from outside is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from segbench.texts import plain

_HERE = Path(__file__).parent


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(_HERE / "templates")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    # The page's own style and script, not data: they come from this folder.
    environment.globals["css"] = Markup((_HERE / "report.css").read_text(encoding="utf-8"))
    environment.globals["viewer"] = Markup((_HERE / "viewer.js").read_text(encoding="utf-8"))
    environment.globals["js"] = Markup((_HERE / "report.js").read_text(encoding="utf-8"))
    return environment


def _shown(value: Any) -> Any:
    """Return a value as a page may hold it: a text of data without controls or marks of direction."""
    return plain(value, lines=True) if type(value) is str else value


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return a page.

    Args:
        template: its name in ``templates/``.
        context: what it shows; texts are escaped, only ``Markup`` is not.
    """
    return _environment().get_template(template).render(context)


def number(value: float) -> str:
    """Return a mean as tables show it, "–" if there is none."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value)
    size = abs(value)
    if 0 < size < 0.01:
        return f"{value:.2g}"
    return f"{value:.{3 if size < 10 else 2 if size < 1000 else 0}f}"
