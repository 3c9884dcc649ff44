import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import write_csv

import raytrain.keywords.sources
from raytrain.errors import CorpusError
from raytrain.files.reading import Reading
from raytrain.keywords.candidates import find_candidates
from raytrain.keywords.sources import (
    Source,
    agree_on_labels,
    chunks_of_sources,
    open_source,
    short_names,
)
from raytrain.text.ragged import chunks_of


@pytest.fixture
def train(tmp_path):
    rows = [
        {"text": "网传停水", "label": "1"},
        {"text": "记者核实", "label": "0"},
        {"text": "停水", "label": "1"},
    ]
    return str(write_csv(tmp_path / "train.csv", rows))


def held(source):
    """All texts, second texts and label indices of a source, in order."""
    texts, pairs, indices = [], [], []
    for part, second, labels in source.rows():
        texts += part
        pairs += second or []
        indices += [] if labels is None else labels.tolist()
    return texts, pairs, indices


def test_bad_rows_of_a_labelled_file_are_told_before_anything_is_counted(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("text,label\n好,1\n坏,\n,0\n", encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        open_source(str(path), ["text"], "label")
    assert len(caught.value.problems) == 2
    assert all("data.drop=[" in problem for problem in caught.value.problems)
    with pytest.raises(CorpusError, match=r"--drop empty_text"):
        open_source(str(path), ["text"], "label", reading=Reading(by_flags=True))
    assert open_source(str(path), ["text"], None).num_rows == 3


def test_an_unknown_text_column_is_told_with_what_was_likely_meant(train):
    with pytest.raises(CorpusError, match="did you mean 'text'"):
        open_source(train, ["txet"], "label")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_file_without_the_label_column_has_no_labels(tmp_path, name):
    lines = {"a.jsonl": '{"text": "停水"}\n', "a.csv": "text\n停水\n"}
    (tmp_path / name).write_text(lines[name], encoding="utf-8")
    assert open_source(str(tmp_path / name), ["text"], "label").labels is None


def test_a_labelled_file_has_its_labels_in_order_and_each_rows_place_among_them(train):
    source = open_source(train, ["text"], "label")
    assert (source.path, source.labels, source.num_rows) == (train, [0, 1], 3)
    assert held(source) == (["网传停水", "记者核实", "停水"], [], [1, 0, 1])


def test_a_source_can_be_read_again(train):
    for label in ("label", None):
        source = open_source(train, ["text"], label)
        assert held(source) == held(source) and len(held(source)[0]) == 3


@pytest.mark.parametrize("label", ["label", None])
def test_pairs_come_side_by_side(tmp_path, label):
    rows = [{"a": f"甲{i}", "b": f"乙{i}", "label": "xy"[i % 2]} for i in range(3)]
    source = open_source(str(write_csv(tmp_path / "pairs.csv", rows)), ["a", "b"], label)
    texts, pairs, indices = held(source)
    assert (texts, pairs) == (["甲0", "甲1", "甲2"], ["乙0", "乙1", "乙2"])
    assert indices == ([0, 1, 0] if label else [])


def test_unusable_rows_may_be_left_out(tmp_path):
    rows = [
        {"text": text, "label": label} for text, label in (("好", "1"), ("", "1"), ("坏", "0"), ("差", ""))
    ]
    path = str(write_csv(tmp_path / "a.csv", rows))
    source = open_source(path, ["text"], "label", ["empty_text", "missing_label"])
    assert (source.num_rows, held(source)[0]) == (2, ["好", "坏"])
    with pytest.raises(CorpusError, match=r"row 5, column label"):
        open_source(path, ["text"], "label", ["empty_text"])


def test_an_unlabelled_file_may_hold_empty_texts(tmp_path):
    (tmp_path / "a.txt").write_text("停水\n\n来了\n", encoding="utf-8")
    source = open_source(str(tmp_path / "a.txt"), ["text"], "label")
    assert source.labels is None and source.num_rows == len(held(source)[0])
    assert [text for text in held(source)[0] if text] == ["停水", "来了"]


@pytest.mark.parametrize("label", ["label", None])
def test_a_file_that_is_not_there_is_named(tmp_path, label):
    with pytest.raises(CorpusError, match=r"absent\.csv"):
        open_source(str(tmp_path / "absent.csv"), ["text"], label)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], []),
        (["/data/train.csv"], ["train"]),
        (["train.csv.gz", "test.jsonl"], ["train", "test"]),
        (["a/x.csv", "b/x.csv", "c/y.csv"], ["x_1", "x_2", "y"]),
        (["a/x.csv", "b/x.csv", "x_1.csv"], ["x_1_1", "x_2_2", "x_1_3"]),
        (["微博.csv", "新闻.csv"], ["微博", "新闻"]),
    ],
)
def test_files_are_known_by_their_names_and_numbered_where_these_are_alike(paths, names):
    assert short_names(paths) == names


def source_of(texts, pairs=None, labels=None, indices=None):
    rows = [(texts, pairs, None if indices is None else np.array(indices))]
    return Source("a", labels, len(texts), lambda: iter(rows))


def chunked(sources, groups):
    chunks = list(chunks_of_sources(sources, groups))
    assert all(len(texts) == len(group) > 0 for texts, group in chunks)
    return [text for texts, _ in chunks for text in texts], [int(g) for _, group in chunks for g in group]


def test_each_text_has_the_group_of_its_label_and_both_of_a_pair_have_it():
    sources = [
        source_of(["甲", "乙"], labels=["x", "y"], indices=[1, 0]),
        source_of(["丙", "丁"]),
        source_of(["戊", "己"], ["庚", "辛"], labels=[0, 1], indices=[0, 1]),
    ]
    texts, groups = chunked(sources, [{"x": 0, "y": 1}, {None: 2}, {0: 3, 1: 4}])
    assert texts == [*"甲乙丙丁戊庚己辛"]
    assert groups == [1, 0, 2, 2, 3, 3, 4, 4]


def test_a_source_without_rows_has_no_chunk():
    assert chunked([source_of([]), source_of(["甲"])], [{None: 0}, {None: 1}]) == (["甲"], [1])


@given(
    st.lists(st.tuples(st.text("停水。", max_size=6), st.integers(0, 2)), min_size=1, max_size=12),
    st.integers(1, 20),
    st.booleans(),
)
def test_texts_and_groups_do_not_depend_on_how_they_are_dealt(rows, size, in_pairs):
    texts, indices = map(list, zip(*rows, strict=True))
    source = source_of(texts, texts[::-1] if in_pairs else None, [*"abc"], indices)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raytrain.keywords.sources, "chunks_of", lambda parts: chunks_of(parts, size))
        found, groups = chunked([source], [{"a": 5, "b": 6, "c": 7}])
    if in_pairs:
        assert found[::2] == texts and found[1::2] == texts[::-1]
        assert groups[::2] == groups[1::2]
    assert groups[:: 2 if in_pairs else 1] == [5 + index for index in indices]


FLAGS = Reading(by_flags=True)


def sources_of_labels(tmp_path, *files):
    """Of each file's labels, a text each, a source."""
    paths = [tmp_path / f"{number}.csv" for number in range(len(files))]
    for path, labels in zip(paths, files, strict=True):
        write_csv(path, [{"text": f"停水{i}", "label": label} for i, label in enumerate(labels)])
    return [open_source(str(path), ["text"], "label", reading=FLAGS) for path in paths]


def test_labels_of_two_files_that_look_alike_are_refused_or_merged(tmp_path):
    sources = sources_of_labels(tmp_path, ["0", "1", "1"], ["0.0", "0.0", "1.0"], ["x"])
    with pytest.raises(CorpusError) as caught:
        agree_on_labels(sources, "label", FLAGS)
    assert len(caught.value.problems) == 2
    assert "'0.0' (2 rows), '0' (1 row)" in str(caught.value) and "--merge-labels" in str(caught.value)
    merged = agree_on_labels(sources, "label", FLAGS, merge_labels=True)
    assert [source.labels for source in merged] == [["0.0", 1], ["0.0", 1], ["x"]]
    assert "'1' is also spelt '1.0'" in merged[1].told[0] and merged[2].told == ()
    found = find_candidates(merged)
    assert found.labels == ["0.0", "1", "x"]


def test_files_of_one_class_each_have_two_together(tmp_path):
    sources = sources_of_labels(tmp_path, ["好"], ["坏"])
    assert [source.labels for source in agree_on_labels(sources, "label")] == [["好"], ["坏"]]
    with pytest.raises(CorpusError, match="found '好' alone; add rows or a file of another"):
        agree_on_labels(sources[:1], "label")


def test_files_without_labels_need_none(tmp_path):
    (tmp_path / "a.txt").write_text("停水\n", encoding="utf-8")
    source = open_source(str(tmp_path / "a.txt"), ["text"], "label")
    assert agree_on_labels([source], "label") == [source]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("text,label,label", "expected one column of this name, found 2"),
        ("text,Label,x", "did you mean 'Label'"),
        ("text,label ,x", "did you mean 'label '"),
    ],
)
def test_a_label_column_that_is_there_twice_or_almost_is_refused(tmp_path, header, message):
    (tmp_path / "a.csv").write_text(f"{header}\n好,1,1\n坏,0,1\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=message) as caught:
        open_source(str(tmp_path / "a.csv"), ["text"], "label", reading=FLAGS)
    assert "cannot be used" in caught.value.summary


def test_labels_may_begin_late_in_a_file_of_json(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "好"}\n' * 5000 + '{"text": "好", "label": 1}\n')
    with pytest.raises(CorpusError, match="expected a label") as caught:
        open_source(str(tmp_path / "a.jsonl"), ["text"], "label")
    assert len(caught.value.problems) == 5000
