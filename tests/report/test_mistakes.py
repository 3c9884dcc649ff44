import numpy as np
import pytest
from fake_run import write_run
from tiny_run import make_rows, silent_stages

from raytrain.report.facts import read_facts
from raytrain.report.mistakes import MOST_CHARACTERS, find_worst, mistakes_section
from raytrain.report.words import WordEffects
from raytrain.scores.classes import row_losses
from raytrain.storage.directory import Directory


@pytest.fixture
def facts(tmp_path):
    return read_facts(Directory(write_run(tmp_path)), silent_stages())


def test_the_worst_are_wrong_and_in_order(facts):
    said = facts.said
    worst = find_worst(said, 5)
    assert not said.is_right[worst].any()
    losses = row_losses(said.truth, said.proba)
    assert losses[worst].tolist() == sorted(losses[~said.is_right], reverse=True)[:5]


def test_no_more_than_there_are(facts):
    assert len(find_worst(facts.said, 1000)) == (~facts.said.is_right).sum()
    assert len(find_worst(facts.said, 0)) == 0
    assert mistakes_section(facts, facts.said, find_worst(facts.said, 0), None) is None


def test_texts_are_shown_with_what_was_said(facts):
    worst = find_worst(facts.said, 3)
    told = mistakes_section(facts, facts.said, worst, None)
    for place in worst:
        assert facts.texts[facts.said.rows[place]][0] in told
        assert f"{facts.said.proba[place].max():.3f}" in told
    assert "raytrain report" in told and 'class="for"' not in told


def test_words_are_coloured_by_what_they_do(facts):
    [place] = find_worst(facts.said, 1).tolist()
    parts = ((("<很>", 0.3), ("坏", -0.15), ("的", 0.001), ("，", None)),)
    told = mistakes_section(facts, facts.said, np.array([place]), {place: WordEffects(parts, 0.25, 3, True)})
    assert '<span class="for" style="--share: 1.00" title="−0.300">&lt;很&gt;</span>' in told
    assert '<span class="against" style="--share: 0.50" title="+0.150">坏</span>的，' in told
    assert (
        "0.250" in told
        and "Words beyond the first 3 were not tried" in told
        and "ensemble's view" in told.replace("&#x27;", "'")
    )


def test_long_texts_are_cut(tmp_path):
    rows = [row | {"text": row["text"] * 200} for row in make_rows(60)]
    facts = read_facts(Directory(write_run(tmp_path, rows)), silent_stages())
    [place] = find_worst(facts.said, 1)
    [text] = facts.texts[facts.said.rows[place]]
    told = mistakes_section(facts, facts.said, np.array([place]), None)
    assert text[:MOST_CHARACTERS] + "…" in told and text[: MOST_CHARACTERS + 1] not in told


def test_without_the_corpus_why_is_told(tmp_path):
    run = write_run(tmp_path)
    (tmp_path / "corpus.csv").unlink()
    facts = read_facts(Directory(run), silent_stages())
    told = mistakes_section(facts, facts.said, find_worst(facts.said, 3), None)
    assert "Their texts are not shown" in told and "corpus.csv cannot be read" in told
