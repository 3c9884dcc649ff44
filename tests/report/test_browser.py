"""The page in a real browser: nothing runs, nothing is fetched, and it fits a telephone."""

import pytest
from chromium import Chromium, find_chromium
from fake_run import write_run, write_tag_run
from tiny_run import make_rows, make_tagged

from raytrain.report.page import write_report

EVIL = "<script>document.title='x'</script><img src=x onerror=\"document.title='x'\">"

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    chromium = Chromium(find_chromium())
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Of a classifier and of a tagger whose texts, labels and ids all try to run something."""
    rows = [{key: value + EVIL for key, value in row.items()} for row in make_rows(60, 3)]
    spans = [
        (text + EVIL.replace(" ", ""), [(s, e, "<b>x" if kind == "LOC" else kind) for s, e, kind in own])
        for text, own in make_tagged(12)
    ]
    runs = {
        "classify": write_run(tmp_path_factory.mktemp("classify"), rows, ("textcnn", "finetune")),
        "tag": write_tag_run(tmp_path_factory.mktemp("tag"), spans),
    }
    (runs["classify"] / "suspects.csv").write_text(f"id,{EVIL}\n{EVIL},{EVIL}\n", encoding="utf-8")
    for run in runs.values():
        write_report(str(run), words=False)
    return {task: run / "report.html" for task, run in runs.items()}


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("width", [360, 1280])
def test_what_texts_say_stays_text_and_nothing_is_fetched(browser, pages, task, width):
    browser.open(pages[task], width)
    assert browser.evaluate("document.title") == "fake – raytrain"
    assert browser.evaluate("document.querySelectorAll('script, img, iframe, b').length") == 0
    assert "<script>" in browser.evaluate("document.body.textContent")
    requests = browser.told("Network.requestWillBeSent")
    assert [one["request"]["url"] for one in requests] == [pages[task].as_uri()]
    assert browser.told("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_not_wider_than_its_window(browser, pages, task, width):
    browser.open(pages[task], width)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    beyond = (
        "[...document.querySelectorAll('body *')].filter(one => !one.closest('.scroll') && "
        "one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"
    )
    assert browser.evaluate(beyond) == []


def test_what_a_page_would_run_is_seen(browser, tmp_path):
    """The checks above can fail."""
    page = tmp_path / "page.html"
    page.write_text(f"<title>a</title>{EVIL}<div style='width: 3000px'>x</div>", encoding="utf-8")
    browser.open(page, 360)
    assert browser.evaluate("document.title") == "x"
    assert len(browser.told("Network.requestWillBeSent")) == 2
    assert browser.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_by_night_paper_is_dark_and_plots_are_light_on_it(browser, pages):
    colors = {}
    for scheme in ("light", "dark"):
        browser.open(pages["classify"], 1280, scheme)
        paper = "getComputedStyle(document.body).backgroundColor"
        ink = "getComputedStyle(document.querySelector('svg text')).fill"
        colors[scheme] = [_brightness(browser.evaluate(one)) for one in (paper, ink)]
    assert colors["light"][0] > 200 > colors["light"][1]
    assert colors["dark"][0] < 60 < colors["dark"][1]


def _brightness(color: str) -> float:
    """The mean of rgb(…)."""
    parts = [float(part) for part in color[color.index("(") + 1 : color.index(")")].split(",")[:3]]
    return sum(parts) / 3
