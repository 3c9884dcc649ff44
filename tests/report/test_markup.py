import html
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.report.markup import Markup, clean, decimal, element, interval, join, percent, table, told


class Reader(HTMLParser):
    """What a browser sees: tags, attributes and text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.values, self.text = [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.values += [value for _, value in attributes]

    def handle_data(self, data):
        self.text += data


@given(st.text(), st.text())
def test_whatever_a_text_holds_is_text_and_whatever_an_attribute_holds_is_its_value(text, value):
    read = Reader(element("p", text, title=value))
    assert read.tags == ["p"]
    assert read.values == [clean(value)]
    assert read.text == html.unescape(html.escape(clean(text)))


def test_markup_stays_and_strings_do_not():
    assert element("p", element("b", "x"), "<b>") == "<p><b>x</b>&lt;b&gt;</p>"
    assert join([None, ["a", [Markup("<br>")]], 3]) == "a<br>3"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"class_": "a", "aria_label": "b"}, '<p class="a" aria-label="b"></p>'),
        ({"hidden": True, "title": None, "open": False}, '<p hidden=""></p>'),
        ({"name": "x"}, '<p name="x"></p>'),
    ],
)
def test_attributes(attributes, expected):
    assert element("p", **attributes) == expected


def test_what_no_page_can_hold_is_replaced_and_line_ends_are_not():
    assert clean("a\0b\x1b\ud800c\r\nd") == "a\ufffdb\ufffd\ufffdc\r\nd"
    assert told("\ud83d").encode()


def test_text_of_the_corpus_is_chinese_keeps_its_direction_and_is_cut():
    assert told("谣\u202e言") == '<bdi lang="zh-Hans">谣\u202e言</bdi>'
    assert told("一二三", 2) == '<bdi lang="zh-Hans">一二…</bdi>'


def test_a_table_has_row_names_and_takes_ready_cells():
    made = table(["a", "b"], [["<x>", element("td", "1", class_="good")], ["y", 2]], "<label>")
    assert Reader(made).tags.count("td") == 2 and '<td class="good">1</td>' in made and "<td>2</td>" in made
    assert '<th scope="row">&lt;x&gt;</th>' in made and 'aria-label="&lt;label&gt;"' in made


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, "0.5000"), (None, "–"), (float("nan"), "–"), (float("inf"), "–")]
)
def test_numbers_that_are_not_defined_are_a_dash(value, expected):
    assert decimal(value) == expected
    assert percent(value) == ("50.0 %" if value == 0.5 else "–")


def test_an_interval_without_ends_is_nothing():
    assert interval(None, None) == "" and "0.1000–0.2000" in interval(0.1, 0.2)
