"""``build_site``: scores and finished runs -> a folder of pages that needs nothing but a browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segbench.host import Catalogue
from segbench.ranking.boards import Leaderboard, Request
from segbench.ranking.chunks import Scores, load_chunks
from segbench.ranking.comparability import comparable
from segbench.ranking.grid import COLUMNS
from segbench.ranking.holdings import board_parts, grid_of
from segbench.ranking.leaderboard import choose, rank_scores
from segbench.reporting.board import BoardPage, firmness, summary, write_board
from segbench.reporting.competitors import Runs, gather_runs
from segbench.reporting.files import Site, part_of_name
from segbench.reporting.pages import render
from segbench.reporting.statuses import gather_statuses
from segbench.reporting.svg import missing_glyphs
from segbench.showing.tables import overall_sheet

INDEX = "index.html"


@dataclass(frozen=True)
class Built:
    """A site that was built: its first page, all files, what a reader of the report must know, and files left out."""

    index: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def build_site(
    results: Path,
    out: Path,
    request: Request,
    catalogue: Catalogue,
    title: str = "segbench report",
    worst: int = 4,
    pdf: bool = False,
) -> Built:
    """Build the site.

    Args:
        results: a results root, a folder in it, or a Parquet file of scores.
        out: folder to write into; ``index.html`` is written last.
        request: what is ranked and how.
        catalogue: for the datasets behind runs and for Figure parts.
        title: of the site.
        worst: number of cases per dataset that are shown as slices.
        pdf: also write every picture as PDF, for print.

    Raises:
        UnknownName, VerificationError, DataMissing, DataInvalid: as the leaderboard does.
    """
    from segbench import __version__

    scores = load_chunks(results, COLUMNS)
    left_out: list[str] = []
    pages = _pages(scores, results, request, catalogue, title, worst, left_out)
    several = len(pages) > 1
    sources = sorted({source for page in pages for source in page.grid.sources})
    site = Site(out, {"version": __version__, "sources": f"{', '.join(sources)} results"}, pdf)
    glyphs: list[str] = []
    with missing_glyphs(glyphs):
        for page in pages[::-1]:
            write_board(page, site, several)
        if several:
            _write_index(pages, site, title)
    notes = dict.fromkeys([*(note for page in pages for note in (*page.runs.notes, *page.notes)), *glyphs])
    return Built(out / INDEX, tuple(site.files), tuple(notes), (*scores.left_out, *left_out))


def _pages(
    scores: Scores,
    results: Path,
    request: Request,
    catalogue: Catalogue,
    title: str,
    worst: int,
    left_out: list[str],
) -> list[BoardPage]:
    leaderboard = rank_scores(scores, request)
    chosen = choose(scores, request)
    parts = board_parts(chosen.scores)
    board_of = {run: division.name for division, _ in parts for run in division.runs}
    runs = gather_runs(results, catalogue, chosen.names, board_of, left_out)
    odd = gather_statuses(results, chosen.names, board_of)
    pages = []
    for number, (board, (division, part)) in enumerate(zip(leaderboard.boards, parts, strict=True)):
        grid = comparable(grid_of(part, division, chosen.names[division.dataset]), request)
        grid = grid.reordered([entry.place.method for entry in board.entries])
        slug = f"{number}-" + part_of_name(f"{board.dataset}-{board.revision}")
        single = len(leaderboard.boards) == 1
        pages.append(
            BoardPage(
                leaderboard=leaderboard,
                board=board,
                grid=grid,
                runs=runs.get(division.name, Runs()),
                odd=odd,
                catalogue=catalogue,
                title=title if single else f"{title}: {board.dataset}",
                file=INDEX if single else f"{slug}.html",
                slug=slug,
                worst=worst,
            )
        )
    return pages


def _write_index(pages: list[BoardPage], site: Site, title: str) -> None:
    leaderboard: Leaderboard = pages[0].leaderboard
    context = {
        "title": title,
        "boards": [summary(page) for page in pages],
        "overall": overall_sheet(leaderboard) if leaderboard.overall else None,
        "firm": firmness(site, leaderboard.overall, leaderboard.stability, "overall-blob"),
        "notes": leaderboard.notes,
    }
    site.write_page(INDEX, render("index.html", {**site.shared, **context}))
