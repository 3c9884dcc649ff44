import io

import numpy as np
import pytest
from rich.console import Console

from raytrain.matching.best import Found
from raytrain.matching.measures import Measures, mean_reciprocal_rank, ranks_of, recall
from raytrain.matching.texts import Texts

CANDIDATES = Texts([10, 11, 12], ["a", "b", "c"])
QUERIES = Texts([0, 1, 2, 3], [*"wxyz"], ["10", "", "12", "11"])


def test_measures_are_those_computed_by_hand():
    ranks = ranks_of([["a", "b"], ["b", "a", "a"], ["c"], ["d", "e", "f", "g"]], ["a", "a", "a", "g"])
    assert ranks.tolist() == [1, 2, 0, 4]
    assert (recall(ranks, 1), recall(ranks, 2), recall(ranks, 4)) == (0.25, 0.5, 0.75)
    assert mean_reciprocal_rank(ranks) == (1 + 1 / 2 + 0 + 1 / 4) / 4


def test_stages_are_measured_piece_by_piece_and_queries_without_an_answer_left_out():
    measures = Measures(QUERIES, CANDIDATES)
    for part, rows in [(slice(0, 2), [[0, 1], [0, 1]]), (slice(2, 4), [[1, 2], [0, 2]])]:
        measures.add(part, {"words": Found(np.array(rows), np.ones((2, 2), np.float32))})
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(measures.table((2, 50)))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert " ".join(lines[0]) == "the right candidate, of 3 queries"
    assert lines[1:] == [
        ["stage", "recall@1", "recall@2", "recall@50", "MRR"],
        ["words", "0.3333", "0.6667", "0.6667", "0.5000"],
    ]


def test_what_has_nothing_in_common_with_a_query_was_not_found():
    measures = Measures(Texts([0], ["w"], ["11"]), CANDIDATES)
    measures.add(slice(0, 1), {"words": Found(np.array([[0, 1]]), np.array([[0.5, 0]], np.float32))})
    assert [list(column.cells) for column in measures.table((2,)).columns][1:] == [["0.0000"]] * 3


@pytest.mark.parametrize(
    ("ids", "right", "rank"),
    [(["1.1", "1.0"], "1.0", 2), (["1", "1.0"], "1.0", 2), (["2", "1"], "1.0", 2), (["1", "1.0"], "1", 1)],
)
def test_an_id_is_looked_up_as_it_stands_before_it_is_a_whole_number(ids, right, rank):
    measures = Measures(Texts([0], ["w"], [right]), Texts(ids, ["a", "b"]))
    measures.add(slice(0, 1), {"words": Found(np.array([[0, 1]]), np.ones((1, 2), np.float32))})
    assert list(measures.table((1,)).columns[-1].cells) == [f"{1 / rank:.4f}"]


def test_blanks_around_ids_are_no_part_of_them():
    measures = Measures(Texts([0], ["w"], ["11"]), Texts(["10", " 11 "], ["a", "b"]))
    measures.add(slice(0, 1), {"words": Found(np.array([[1]]), np.ones((1, 1), np.float32))})
    assert list(measures.table((1,)).columns[1].cells) == ["1.0000"]
