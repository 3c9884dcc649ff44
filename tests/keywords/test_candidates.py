import csv
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_run import write_csv

import raytrain.keywords.sources
from raytrain.errors import CorpusError
from raytrain.keywords.candidates import Candidates, find_candidates
from raytrain.keywords.marks import read_kept_words, read_marks, write_candidates
from raytrain.keywords.sources import open_source
from raytrain.keywords.textrank import rank_texts
from raytrain.text.ragged import chunks_of

TEXTS = [
    *("网传明天停水，快转给家人", "网传停水是真的", "停水三天，网传", "快转！停水"),
    *("记者核实，停水不是真的", "记者说今天不停水", "官方核实了", "记者核实", ""),
]
LABELS = [*"1111", *"00000"]


def labelled(path, texts=TEXTS, labels=LABELS):
    rows = [{"text": text or "好", "label": label} for text, label in zip(texts, labels, strict=True)]
    return str(write_csv(path, rows))


def sources_of(*paths, label="label"):
    return [open_source(path, ["text"], label) for path in paths]


def read_rows(path):
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def keyword_counts(texts):
    ranked = rank_texts(texts)
    return Counter(ranked.words[number] for number in ranked.keywords)


@pytest.fixture
def train(tmp_path):
    return labelled(tmp_path / "train.csv")


@pytest.fixture
def test(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("网传记者来了\n停水\n网传停水\n", encoding="utf-8")
    return str(path)


def test_words_are_counted_in_all_and_per_class(train):
    found = find_candidates(sources_of(train))
    texts = [text or "好" for text in TEXTS]
    by_class = [
        keyword_counts([t for t, own in zip(texts, LABELS, strict=True) if own == label]) for label in "01"
    ]
    assert found.labels == [0, 1]
    assert dict(zip(found.words, found.by_class.tolist(), strict=True)) == {
        word: [counts[word] for counts in by_class] for word in keyword_counts(texts)
    }
    assert found.counts.tolist() == found.by_class.sum(axis=1).tolist()
    holders = {word: sum(word in text for text in texts) for word in ("网传", "核实")}
    assert {word: found.texts[found.words.index(word)] for word in holders} == holders


def test_words_come_by_association_and_not_by_count(train):
    found = find_candidates(sources_of(train))
    best = found.scores.max(axis=1)
    assert (np.diff(best) <= 0).all() and (np.diff(found.counts) > 0).any()
    assert found.words[found.top(0, 1)[0]] in ("核实", "记者") and found.words[found.top(1, 1)[0]] == "网传"


def test_without_labels_words_come_by_count(test):
    found = find_candidates(sources_of(test))
    assert found.labels == [] and found.by_class.shape[1] == 0
    assert (np.diff(found.counts) <= 0).all() and found.words[0] == "网传"


def test_files_count_side_by_side_and_only_labelled_ones_decide_the_association(train, test):
    alone, both = find_candidates(sources_of(train)), find_candidates(sources_of(train, test))
    for word in alone.words:
        i, j = alone.words.index(word), both.words.index(word)
        assert both.scores[j].tolist() == pytest.approx(alone.scores[i].tolist())
        assert both.by_source[j].tolist()[0] == alone.counts[i]
    assert both.by_source[both.words.index("网传"), 1] == 2
    assert both.counts.sum() > alone.counts.sum()


def test_labels_of_several_files_are_united(tmp_path):
    first = labelled(tmp_path / "a.csv", TEXTS[:6], [*"111100"])
    second = labelled(tmp_path / "b.csv", TEXTS[2:6], [*"1100"])
    third = labelled(tmp_path / "c.csv", TEXTS[2:6], ["谣言", "谣言", "真", "真"])
    assert find_candidates(sources_of(first, second)).labels == [0, 1]
    united = find_candidates(sources_of(first, third))
    assert united.labels == ["0", "1", "真", "谣言"]
    alone = [find_candidates(sources_of(path)).by_class.sum(axis=0) for path in (first, third)]
    assert united.by_class.sum(axis=0).tolist() == np.concatenate(alone).tolist()


def test_pairs_count_both_texts(tmp_path):
    path = str(write_csv(tmp_path / "pairs.csv", [{"a": TEXTS[i], "b": TEXTS[7 - i]} for i in range(8)]))
    found = find_candidates([open_source(path, ["a", "b"], None)])
    counts = keyword_counts(TEXTS[:8])
    assert dict(zip(found.words, found.counts, strict=True)) == {word: 2 * n for word, n in counts.items()}


def test_rare_words_are_left_out(train):
    every = find_candidates(sources_of(train))
    found = find_candidates(sources_of(train), min_count=3)
    assert 0 < len(found.words) == (every.counts >= 3).sum() < len(every.words)


@settings(max_examples=20)
@given(size=st.integers(1, 60))
def test_counts_do_not_depend_on_how_the_texts_are_dealt(tmp_path_factory, size):
    path = labelled(tmp_path_factory.mktemp("dealt") / "train.csv")
    whole = find_candidates(sources_of(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raytrain.keywords.candidates.ALONE", 100)
        patch.setattr(raytrain.keywords.sources, "chunks_of", lambda texts: chunks_of(texts, size))
        dealt = find_candidates(sources_of(path))
    assert (dealt.words, dealt.texts.tolist()) == (whole.words, whole.texts.tolist())
    assert np.array_equal(dealt.scores, whole.scores) and np.array_equal(dealt.by_class, whole.by_class)


@given(st.lists(st.text(max_size=5), max_size=9), st.integers(1, 12))
def test_chunks_are_the_texts_in_order(texts, size):
    chunks = [texts[chunk] for chunk in chunks_of(texts, size)]
    assert [text for chunk in chunks for text in chunk] == texts
    assert all(
        chunk and (len(chunk) == 1 or sum(len(text) + 1 for text in chunk) <= size) for chunk in chunks
    )


@pytest.mark.slow
def test_result_does_not_depend_on_the_number_of_workers(tmp_path, local_ray, train, test, monkeypatch):
    monkeypatch.setattr(raytrain.keywords.sources, "chunks_of", lambda texts: chunks_of(texts, 20))
    written = []
    for workers in (None, 1, 2):
        alone = 100 if workers is None else 0
        monkeypatch.setattr("raytrain.keywords.candidates.ALONE", alone)
        done = []
        found = find_candidates(sources_of(train, test), workers=workers, on_progress=done.append)
        assert len(done) > 3 and done[-1] == len(TEXTS) + 3 and done == sorted(done)
        path = tmp_path / f"{workers}.csv"
        write_candidates(found, path)
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]


def test_file_has_a_column_per_class_and_two_to_fill(tmp_path, train):
    found = find_candidates(sources_of(train))
    write_candidates(found, tmp_path / "out.csv")
    rows = read_rows(tmp_path / "out.csv")
    assert list(rows[0]) == [
        *("word", "count", "texts", "count_0", "count_1", "association", "tells", "keep", "class")
    ]
    assert [row["word"] for row in rows] == found.words
    by_word = {row["word"]: row for row in rows}
    assert by_word["网传"]["tells"] == "1" and float(by_word["网传"]["association"]) > 0
    assert {row["keep"] + row["class"] for row in rows} == {""}


def test_several_files_have_a_column_each(tmp_path, train, test):
    write_candidates(find_candidates(sources_of(train, test)), tmp_path / "out.csv")
    rows = read_rows(tmp_path / "out.csv")
    assert all(int(row["in_train"]) + int(row["in_test"]) == int(row["count"]) for row in rows)


def test_a_file_without_labels_has_no_association(tmp_path, test):
    write_candidates(find_candidates(sources_of(test)), tmp_path / "out.csv")
    assert list(read_rows(tmp_path / "out.csv")[0]) == ["word", "count", "texts", "keep", "class"]


def test_what_a_spreadsheet_would_rewrite_is_kept_from_it_and_read_as_it_was(tmp_path):
    path = tmp_path / "out.csv"
    words = ["007", "3.10", "1e5", "true", "好"]
    counts = np.ones((5, 2), np.int64)
    found = Candidates(words, counts[:, 0], counts, counts[:, :1], counts, ["1.0", "2"], ["a"])
    write_candidates(found, path)
    rows = read_rows(path)
    assert [row["word"] for row in rows] == ["'007", "'3.10", "'1e5", "true", "好"]
    assert {row["tells"] for row in rows} == {"'1.0"}
    header, *lines = path.read_text(encoding="utf-8-sig").replace("\ntrue,", "\nTRUE,").splitlines()
    marked = [header, *(f"{line[:-1]}x,'1.0" for line in lines), ""]
    path.write_text("\n".join(marked), encoding="utf-8")
    assert read_marks(path) == dict.fromkeys(words, ("x", "'1.0"))  # as it stands, and is written again
    assert write_candidates(found, path) == 5 and len(read_rows(path)) == 5
    assert read_kept_words(path, ["1.0", "2"]) == dict.fromkeys(words, 0)


def test_marks_of_an_earlier_file_stay(tmp_path, train):
    path = tmp_path / "out.csv"
    found = find_candidates(sources_of(train))
    assert write_candidates(found, path) == 0
    text = path.read_text(encoding="utf-8-sig").splitlines()
    text = [line[:-1] + "x,1" if line.startswith("网传,") else line for line in text]
    path.write_text("\n".join([*text, "旧词,0,0,0,0,,,x,0", ""]), encoding="utf-8")
    assert write_candidates(found, path) == 2
    assert read_marks(path) == {"网传": ("x", "1"), "旧词": ("x", "0")}
    assert len(read_rows(path)) == len(found.words) + 1


def test_a_file_that_is_none_of_ours_is_not_overwritten(tmp_path, train):
    path = tmp_path / "out.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="choose another name"):
        write_candidates(find_candidates(sources_of(train)), path)
    assert path.read_text(encoding="utf-8") == "a,b\n1,2\n"
