import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.suspects.ranking import (
    REASONS,
    confident_joint,
    find_all_wrong,
    find_confident,
    find_conflicts,
    rank_labels,
)

NAN = float("nan")
# Of class 0 models are sure, of class 1 hardly ever: thresholds (0.9 + 0.8 + 0.4) / 3 = 0.7, and 0.5.
LABELS = np.array([0, 0, 0, 1, 1, 1])
PROBA = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8], [0.9, 0.1]])
ALONE = np.arange(6)


def made_up(seed, num_rows=60, num_classes=3):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(num_classes, 0.7), num_rows)
    return rng.integers(0, num_classes, num_rows), proba, rng.integers(0, num_rows // 2, num_rows)


def test_what_reaches_another_classs_threshold_is_confident():
    assert find_confident(LABELS, PROBA).tolist() == [False, False, True, False, False, True]
    assert confident_joint(LABELS, PROBA).tolist() == [[2, 1], [1, 2]]


def test_a_class_of_which_models_are_rarely_sure_is_held_to_less():
    """Row 2 is 0.6 sure of class 1; were it of class 0, which is said with 0.95, it would be no suspect."""
    swapped = np.array([[0.95, 0.05], [0.95, 0.05], [0.45, 0.55], [0.6, 0.4], [0.02, 0.98]])
    labels = np.array([0, 0, 0, 1, 1])
    thresholds = [(0.95 + 0.95 + 0.45) / 3, (0.4 + 0.98) / 2]
    assert swapped[2, 1] < thresholds[1] and swapped[3, 0] < thresholds[0]
    assert not find_confident(labels, swapped).any()
    assert confident_joint(labels, swapped).tolist() == [[2, 0], [0, 1]]


def test_models_that_agree_with_a_label_do_not_accuse_it():
    """Class 1 has so low a threshold that row 0 reaches it; and class 0 so high a one that it does not."""
    labels = np.array([0, 0, 0, 1, 1])
    proba = np.array([[0.6, 0.4], [0.95, 0.05], [0.95, 0.05], [0.7, 0.3], [0.75, 0.25]])
    assert confident_joint(labels, proba)[0].tolist() == [2, 1]
    assert not find_confident(labels, proba).any()


def test_of_two_thresholds_that_are_reached_the_likelier_class_counts():
    labels = np.array([0, 1, 2, 0])
    proba = np.array([[0.9, 0.05, 0.05], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4], [0.05, 0.45, 0.5]])
    assert confident_joint(labels, proba).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_rows_that_no_model_was_asked_about_count_nowhere():
    labels, proba = np.append(LABELS, 0), np.vstack([PROBA, [NAN, NAN]])
    assert find_confident(labels, proba).tolist() == [*find_confident(LABELS, PROBA).tolist(), False]
    assert confident_joint(labels, proba).tolist() == confident_joint(LABELS, PROBA).tolist()
    ranking = rank_labels(labels, proba, [proba], np.array([0, 1, 2, 3, 4, 5, 3]))
    assert 6 not in ranking.rows and 3 in ranking.rows


def test_a_class_without_rows_is_believed_of_nothing():
    labels, proba = np.zeros(2, int), np.array([[0.6, 0.4], [0.1, 0.9]])
    assert confident_joint(labels, proba).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_noise_is_found(share):
    """Models that know the truth and are asked of labels of which some were flipped."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 3000)
    flipped = rng.random(3000) < share
    labels = np.where(flipped, (truth + rng.integers(1, 3, 3000)) % 3, truth)
    logits = rng.normal(0, 1, (3000, 3)) + 4 * np.eye(3)[truth]
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = find_confident(labels, proba)
    assert flipped[found].mean() > 0.9 and found[flipped].mean() > 0.7
    joint = confident_joint(labels, proba)
    assert joint.trace() / joint.sum() == pytest.approx(1 - share, abs=0.03)
    first = rank_labels(labels, proba, [proba], np.arange(3000)).rows[: flipped.sum() // 2]
    assert flipped[first].mean() > 0.97


@given(st.integers(0, 10_000), st.permutations(range(3)))
@settings(max_examples=60)
def test_classes_may_change_their_places(seed, places):
    labels, proba, groups = made_up(seed)
    places = np.array(places)
    other = np.empty_like(proba)
    other[:, places] = proba
    one, two = (
        rank_labels(own, said, [said, said], groups)
        for own, said in ((labels, proba), (places[labels], other))
    )
    assert one.rows.tolist() == two.rows.tolist() and one.reasons.tolist() == two.reasons.tolist()
    expected = confident_joint(labels, proba)
    assert confident_joint(places[labels], other)[np.ix_(places, places)].tolist() == expected.tolist()


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_rows_may_change_their_places(seed, random):
    labels, proba, groups = made_up(seed)
    order = np.array(random.sample(range(len(labels)), len(labels)))
    one = rank_labels(labels, proba, [proba, proba], groups)
    two = rank_labels(labels[order], proba[order], [proba[order]] * 2, groups[order])
    assert order[two.rows].tolist() == one.rows.tolist() and two.reasons.tolist() == one.reasons.tolist()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=30))
def test_a_conflict_is_a_label_that_another_one_outvotes_or_equals(rows):
    labels, groups = np.array([b for _, b in rows], int), np.array([a for a, _ in rows], int)
    found = find_conflicts(labels, groups, 3)
    for place, (group, label) in enumerate(rows):
        own = rows.count((group, label))
        rivals = [rows.count((group, other)) for other in range(3) if other != label]
        assert found[place] == (max(rivals) >= own)


def test_of_five_equal_texts_the_one_with_another_label_is_a_conflict_of_two_both():
    labels, groups = np.array([0, 0, 0, 0, 1, 0, 1, 1]), np.array([3, 3, 3, 3, 3, 7, 7, 8])
    assert np.flatnonzero(find_conflicts(labels, groups, 2)).tolist() == [4, 5, 6]


def test_all_models_are_wrong_only_where_there_are_two():
    right, wrong, unasked = [0.9, 0.1], [0.1, 0.9], [NAN, NAN]
    votes = [np.array([wrong, wrong, wrong, unasked]), np.array([wrong, right, unasked, unasked])]
    assert find_all_wrong(np.zeros(4, int), votes).tolist() == [True, False, False, False]
    assert not find_all_wrong(np.zeros(4, int), votes[:1]).any()


def test_the_least_probable_label_comes_first_and_of_equal_ones_more_reasons():
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    said_of_0 = [0.99, 0.7, 0.15, 0.15, 0.9, 0.05, 0.1, 0.2, 0.3]
    proba = np.array([[value, 1 - value] for value in said_of_0])
    groups = np.array([0, 1, 2, 3, 4, 3, 6, 7, 8])
    ranking = rank_labels(labels, proba, [proba], groups)
    assert ranking.rows.tolist() == [3, 2, 5]
    np.testing.assert_allclose(ranking.proba, [0.15, 0.15, 0.95])
    told = [[name for name, held in zip(REASONS, own, strict=True) if held] for own in ranking.reasons]
    assert told == [["confident", "conflict"], ["confident"], ["conflict"]]
    assert ranking.count() == {"confident": 2, "conflict": 2, "all_wrong": 0}
    assert ranking.first(2).rows.tolist() == [3, 2] and ranking.first(None).rows.tolist() == [3, 2, 5]


def test_labels_that_a_person_has_looked_at_are_no_suspects():
    labels, proba = LABELS, PROBA
    judged = np.array([False, False, True, False, False, False])
    assert rank_labels(labels, proba, [proba], ALONE).rows.tolist() == [5, 2]
    assert rank_labels(labels, proba, [proba], ALONE, judged).rows.tolist() == [5]


def test_of_many_classes_an_unsure_other_class_is_no_defence():
    """The first label is the less probable one, though no other class stands out."""
    proba = np.array([[0.01, 0.4, 0.3, 0.29], [0.2, 0.8, 0.0, 0.0]])
    ranking = rank_labels(np.zeros(2, int), proba, [proba, proba], np.arange(2))
    assert ranking.rows.tolist() == [0, 1]
