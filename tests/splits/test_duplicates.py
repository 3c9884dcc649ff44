import json

import numpy as np
import pytest
from text_files import write, write_csv
from tiny_run import silent_console, silent_stages

from raytrain.config.load import load_config
from raytrain.crossval.prepare import read_texts
from raytrain.errors import CorpusError, TimeBudgetError
from raytrain.splits.duplicates import Duplicates, copies_line, treat_duplicates
from raytrain.stages import Stages

RUMOUR = "明天全城停水，请大家相互转告，多存一些水"
OTHERS = ["今天天气很好", "昨天下了一场大雨", "后天有一场球赛", "地铁二号线晚点"]
ROWS = [(RUMOUR, "假"), (OTHERS[0], "真"), (f"{RUMOUR}！", "假"), (OTHERS[1], "真"), (OTHERS[1], "真")]
ROWS += [(OTHERS[2], "假"), (f"{RUMOUR}。", "真"), (OTHERS[3], "真")]
GROUPS = [0, 1, 0, 3, 3, 5, 0, 7]


def treat(path, *overrides):
    config = load_config(None, [f"data.path={path}", "folds.num_folds=2", *overrides])
    corpus = read_texts(config, silent_stages())
    return corpus, *treat_duplicates(config, corpus, silent_stages())


@pytest.fixture
def path(tmp_path):
    return write_csv(tmp_path / "a.csv", ROWS)


def test_groups_are_found_and_no_row_is_lost(path):
    read, corpus, found = treat(path)
    assert corpus is read
    assert found.groups.tolist() == GROUPS and found.num_mixed == 1
    assert found.line() == (
        "folds: 5 of 8 rows are near-duplicates of others, in 2 groups; each group lies in one fold "
        "(folds.duplicates=group); groups of several labels: 1; suspects.csv of the run lists those "
        "that look wrong, for data.labels to correct"
    )
    assert found.summary() == {"policy": "group", "rows": 5, "groups": 2, "groups_of_several_labels": 1}
    assert json.loads(json.dumps(found.summary())) == found.summary()


def test_of_dropped_groups_the_first_row_stays_and_the_others_are_counted(path):
    read, corpus, found = treat(path, "folds.duplicates=drop")
    assert corpus.table["id"].to_pylist() == [0, 1, 3, 5, 7]
    assert corpus.dropped == {"near_duplicate": 3} and read.dropped == {}
    assert corpus.summary()["dropped"] == {"near_duplicate": 3}
    assert found.line() == (
        "folds: 5 of 8 rows are near-duplicates of others, in 2 groups; the first row of each stays "
        "(folds.duplicates=drop); groups of several labels: 1; suspects.csv of the run lists those "
        "that look wrong, for data.labels to correct"
    )


def test_what_is_kept_is_not_looked_for(path):
    read, corpus, found = treat(path, "folds.duplicates=keep")
    assert corpus is read and found is None


@pytest.mark.parametrize("policy", ["group", "drop"])
def test_a_corpus_without_near_duplicates_is_told_as_before(tmp_path, policy):
    rows = [(text, "真假"[number % 2]) for number, text in enumerate(OTHERS)]
    read, corpus, found = treat(write_csv(tmp_path / "a.csv", rows), f"folds.duplicates={policy}")
    assert corpus is read and found.line() == ""
    assert found.summary() == {"policy": policy, "rows": 0, "groups": 0, "groups_of_several_labels": 0}


def test_pairs_are_near_duplicates_where_both_texts_are(tmp_path):
    rows = [(RUMOUR, text, number % 2) for number, text in enumerate([*OTHERS, OTHERS[2]])]
    _, _, found = treat(write_csv(tmp_path / "a.csv", rows, ("q", "a", "label")), "data.text=[q,a]")
    assert found.groups[4] == 2


@pytest.mark.parametrize("policy", ["group", "drop"])
def test_a_taggers_texts_have_no_labels_to_differ(tmp_path, policy):
    sentence = "".join(f"{char} O\n" for char in RUMOUR) + "北 B-LOC\n京 I-LOC\n"
    texts = "\n".join([sentence, "我 O\n在 O\n北 B-LOC\n京 I-LOC\n", f"{sentence}。 O\n"])
    path = write(tmp_path / "a.bio", texts)
    _, corpus, found = treat(path, "task=tag", f"folds.duplicates={policy}")
    assert found.groups.tolist() == [0, 1, 0]
    assert found.summary() == {"policy": policy, "rows": 2, "groups": 1}
    assert corpus.num_rows == len(corpus.tags[1]) - 1 == (2 if policy == "drop" else 3)
    assert corpus.tags[1][-1] == len("".join(corpus.all_texts()))


def test_a_class_of_which_too_little_stays_is_named(tmp_path):
    rows = [*ROWS[:2], *ROWS[2:5], (f"{RUMOUR}。", "假")]
    path = write_csv(tmp_path / "a.csv", rows)
    with pytest.raises(CorpusError, match=r"a\.csv") as caught:
        treat(path, "folds.duplicates=drop")
    [problem] = caught.value.problems
    assert "at least 2 rows" in problem and "found 1 of '假'" in problem
    assert "folds.duplicates=group" in problem


def test_the_time_budget_ends_it(path):
    config = load_config(None, [f"data.path={path}", "folds.num_folds=2"])
    corpus = read_texts(config, silent_stages())
    with pytest.raises(TimeBudgetError, match="looking for near-duplicates"):
        treat_duplicates(config, corpus, Stages(silent_console(), deadline=0))


def test_thousands_are_told_with_commas():
    groups = np.zeros(3000, int)
    assert Duplicates("group", groups, None).line().startswith("folds: 3,000 of 3,000 rows are near-dup")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("甲", 0), ("甲 ", 0)], ""),
        (
            [("甲", 0), ("甲", 0)],
            "  1 row with the very text of an earlier row; folds.duplicates=drop",
        ),
        (
            [("甲", 0), ("甲", 1), ("乙", 1), ("乙", 1), ("乙", 0)],
            "  3 rows with the very text of an earlier row; texts of several labels: 2; suspects.csv",
        ),
    ],
)
def test_exact_copies_are_told_and_how_many_disagree(tmp_path, rows, told):
    path = write_csv(tmp_path / "a.csv", [*rows, ("丙", 0), ("丁", 1), ("戊", 1)])
    config = load_config(None, [f"data.path={path}", "folds.num_folds=2", "folds.duplicates=keep"])
    line = copies_line(read_texts(config, silent_stages()))
    assert line.startswith(told) and bool(line) == bool(told)
