from xml.etree import ElementTree

import numpy as np

from raytrain.report.plots import ACCENT, SECOND, Line, plot_lines

LINES = [
    Line([1, 2, 3], [0.1, 0.4, 0.2], ACCENT, "a"),
    Line([1, 2, 3], [0.3, np.nan, 0.1], SECOND, "b", dashed=True),
]


def svg_of(figure):
    return figure[figure.index("<svg") : figure.index("</svg>") + len("</svg>")]


def texts_of(figure):
    return [node.text for node in ElementTree.fromstring(svg_of(figure)).iter() if node.tag.endswith("text")]


def test_text_stays_text_whatever_it_holds():
    evil = "</svg><script>x</script> 谣言 $a$ &"
    figure = plot_lines(evil, (evil, "y"), [Line([0, 1], [0, 1], label=evil)])
    assert texts_of(figure).count(evil) == 2
    assert "<script" not in figure and figure.startswith('<figure class="plot"><figcaption>&lt;/svg&gt;')
    assert ElementTree.fromstring(svg_of(figure)).get("aria-label") == evil


def test_colours_and_letters_are_the_pages():
    drawn = svg_of(plot_lines("a", ("x", "y"), LINES))
    assert "var(--accent)" in drawn and "var(--second)" in drawn and "var(--ink)" in drawn
    assert "font-family" not in drawn and "#0" not in drawn.replace('href="#', "") and "<style" not in drawn
    root = ElementTree.fromstring(drawn)
    assert "width" not in root.attrib and "height" not in root.attrib and "viewBox" in root.attrib


def test_nothing_is_taken_from_elsewhere():
    drawn = plot_lines("a", ("x", "y"), LINES)
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "").replace(
        "http://www.w3.org/1999/xlink", ""
    )
    assert "metadata" not in drawn


def test_the_same_lines_give_the_same_plot():
    assert plot_lines("a", ("x", "y"), LINES) == plot_lines("a", ("x", "y"), LINES)


def test_ticks_of_what_is_counted_are_whole():
    figure = plot_lines("a", ("epoch", ""), [Line([1, 2, 3], [0.1, 0.2, 0.3])], whole_x=True)
    assert {"1", "2", "3"} <= set(texts_of(figure)) and "1.5" not in texts_of(figure)


def test_bars_lie_behind_the_lines():
    bars = np.array([0.0, 0.5]), np.array([0.1, 0.2])
    plain, barred = (
        svg_of(plot_lines("a", ("x", "y"), [Line([0, 1], [0, 1])], bars=b)) for b in (None, bars)
    )
    assert barred.count("<path") == plain.count("<path") + 2
    assert barred.rindex('fill: var(--line)"') < barred.index("var(--accent)")
