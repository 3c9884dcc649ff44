import numpy as np
import pytest

from raytrain.ngrams.baseline import BASELINES, predict_baselines

GOOD = ["房间干净整洁", "服务热情周到", "早餐很好吃", "下次还会再来", "位置方便安静"]
BAD = ["房间又脏又吵", "服务冷淡极了", "早餐难以下咽", "再也不会来了", "位置偏僻难找"]
TEXTS = [f"{first}，{second}" for group in (GOOD, BAD) for first in group for second in group]
LABELS = np.repeat([1, 0], 25)
FOLDS = np.arange(50) % 5


def predict_folds(texts, labels, folds, num_classes):
    """Each baseline's probabilities of all rows, fold after fold."""
    oof = {name: np.full((len(texts), num_classes), np.nan) for name in BASELINES}
    for fold in np.unique(folds):
        said = predict_baselines(texts, labels, folds != fold, folds == fold, num_classes)
        for name, proba in said.items():
            oof[name][folds == fold] = proba
    return oof


@pytest.fixture(scope="module")
def oof():
    return predict_folds(TEXTS, LABELS, FOLDS, 2)


def test_each_row_has_probabilities_of_each_baseline(oof):
    assert tuple(oof) == BASELINES
    for proba in oof.values():
        assert proba.shape == (50, 2)
        assert proba.sum(axis=1) == pytest.approx(1)


def test_majority_is_the_share_of_each_class_in_training():
    labels = np.array([0, 0, 1, 0, 1, 1])
    oof = predict_folds(["文本"] * 6, labels, np.array([0, 0, 0, 1, 1, 1]), 2)
    assert oof["majority"][:, 0] == pytest.approx([1 / 3] * 3 + [2 / 3] * 3)


def test_ngrams_tell_the_classes_apart(oof):
    assert (oof["tfidf_logistic"].argmax(1) == LABELS).mean() > 0.9


def test_no_fold_sees_its_valid_rows(oof):
    labels, texts = LABELS.copy(), list(TEXTS)
    labels[0], texts[0] = 0, "换了一句话"
    changed = predict_folds(texts, labels, FOLDS, 2)
    neighbours = np.flatnonzero(FOLDS == 0)[1:]
    for name in BASELINES:
        assert np.array_equal(changed[name][neighbours], oof[name][neighbours])
        assert not np.array_equal(changed[name][FOLDS == 1], oof[name][FOLDS == 1])


def test_texts_that_share_nothing_fall_back_to_the_majority():
    oof = predict_folds(["甲", "乙", "丙", "丁"], np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), 2)
    assert np.array_equal(oof["tfidf_logistic"], oof["majority"])


def test_three_classes():
    texts, labels = TEXTS + ["天气预报说明天下雨"] * 10, np.append(LABELS, [2] * 10)
    oof = predict_folds(texts, labels, np.arange(60) % 5, 3)
    assert oof["tfidf_logistic"].shape == (60, 3)
    assert (oof["tfidf_logistic"][50:].argmax(1) == 2).all()


def test_the_same_again_is_the_same(oof):
    again = predict_folds(TEXTS, LABELS, FOLDS, 2)
    assert all(np.array_equal(again[name], oof[name]) for name in BASELINES)
