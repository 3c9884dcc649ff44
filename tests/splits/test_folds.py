import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.errors import ArtifactError
from raytrain.splits.assign import assign_folds
from raytrain.splits.folds import NO_FOLD, UNLABELLED, Folds, read_folds, write_folds

some_folds = st.lists(st.integers(0, 3), min_size=1, max_size=40).map(np.array)


def masks(folds, fold, repeat=0):
    return folds.is_train(repeat, fold).tolist(), folds.is_valid(repeat, fold).tolist()


@given(some_folds, st.integers(0, 3))
def test_at_random_a_fold_learns_from_all_that_it_is_not_judged_by(valid, fold):
    is_train, is_valid = masks(Folds(valid[None]), fold)
    assert is_valid == (valid == fold).tolist() and is_train == (valid != fold).tolist()


def test_each_repeat_has_its_own_folds():
    folds = Folds(np.array([[0, 1, 0], [1, 1, 0]]))
    assert masks(folds, 0, 1) == ([True, True, False], [False, False, True])
    assert folds.num_folds == 2


def test_in_time_a_fold_learns_from_what_lies_before_it():
    folds = Folds(np.array([[1, NO_FOLD, 0, 1, 2]]), np.arange(5))
    assert masks(folds, 0) == ([False, True, False, False, False], [False, False, True, False, False])
    assert masks(folds, 1) == ([False, True, True, False, False], [True, False, False, True, False])
    assert masks(folds, 2) == ([True, True, True, True, False], [False, False, False, False, True])
    assert folds.covered.tolist() == [True, False, True, True, True]
    assert folds.train_masks().sum(axis=1).tolist() == [1, 2, 4]


def test_in_time_no_fold_learns_from_a_group_that_it_is_judged_by():
    """Rows 0 and 3 belong together, and 1 and 4; of row 3 the last fold may learn, and of row 0."""
    folds = Folds(np.array([[NO_FOLD, 0, 0, 1, 2]]), np.array([0, 1, 2, 0, 1]))
    assert masks(folds, 1)[0] == [False, True, True, False, False]
    assert masks(folds, 2)[0] == [True, False, True, True, False]
    assert [folds.num_left_out(0, fold) for fold in range(3)] == [0, 1, 1]


@pytest.mark.parametrize("groups", [None, np.arange(4)], ids=["at random", "in time"])
def test_texts_without_a_label_are_in_no_fold_and_learned_from_by_none(groups):
    folds = Folds(np.array([[NO_FOLD if groups is not None else 0, 0, 1, 1]]), groups)
    more = folds.with_unlabelled(2)
    assert more.valid[0, 4:].tolist() == [UNLABELLED] * 2 and more.num_folds == 2
    for fold in range(2):
        for mask, own in zip(masks(more, fold), masks(folds, fold), strict=True):
            assert mask == [*own, False, False]


def folds_of(repeats):
    return Folds(assign_folds(np.repeat([0, 1], 10), 4, repeats, 0))


ID_KINDS = {
    "numbers": pa.array(range(20), pa.int64()),
    "strings": pa.array([f"微博{i}" for i in range(20)]),
}


@pytest.mark.parametrize("ids", ID_KINDS.values(), ids=ID_KINDS.keys())
@pytest.mark.parametrize("repeats", [1, 3])
def test_file_reads_back(ids, repeats):
    folds = folds_of(repeats)
    read = read_folds(write_folds(folds, ids), ids)
    assert read.valid.dtype == folds.valid.dtype and read.groups is None
    assert np.array_equal(read.valid, folds.valid)


@pytest.mark.parametrize("ids", ID_KINDS.values(), ids=ID_KINDS.keys())
def test_file_of_folds_in_time_reads_back(ids):
    folds = Folds(np.arange(20, dtype=np.int32)[None] // 5 - 1, np.arange(20) // 2)
    read = read_folds(write_folds(folds, ids), ids)
    assert np.array_equal(read.valid, folds.valid) and np.array_equal(read.groups, folds.groups)
    table = pq.read_table(io.BytesIO(write_folds(folds, ids)))
    assert table.column_names == ["id", "fold", "repeat", "group"]
    assert table["fold"].to_pylist()[:6] == [NO_FOLD] * 5 + [0]


def test_groups_at_random_are_kept_in_the_file_and_take_no_row_from_any_fold():
    groups = np.repeat(np.arange(10), 2)
    valid = assign_folds(np.repeat([0, 1], 10), 5, 1, 0, groups)
    bound, ids = Folds(valid, groups), ID_KINDS["numbers"]
    assert not bound.in_time and np.array_equal(bound.train_masks(), Folds(valid).train_masks())
    assert bound.num_left_out(0, 1) == 0
    read = read_folds(write_folds(bound, ids), ids)
    assert np.array_equal(read.groups, groups) and not read.in_time


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-9], lambda data: data[20:], lambda data: b"{}"]
)
def test_damaged_file(damage):
    ids = ID_KINDS["strings"]
    data = write_folds(folds_of(1), ids)
    with pytest.raises(ArtifactError, match=r"folds\.parquet is damaged"):
        read_folds(damage(data), ids)


@pytest.mark.parametrize("columns", [["id", "fold"], ["fold", "repeat"], ["id", "repeat"]])
def test_file_that_lacks_a_column(columns):
    ids = ID_KINDS["strings"]
    table = pq.read_table(io.BytesIO(write_folds(folds_of(1), ids)))
    sink = io.BytesIO()
    pq.write_table(table.select(columns), sink)
    with pytest.raises(ArtifactError, match=r"folds\.parquet is damaged"):
        read_folds(sink.getvalue(), ids)


@pytest.mark.parametrize(
    "others",
    [
        ID_KINDS["strings"][::-1],
        ID_KINDS["strings"][:19],
        pa.concat_arrays([ID_KINDS["strings"], pa.array(["多"])]),
        ID_KINDS["numbers"],
    ],
    ids=["other order", "fewer", "more", "other type"],
)
def test_file_of_other_rows_is_refused(others):
    data = write_folds(folds_of(2), ID_KINDS["strings"])
    with pytest.raises(ArtifactError, match="other rows"):
        read_folds(data, others)


def test_file_of_no_rows_is_damaged():
    with pytest.raises(ArtifactError):
        read_folds(
            write_folds(Folds(np.zeros((1, 0), np.int32)), pa.array([], pa.int64())), pa.array([], pa.int64())
        )
