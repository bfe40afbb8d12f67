"""``segbench info``: what a part is, how it is defined, where its code and README are, which parameters it takes."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.cli.listing import KINDS, about, singular
from segbench.contracts import Metric, Study
from segbench.errors import SegbenchError, UnknownName, UsageError, did_you_mean
from segbench.types import Choice

if TYPE_CHECKING:
    from segbench.host import Catalogue, Entry

_SINGULAR = {singular(kind): kind for kind in KINDS}
_EMPTY = {"both_empty": "both empty", "pred_empty": "prediction empty", "truth_empty": "truth empty"}
_LABEL = 12
"""Characters of the labels at the left."""
_TO_COPY = ("source", "code", "README")
"""Labels of what stays on one line, however long."""


@app.command("info")
def info_command(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[KIND] NAME", help="Name of a part, after its kind where several are called so."),
    ],
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Show what a part is, how it is defined, where it comes from and which parameters it takes."""
    if len(words) > 2:
        raise UsageError(f"segbench info {' '.join(words)}: expected a kind and a name, or a name alone. Ask for one.")
    catalogue = console.catalogue(plugins)
    part = _found(catalogue, *words)
    if as_json:
        console.print_json(_document(part, catalogue))
    else:
        _print(part, catalogue)


@dataclass(frozen=True)
class _Part:
    """A part that was asked for; ``kind`` in plural."""

    kind: str
    name: str
    entry: Entry


def _found(catalogue: Catalogue, kind: str, name: str | None = None) -> _Part:
    """Return the part of a kind and name, or of a name alone if there is just one.

    Raises:
        UsageError: no such kind, or parts of several kinds are called so.
        UnknownName: no part is called so.
    """
    plural = _SINGULAR.get(kind, kind)
    if name is not None:
        if plural not in KINDS:
            raise UsageError(f"segbench info {kind}: {did_you_mean(kind, [*_SINGULAR, *KINDS])}")
        return _Part(plural, name, catalogue.entry(plural, name))
    name = kind
    kinds = [one for one in KINDS if name in catalogue.entries[one] or (one, name) in catalogue.clashes]
    if len(kinds) == 1:
        return _Part(kinds[0], name, catalogue.entry(kinds[0], name))
    if kinds:
        commands = " or ".join(f"segbench info {singular(one)} {name}" for one in kinds)
        raise UsageError(f"{len(kinds)} parts are called {name}: say {commands}.")
    if plural in KINDS:
        raise UsageError(f"segbench info {kind}: which one? `segbench list {plural}` names them.")
    raise UnknownName(
        f"No part is called {name!r}. {did_you_mean(name, {one for each in KINDS for one in catalogue.entries[each]})}"
    )


def _document(part: _Part, catalogue: Catalogue) -> dict[str, Any]:
    fields = ("key", "type", "default", "help")
    file, line = _code(part.entry)
    document: dict[str, Any] = {
        **about(part.name, part.entry),
        "kind": singular(part.kind),
        "definition": _definition(part.entry),
        "file": file and str(file),
        "line": line,
        "readme": _readme(part, file),
        "arms": _arms(part, catalogue),
        "parameters": [dict(zip(fields, row, strict=True)) for row in _parameters(part)],
    }
    if part.kind == "metrics":
        metric = cast("type[Metric]", part.entry.cls)
        scores, reason = _empty_masks(part, catalogue)
        document |= {"unit": metric.unit, "better": metric.better, "family": metric.family}
        document |= {"empty_masks": scores, "empty_masks_unknown": reason}
    return document


def _print(part: _Part, catalogue: Catalogue) -> None:
    cls, parameters = part.entry.cls, _parameters(part)
    shown = console.stdout()

    def line(text: str, style: str | None = None) -> None:
        shown.print(text, highlight=False, markup=False, soft_wrap=True, style=style)

    for text in _wrapped(f"{part.name} ({singular(part.kind)}, version {cls.version}): {cls.summary}", shown.width):
        line(text, "bold")
    shown.print()
    for label, text in _facts(part, catalogue):
        whole = f"{label:{_LABEL}}{text}"
        room = len(whole) if label in _TO_COPY else max(shown.width, 2 * _LABEL)
        for one in textwrap.wrap(whole, room, subsequent_indent=" " * _LABEL, drop_whitespace=False):
            line(one)
    if definition := _definition(part.entry):
        shown.print()
        for text in _wrapped(definition, shown.width):
            line(text)
    if not parameters:
        shown.print("\nNo parameters.")
        return
    _print_parameters(part, parameters)


def _facts(part: _Part, catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """Yield label and text of what is known of a part."""
    cls, origin = part.entry.cls, part.entry.origin
    if part.kind == "metrics":
        metric = cast("type[Metric]", cls)
        yield "unit", metric.unit or "none (a ratio)"
        yield "direction", f"{metric.better} is better"
        if metric.family:
            yield "family", f"{metric.family}, preference {metric.preference}"
        scores, reason = _empty_masks(part, catalogue)
        label = "empty masks"
        for case, words in _EMPTY.items():
            if case in scores:
                yield label, f"{words}: {_told(scores[case], metric.unit)}"
                label = ""
        if reason:
            yield label, reason
    if cls.default:
        yield "default", "computed when no metric is named" if part.kind == "metrics" else "taken when none is named"
    if arms := _arms(part, catalogue):
        yield "arms", f"method, {', '.join(sorted(arms))}"
    if issubclass(cls, Study) and cls.datasets:
        yield "table", f"{', '.join(cls.metrics)} on {', '.join(cls.datasets)}, {cls.seeds} seeds"
    yield "plugin", f"from {origin.plugin} ({origin.distribution} {origin.version})"
    if cls.source:
        yield "source", cls.source
    file, number = _code(part.entry)
    if file is not None:
        yield "code", f"{file}:{number}"
    if readme := _readme(part, file):
        yield "README", readme


def _told(value: float | None, unit: str) -> str:
    """Return in words what a metric gave; a number that is neither 0 nor 1 belongs to the cube that it was tried on."""
    if value is None:
        return "no value"
    of_cube = "" if value in (0.0, 1.0) else " (of a cube of 27 mm³)"
    return f"{value:g} {unit}".strip() + of_cube


def _print_parameters(part: _Part, parameters: list[tuple[str, str, Any, str]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    one = singular(part.kind)
    prefix = f"{one}.{part.name}" if part.kind in ("metrics", "decisions", "reporters") else one
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", overflow="fold")
    table.add_column(ratio=1)
    for key, type_text, default, text in parameters:
        table.add_row(escape(f"{key}={_shown(default)}"), escape(f"{text} ({type_text})" if text else type_text))
    shown = console.stdout()
    shown.print("\nparameters with their defaults", style="bold")
    shown.print(table)
    shown.print(f"\nSet one with --set {prefix}.{parameters[0][0]}=VALUE", highlight=False, markup=False)


def _parameters(part: _Part) -> list[tuple[str, str, Any, str]]:
    from segbench.host import blame
    from segbench.params import describe

    with blame(part.entry.origin, f"describing {part.name}"):
        return list(describe(part.entry.cls))


def _arms(part: _Part, catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    known = catalogue.arms(part.name) if part.kind == "methods" else {}
    return {arm: dict(values) for arm, values in known.items()}


def _empty_masks(part: _Part, catalogue: Catalogue) -> tuple[dict[str, float | None], str]:
    """Return what a metric gives where masks are empty, by status, and why some of it is not known ("" if it is)."""
    from segbench.scoring.emptiness import CASES, scores_of_empty

    try:
        scores = scores_of_empty(catalogue.metric(Choice(part.name)))
    except SegbenchError as error:  # such as a package that is not installed
        return {}, f"could not be tried: {error}"
    if not scores:
        return {}, "not tried: it learns from training truths first"
    failed = [_EMPTY[case] for case in CASES if scores[case].status == "failed"]
    known = {case: scores[case].value for case in CASES if scores[case].status != "failed"}
    return known, f"{', '.join(failed)}: the metric fails" if failed else ""


def _definition(entry: Entry) -> str:
    """Return the docstring of a part; "" where it is that which dataclasses make."""
    text = entry.cls.__doc__ or ""
    return "" if text.startswith(f"{entry.cls.__name__}(") else inspect.cleandoc(text)


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Yield the lines of a text with its paragraphs filled anew; what is indented or listed stays as it is."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text)):
        if number:
            yield ""
        lines = paragraph.splitlines()
        if any(one.startswith((" ", "-", "*")) for one in lines):
            yield from lines
        else:
            yield from textwrap.wrap(" ".join(lines), width, break_long_words=False, break_on_hyphens=False)


def _code(entry: Entry) -> tuple[Path | None, int]:
    """Return the file and line where a part is written; None where nobody knows."""
    try:
        file, (_, line) = inspect.getsourcefile(entry.cls), inspect.getsourcelines(entry.cls)
    except (OSError, TypeError):
        return None, 0
    return (Path(file), line) if file else (None, 0)


def _readme(part: _Part, code: Path | None) -> str:
    """Return the README beside a part's code, with the anchor of the first section that names the part; "" of none."""
    if code is None or not (path := code.with_name("README.md")).is_file():
        return ""
    anchor = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if heading := re.match(r"#+\s+(.*)", line):
            anchor = "-".join(re.sub(r"[^\w\- ]", "", heading[1].lower()).split(" "))
        if f"`{part.name}`" in line:
            return f"{path}#{anchor}" if anchor else str(path)
    return str(path)


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value) if value != "" else "''"
