from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_settings import plain_settings, plain_spec

from raytrain.folds.spec import FoldData, fold_name
from raytrain.splits.folds import UNLABELLED, Folds
from raytrain.text.rows import TextRows

SPEC = plain_spec(
    "/runs/甲/folds/finetune/r0-fold-01", name="finetune/r0-fold-01", fold=1, settings=plain_settings()
)


def data_of(folds):
    folds = np.array(folds)
    return FoldData(pa.table({}), None, pa.array(range(folds.shape[1])), None, Folds(folds))


def test_names_sort_as_repeats_and_folds_do():
    names = [fold_name(repeat, fold) for repeat in range(3) for fold in range(12)]
    assert names[:2] == ["r0-fold-00", "r0-fold-01"] and sorted(names) == names


def test_names_of_a_hundred_folds_are_all_different():
    assert len({fold_name(repeat, fold) for repeat in range(2) for fold in range(101)}) == 202


@pytest.mark.parametrize("run", ["/runs/甲", "s3://bucket/runs/甲", "/runs/folds/finetune/r0-fold-01"])
def test_the_run_of_a_fold_is_the_directory_above_its_folds(run):
    assert replace(SPEC, location=f"{run}/folds/{SPEC.name}").run == run


def test_a_fold_learns_from_the_others_rows_in_its_own_repeat():
    data = data_of([[0, 1, 2, 1, 0], [1, 0, 0, 2, 1]])
    rows = [
        [part.tolist() for part in replace(SPEC, repeat=repeat, fold=fold).rows(data)]
        for repeat, fold in ((0, 1), (1, 2))
    ]
    assert rows == [[[0, 2, 4], [1, 3]], [[0, 1, 2, 4], [3]]]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 4))
def test_no_row_is_learned_and_judged_and_none_is_left_out(assigned, fold):
    train, valid = replace(SPEC, fold=fold).rows(data_of([assigned]))
    assert sorted([*train, *valid]) == list(range(len(assigned)))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_every_row_is_judged_by_one_fold_of_a_repeat(assigned):
    data = data_of([assigned])
    judged = np.concatenate([replace(SPEC, fold=fold).rows(data)[1] for fold in range(5)])
    assert sorted(judged) == list(range(len(assigned)))


def test_a_fold_begun_again_has_another_seed_that_follows_from_its_own():
    again = [SPEC.again(number) for number in (1, 2)]
    assert again == [SPEC.again(number) for number in (1, 2)]
    seeds = {SPEC.seed, *(spec.seed for spec in again), replace(SPEC, seed=43).again(1).seed}
    assert len(seeds) == 4 and all(isinstance(seed, int) and 0 <= seed < 2**31 for seed in seeds)
    assert replace(again[0], seed=SPEC.seed) == SPEC


def test_texts_without_a_label_are_learned_by_no_fold_and_judged_by_none():
    data = data_of([[0, 1, UNLABELLED, 1, UNLABELLED]])
    assert [part.tolist() for part in replace(SPEC, fold=1).rows(data)] == [[0], [1, 3]]
    assert SPEC.unlabelled_rows(data).tolist() == [2, 4]


def test_all_rows_of_a_text_without_a_label_are_unlabelled():
    data = replace(data_of([[0, UNLABELLED, 1]]), rows=TextRows(np.array([0, 1, 1, 2])))
    assert SPEC.unlabelled_rows(data).tolist() == [1, 2]


def test_a_fold_takes_the_longer_the_more_it_runs():
    frozen = replace(SPEC, model=replace(SPEC.model, train_encoder=False))
    folds = [
        replace(SPEC, architecture="tfidf"),
        replace(frozen, hidden_states="states"),
        frozen,
        SPEC,
        replace(SPEC, settings=plain_settings(epochs=4)),
        replace(SPEC, settings=plain_settings(adversarial="fgm")),
        replace(SPEC, settings=plain_settings(adversarial="pgd")),
        replace(SPEC, settings=plain_settings(adversarial="pgd", r_drop=1.0)),
        replace(SPEC, settings=plain_settings(adversarial="pgd", r_drop=1.0, pseudo_labels=0.9)),
    ]
    work = [fold.work for fold in folds]
    assert work == sorted(work) and len(set(work)) == len(work)
    assert work[4] / work[3] == 4 / 3  # the first has three epochs
