import re
from pathlib import Path

import pytest
from fake_run import change_summary, write_run, write_tag_run
from tiny_run import make_rows, silent_console

from raytrain.errors import ArtifactError, ConfigError, InputError
from raytrain.report import page
from raytrain.report.page import POLICY, is_told, write_report
from raytrain.report.words import WordEffects


def written(run, words=False, **options):
    place = write_report(str(run), words=words, console=silent_console(), **options)
    return Path(place).read_text(encoding="utf-8")


@pytest.fixture
def asked(monkeypatch):
    """What the ensemble was asked about; it answers nothing of use."""
    calls = []

    def ask(run, texts, classes, stages):
        calls.append((run, texts, classes))
        return [WordEffects(tuple(((part, 0.2),) for part in parts), 0.5, 1, False) for parts in texts]

    monkeypatch.setattr(page, "ask_ensemble", ask)
    return calls


def test_a_classifier_has_its_sections_in_order(tmp_path):
    text = written(write_run(tmp_path))
    places = [
        text.index(f'id="{name}"')
        for name in (
            "answer",
            "scores",
            "curves",
            "calibration",
            "decisions",
            "slices",
            "mistakes",
            "rows",
            "time",
            "config",
            "provenance",
        )
    ]
    assert places == sorted(places) and 'id="types"' not in text


def test_a_tagger_has_spans_and_nothing_of_classes(tmp_path):
    text = written(write_tag_run(tmp_path))
    assert 'id="types"' in text and 'id="mistakes"' in text
    assert not any(f'id="{name}"' in text for name in ("calibration", "decisions", "slices"))


@pytest.mark.parametrize("write", [write_run, write_tag_run])
def test_the_page_stands_alone(tmp_path, write):
    text = written(write(tmp_path))
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "default-src &#x27;none&#x27;" in text and POLICY.count("'none'") == 3
    assert not re.search(r"<(script|link|img|iframe|object|form)\b|@import|url\((?!#)|\bsrc=", text)
    assert not re.search(r'href="(?!#)', text)


def test_the_same_run_gives_the_same_page(tmp_path):
    run = write_run(tmp_path)
    assert written(run) == written(run)


def test_it_is_known_whether_a_report_is_of_the_present_summary(tmp_path, asked):
    run = write_run(tmp_path)
    assert not is_told(str(run), False)
    written(run)
    assert is_told(str(run), False) and not is_told(str(run), True)
    written(run, words=True, worst=1)
    assert is_told(str(run), False) and is_told(str(run), True)
    change_summary(run, seconds=1.0)
    assert not is_told(str(run), False)


def test_it_lies_in_the_run_or_where_it_is_wanted(tmp_path):
    run = write_run(tmp_path)
    assert write_report(str(run), words=False) == f"{run}/report.html"
    other = tmp_path / "other.html"
    assert write_report(str(run), str(other), words=False) == str(other)
    assert other.read_bytes() == (run / "report.html").read_bytes()


def test_the_ensemble_is_asked_about_the_worst_mistakes(tmp_path, asked):
    run = write_run(tmp_path)
    text = written(run, words=True, worst=3)
    [(place, texts, classes)] = asked
    assert place == str(run) and len(texts) == len(classes) == 3
    assert text.count('class="for" style') == 3 and all(parts[0] in text for parts in texts)


def test_it_is_not_asked_where_there_is_no_text_or_no_mistake(tmp_path, asked):
    run = write_run(tmp_path / "a", skill=50.0)
    written(run, words=True)
    other = write_run(tmp_path / "b")
    (tmp_path / "b" / "corpus.csv").unlink()
    written(other, words=True)
    assert asked == []


def test_a_column_of_the_corpus_is_a_slice(tmp_path):
    rows = [row | {"source": "来源甲"} for row in make_rows(60)]
    assert "来源甲" in written(write_run(tmp_path, rows), slices=["source"])


@pytest.mark.parametrize(
    ("options", "output", "error"),
    [
        ({"slices": ("no",)}, None, ConfigError),
        ({}, "no/x.html", InputError),
        ({"worst": -1}, None, InputError),
        ({"worst": 1_000_000}, None, InputError),
    ],
)
def test_what_cannot_be_done_leaves_no_report(tmp_path, options, output, error):
    run = write_run(tmp_path)
    with pytest.raises(error):
        write_report(str(run), output and str(tmp_path / output), words=False, **options)
    assert not (run / "report.html").exists()


def test_where_there_is_no_run_it_is_told(tmp_path):
    with pytest.raises(ArtifactError, match=r"summary\.json is not there"):
        write_report(str(tmp_path), words=False)
