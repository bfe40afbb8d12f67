"""One board's page: gather what it shows, draw its pictures, write its data files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from segbench.host import Catalogue
from segbench.ranking.boards import Board, Leaderboard, Place, TaskBoard
from segbench.ranking.bootstrap import Stability
from segbench.ranking.grid import Grid
from segbench.ranking.robustness import mean_over_cases
from segbench.reporting import charts, figures, training
from segbench.reporting.competitors import Runs, costs
from segbench.reporting.contests import show_contest
from segbench.reporting.evidence import MetricEvidence, accuracy, gather_evidence
from segbench.reporting.files import Site, part_of_name
from segbench.reporting.material import gather_material, keeps_label_maps
from segbench.reporting.opening import draw_effects, opening
from segbench.reporting.pages import number, render
from segbench.reporting.parts import draw_parts
from segbench.reporting.slices import draw_case, worst_cases
from segbench.reporting.statuses import Place as Spot
from segbench.reporting.svg import colour, numbered
from segbench.reporting.values import values_script
from segbench.reporting.viewer import stack_of, write_viewer
from segbench.showing.first import cost_sheet
from segbench.showing.sheet import Sheet


@dataclass
class BoardPage:
    """What a board's page is made from.

    Attributes:
        leaderboard: all boards; board: this one.
        grid: its values, competitors in the order of the board.
        runs: behind it.
        odd: statuses other than ok, of all boards.
        catalogue: for Figure parts.
        title: of the page.
        file: of the page; slug: begins the names of its other files.
        worst: number of cases shown as slices.
        notes: what went wrong on the way.
    """

    leaderboard: Leaderboard
    board: Board
    grid: Grid
    runs: Runs
    odd: Mapping[Spot, str]
    catalogue: Catalogue
    title: str
    file: str
    slug: str
    worst: int
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Dataset and revision."""
        return f"{self.board.dataset}@{self.board.revision}"

    @property
    def methods(self) -> list[str]:
        """Competitors, best first."""
        return list(self.grid.competitors)


def summary(page: BoardPage) -> dict[str, Any]:
    """Return what the list of boards and the head of a page show of a board."""
    board = page.board
    seeds = sorted(set(page.grid.seeds))
    return {
        "name": page.name,
        "file": page.file,
        "synthetic": board.synthetic,
        "methods": page.methods,
        "short": numbered(page.methods),
        "colours": [colour(k) for k in range(len(page.methods))],
        **opening(page.leaderboard, board),
        "facts": [
            ("methods", len(board.entries)),
            ("cases", board.cases),
            ("structures", len(board.structures)),
            ("metrics", len(board.metrics)),
            ("seeds", str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"),
        ],
    }


def write_board(page: BoardPage, site: Site, home: bool) -> None:
    """Write the page of a board and its files.

    Args:
        page: what it is made from.
        site: takes the files.
        home: whether there is a page above it.
    """
    request = page.leaderboard.request
    evidence = gather_evidence(page.grid, request, request.metrics or page.board.headline)
    main = evidence[0] if request.metrics else accuracy(evidence)
    metrics = [
        _metric(page, one, f"{page.slug}-{index}-{part_of_name(one.metric)}", site)
        for index, one in enumerate(evidence)
    ]
    addresses = []
    for index, one in enumerate(evidence):
        script = values_script(index, one, page.name, (page.grid.cases, page.methods), page.odd)
        addresses.append(site.write_text(f"data/{page.slug}-{index}.js", script))
    slices = _worst(page, main, site)
    parts = draw_parts(
        page.catalogue, page.runs, lambda drawn: site.write_figure(f"{page.slug}-part", drawn, fit=False), page.notes
    )
    context = {
        "title": page.title,
        "home": home,
        "board": summary(page),
        "effects": draw_effects(page.board, site, f"{page.slug}-effects"),
        "metrics": metrics,
        "headline": evidence.index(main),
        "firm": firmness(
            site, [entry.place for entry in page.board.entries], page.board.stability, f"{page.slug}-blob"
        ),
        **_recorded(page, evidence, main, site),
        "worst": slices,
        "without_slices": _why_no_slices(page),
        "parts": [vars(one) | site.about(one.file) for one in parts],
        "runs": _run_sheet(page),
        "how": _how(page),
        "data": {
            "methods": page.methods,
            "short": numbered(page.methods),
            "colours": [colour(k) for k in range(len(page.methods))],
            "cases": list(page.grid.cases),
            "headline": evidence.index(main),
            "metrics": [
                {"name": one.metric, "unit": one.unit, "direction": one.direction, "file": file}
                for one, file in zip(evidence, addresses, strict=True)
            ],
            "pictures": {one["case"]: f"worst-{place}" for place, one in enumerate(slices, 1)},
        },
    }
    site.write_page(page.file, render("board.html", {**site.shared, **context}))


def firmness(site: Site, places: Sequence[Place], firm: Stability | None, name: str) -> Markup | None:
    """Return the picture of how firm an order over tasks is; None without a bootstrap or for a single method.

    Args:
        site: takes the picture.
        places: in order.
        firm: of the same methods.
        name: of the picture.
    """
    if firm is None or len(places) < 2:
        return None
    ranks, methods = [place.rank for place in places], [place.method for place in places]
    link = site.printed(name, lambda: figures.blob_plot(firm, ranks, methods))
    return charts.blobs(firm, ranks, methods, "Bootstrapped places") + link


def _metric(page: BoardPage, one: MetricEvidence, name: str, site: Site) -> dict[str, Any]:
    """Return a metric's section: title, pictures, table of structures."""
    unit = f", {one.unit}" if one.unit not in ("", "1") else ""
    site.printed(f"{name}-cases", lambda: figures.strip_plot(one.per_case, f"{one.metric}{unit}", page.methods))
    tasks = {task.measure.label: task for task in page.board.tasks if task.measure.metric == one.metric}
    return {
        "name": one.metric,
        "title": f"{one.metric}{unit} ({'higher' if one.direction > 0 else 'lower'} is better)",
        "contest": show_contest(one.contest, page.methods, name, site),
        "structures": [(label, _cells(tasks[label], page.methods)) for label in one.labels if label in tasks],
    }


def _cells(task: TaskBoard, methods: list[str]) -> list[dict[str, Any]]:
    standings = {standing.method: standing for standing in task.standings}
    most = max(len(methods) - 1, 1)
    return [
        {
            "text": number(standings[name].summary.mean),
            "share": f"{max(0.0, (len(methods) - standings[name].rank) / most):.2f}",
            "missing": max(standings[name].missing, standings[name].summary.undefined),
        }
        for name in methods
    ]


def _recorded(page: BoardPage, evidence: list[MetricEvidence], main: MetricEvidence, site: Site) -> dict[str, Any]:
    """Return curves, costs and constraint violations, each None or empty where nothing is known."""
    methods, found = page.methods, costs(page.runs, page.methods)
    means = _means(main, methods)
    axis = f"{main.metric} (mean)"
    panels = [
        (one.metric, [(name, x, means[name]) for name, x in _means(one, methods).items() if name in means])
        for one in evidence
        if one is not main and one.whole_map and one.direction < 0
    ]
    drawn = {
        "curves": training.curves(page.runs, methods),
        "cost": training.cost_figure(found, means, axis, methods),
        "violation": training.scatter(panels, axis, methods),
    }
    titles = {"curves": "Training curves", "cost": "Cost against accuracy", "violation": "Constraint violation"}
    pictures = {
        name: site.draw(figure, f"{page.slug}-{name}", titles[name], legend=methods) if figure is not None else None
        for name, figure in drawn.items()
    }
    return {**pictures, "costs": cost_sheet(page.board, {one.method: one for one in found})}


def _means(one: MetricEvidence, methods: list[str]) -> dict[str, float]:
    """Return each method's mean over the cases that have a value."""
    means = mean_over_cases(one.per_case, axis=0)
    return {name: mean for name, mean in zip(methods, means.tolist(), strict=True) if math.isfinite(mean)}


def _worst(page: BoardPage, main: MetricEvidence, site: Site) -> list[dict[str, Any]]:
    """Write the pictures of the worst cases of which there are label maps."""
    shown: list[dict[str, Any]] = []
    kept = any(map(keeps_label_maps, page.runs.every))
    for worst in worst_cases(main, page.grid.cases, page.methods, page.worst) if kept else ():
        material = gather_material(worst.case, page.runs, page.methods, page.notes)
        if material is None:
            continue
        stack = stack_of(material)
        file = site.write_figure(f"{page.slug}-case", draw_case(material, stack, worst, page.methods))
        name = f"{page.slug}-case-{len(shown)}"
        script = write_viewer(name, material, stack, worst.worst_of, worst.values, page.methods, site)
        methods = ", ".join(numbered(page.methods)[page.methods.index(method)] for method in worst.worst_of)
        about = {"case": worst.case, "methods": methods, "metric": main.metric, "file": file}
        shown.append({**about, "name": name, "script": script, **site.about(file)})
    return shown


def _why_no_slices(page: BoardPage) -> str:
    if not any(map(keeps_label_maps, page.runs.every)):
        return "these results are scores only, without runs that keep images and predictions."
    reasons = list(dict.fromkeys(note for note in page.notes if ", case " in note))
    return reasons[0] if reasons else "no run keeps predictions of these cases together with their images."


def _run_sheet(page: BoardPage) -> Sheet:
    rows = []
    for method, runs in page.runs.of.items():
        for run in runs:
            versions = run.record.get("versions") or {}
            made = str(versions.get("segbench", "–")) if isinstance(versions, dict) else "–"
            seeds = ", ".join(map(str, page.runs.seeds[run.run_id]))
            rows.append([method, run.run_id, seeds, page.runs.sources[run.run_id], made])
    return Sheet("Runs", ["method", "run", "seed", "source", "segbench"], rows, left={0, 1, 3, 4})


def _of_missing(policy: float | str | None) -> str:
    """Return in words how this board deals with missing values."""
    if isinstance(policy, int | float):
        return f"Whatever is missing counts {policy:g}, as asked."
    if policy == "drop":
        return "Whatever is missing is left out, as asked, which rewards methods that fail."
    return (
        "A missed structure counts 0 in overlaps and ranks last everywhere; an undefined distance is left out of the "
        "mean shown and ranked last."
    )


def _unit(page: BoardPage) -> str:
    return "cases" if page.board.patients == page.board.cases else "patients, with all their scans"


def _of_patients(board: Board) -> list[str]:
    if board.patients == board.cases:
        return []
    return [
        f"{board.cases} cases are scans of {board.patients} patients: tests and intervals take patients as their "
        f"units, each the mean of its scans."
    ]


def _how(page: BoardPage) -> list[str]:
    request, grid = page.leaderboard.request, page.grid
    resampled = (
        f"{request.bootstrap} resamples of the {_unit(page)}, seed {request.seed}" if request.bootstrap else "none"
    )
    return [
        f"Ranking: {request.scheme} per structure and metric; averaged over {', '.join(page.board.headline)}, then "
        f"over structures. Ranks depend on who takes part.",
        f"Bootstrap: {resampled}.",
        *_of_patients(page.board),
        "Seeds are averaged within a case and never counted as further cases.",
        _of_missing(request.missing),
        f"Values come from: {', '.join(grid.sources)}.",
        *page.board.notes,
        *page.leaderboard.notes,
        *page.runs.notes,
        *dict.fromkeys(page.notes),
    ]
