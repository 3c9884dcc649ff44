import numpy as np
import pytest
from chromium import Chromium, find_chromium

from raytrain.groups.find import Found
from raytrain.groups.page import write_page
from raytrain.groups.tell import Group

EVIL = "<script>document.title='x'</script><img src=x onerror=\"document.title='x'\">"
TEXTS = [f"记者核实{EVIL}", "早餐好吃", "别的"]


def page_of(tmp_path):
    found = Found(np.array([0, 1, -1]), np.array([1, 1, 0], np.float32), {})
    groups = [Group(0, 1, [f"记者{EVIL}"], [0], []), Group(1, 1, ["早餐"], [1], [])]
    places = np.array([[0, 0], [1, 1], [0.5, 0.5]])
    write_page(tmp_path / "groups.html", f"posts{EVIL}", TEXTS, found, groups, np.arange(3), places)
    return tmp_path / "groups.html"


def test_each_point_says_its_text_and_all_of_it_stays_text(tmp_path):
    page = page_of(tmp_path).read_text(encoding="utf-8")
    assert page.count("<circle") == 3 and "in no group\n别的" in page
    assert "<script" not in page and "<img" not in page
    assert "3 texts in 2 groups, 1 of them in none" in page


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser_nothing_runs_and_points_are_seen(tmp_path, width):
    chromium = Chromium(find_chromium())
    try:
        chromium.open(page_of(tmp_path), width)
        assert chromium.evaluate("document.title").startswith("posts<script>")
        assert chromium.evaluate("document.querySelectorAll('script, img').length") == 0
        assert chromium.evaluate("document.querySelector('circle').getBoundingClientRect().width > 1")
        assert chromium.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert "别的" in chromium.evaluate("document.querySelectorAll('circle title')[2].textContent")
    finally:
        chromium.close()
