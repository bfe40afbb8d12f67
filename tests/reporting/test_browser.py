"""The page in a headless Chromium, where there is one: it sorts, it opens a case, it complains of nothing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from segbench.host import load_catalogue
from segbench.ranking.boards import Request
from segbench.reporting.site import Built, build_site

from .chromium import BROWSERS, find_browser
from .sites import CLOSING, HOSTILE, Page, rows, scores_file

METHODS = ["plain", HOSTILE, CLOSING]


@pytest.fixture(scope="module")
def browser() -> str:
    found = find_browser()
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on PATH")
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    folder = tmp_path_factory.mktemp("browser")
    return build_site(scores_file(folder, rows(METHODS)), folder / "site", Request(bootstrap=50), load_catalogue())


def visit(browser: str, built: Built, folder: Path, fragment: str = "", action: str = "", width: int = 1000) -> Page:
    """Open the page, let it act, return what it has become; fails on any message of its console."""
    page = built.index.read_text(encoding="utf-8")
    index = built.index.with_name(f"acting-{abs(hash((action, width)))}.html")
    act = f"<script>addEventListener('load', () => setTimeout(() => {{ {action} }}, 1000));</script></body>"
    index.write_text(page.replace("</body>", act), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
    command += [f"--user-data-dir={folder}", f"--window-size={width},900", "--virtual-time-budget=6000"]
    command += ["--enable-logging=stderr", f"{index.as_uri()}{fragment}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(folder)})
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert done.returncode == 0, done.stderr
    assert not complaints, complaints
    return Page(done.stdout)


def table(page: Page, head: str) -> list[list[str]]:
    return next(found for found in page.tables if found and found[0] and found[0][0] == head)


def test_the_cases_are_listed_and_no_console_message_appears(browser, built, tmp_path) -> None:
    page = visit(browser, built, tmp_path)
    cases = table(page, "case")
    assert [row[0] for row in cases[1:]] == [f"case_{c:02d}" for c in range(8)]
    points = [attributes["d"] or "" for tag, attributes in page.tags if attributes.get("class") == "dots"]
    assert [path.count("M") for path in points] == [8] * len(METHODS)
    assert not [attributes for tag, attributes in page.tags if tag == "dialog" and "open" in attributes]


def test_a_click_sorts_and_another_turns_it_round(browser, built, tmp_path) -> None:
    click = "document.querySelectorAll('table.sortable')[0].querySelectorAll('thead button')[{}].click();"
    start = table(visit(browser, built, tmp_path), "#")
    column = start[0].index("dice ↑")
    values = [float(row[column].split()[0]) for row in start[1:]]
    once = table(visit(browser, built, tmp_path, action=click.format(column)), "#")
    twice = table(visit(browser, built, tmp_path, action=click.format(column) * 2), "#")
    assert [float(row[column].split()[0]) for row in once[1:]] == sorted(values)
    assert [float(row[column].split()[0]) for row in twice[1:]] == sorted(values, reverse=True)
    assert sorted(map(tuple, once)) == sorted(map(tuple, start)), "rows stay whole"


def test_a_case_opens_with_structures_and_statuses(browser, built, tmp_path) -> None:
    action = "[...document.querySelectorAll('#cases button.link')].find(b => b.textContent === 'case_03').click();"
    for page in (
        visit(browser, built, tmp_path, action=action),
        visit(browser, built, tmp_path, fragment="#metric=dice&case=case_03"),
    ):
        assert [attributes for tag, attributes in page.tags if tag == "dialog" and "open" in attributes]
        opened = [found for found in page.tables if found[0] and found[0][0] == "structure"][-1]
        assert [row[0] for row in opened[1:]] == ["left", "right"]
        k = page.data["methods"].index(METHODS[-1]) + 1
        assert opened[1][k] == "0.000 pred_empty"


def test_the_address_chooses_the_metric(browser, built, tmp_path) -> None:
    page = visit(browser, built, tmp_path, fragment="#metric=hd95&case=case_03")
    shown = [
        attributes
        for tag, attributes in page.tags
        if attributes.get("class") == "metric" and "hidden" not in attributes
    ]
    names = [one["name"] for one in page.data["metrics"]]
    assert [int(attributes["data-metric"]) for attributes in shown] == [names.index("hd95")]
    opened = [found for found in page.tables if found[0] and found[0][0] == "structure"][-1]
    assert opened[1][page.data["methods"].index(METHODS[-1]) + 1] == " pred_empty"


@pytest.mark.parametrize("width", [400, 1600])
def test_the_page_is_never_wider_than_the_window(browser, built, tmp_path, width) -> None:
    action = "document.title = document.documentElement.scrollWidth + ' ' + innerWidth;"
    done = visit(browser, built, tmp_path, action=action + "document.body.dataset.fits = document.title;", width=width)
    body = next(attributes for tag, attributes in done.tags if tag == "body")
    wide, window = map(int, body["data-fits"].split())
    assert window == width
    assert wide <= window


def test_infinity_is_shown_and_drawn_at_the_edge(browser, tmp_path) -> None:
    found = rows(["a", "b"])
    for row in found:
        if (row["metric"], row["case_id"], row["label_name"], row["method"]) == ("hd95", "case_00", "left", "a"):
            row["value"] = float("inf")
    site = build_site(scores_file(tmp_path, found), tmp_path / "site", Request(bootstrap=10), load_catalogue())
    page = visit(browser, site, tmp_path, fragment="#metric=hd95&case=case_00")
    k = page.data["methods"].index("a") + 1
    assert table(page, "case")[1][k] == "inf"
    opened = [found for found in page.tables if found[0] and found[0][0] == "structure"][-1]
    assert (opened[1][0], opened[1][k]) == ("left", "inf")
    (edge,) = [attributes for _, attributes in page.tags if attributes.get("class") == "off"]
    paths = [attributes["d"] or "" for _, attributes in page.tags if attributes.get("class") == "dots"]
    finite = [float(x) for path in paths for x in re.findall(r"M([\d.]+)", path)]
    assert len(finite) == 15
    assert float(edge["cx"] or "nan") == pytest.approx(max(finite), abs=0.1)
    assert all("NaN" not in str(value) for _, attributes in page.tags for value in attributes.values())


@pytest.mark.parametrize("width", [400, 1600])
def test_heads_of_tables_keep_words_whole(browser, built, tmp_path, width) -> None:
    action = """
      const broken = [];
      for (const button of document.querySelectorAll("table.sortable")[0].querySelectorAll("thead button")) {
        const text = [...button.childNodes].find((node) => node.nodeType === Node.TEXT_NODE);
        for (const word of text.data.matchAll(/\\S+/g)) {
          const range = document.createRange();
          range.setStart(text, word.index);
          range.setEnd(text, word.index + word[0].length);
          if (range.getClientRects().length > 1) broken.push(word[0]);
        }
      }
      document.body.dataset.broken = broken.join(" ");
    """
    done = visit(browser, built, tmp_path, action=action, width=width)
    assert next(attributes for tag, attributes in done.tags if tag == "body")["data-broken"] == ""
