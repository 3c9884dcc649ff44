"""The n-gram classifier beside scikit-learn's own, and its way through a file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tiny_run import make_rows

from raytrain.errors import ArtifactError
from raytrain.ngrams.tfidf import (
    ARRAYS,
    MOST_NGRAMS,
    NgramClassifier,
    fit_classifier,
    join_texts,
    read_classifier,
)

NUM_TRAINED = 60


def rows_of(num_classes):
    """Texts and labels to learn from, and texts to predict, some of which hold nothing that is known."""
    rows = make_rows(90, num_classes, seed=3)
    texts, labels = [row["text"] for row in rows], np.array(["abc".index(row["label"]) for row in rows])
    new = [*texts[NUM_TRAINED:], "", " ", "ABC\x00\n", "龘龘龘", texts[0].replace(texts[0][0], "é")]
    return texts[:NUM_TRAINED], labels[:NUM_TRAINED], new


def expected_proba(texts, labels, new, class_weight=None):
    """What the library's vectorizer and regression say, put together by its own means."""
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True, max_features=300_000
    )
    regression = LogisticRegression(C=10, max_iter=1000, class_weight=class_weight)
    regression.fit(vectorizer.fit_transform(texts), labels)
    return regression.predict_proba(vectorizer.transform(new))


@pytest.fixture(scope="module", params=[2, 3], ids=["two", "three"])
def fitted(request):
    texts, labels, new = rows_of(request.param)
    return request.param, fit_classifier(texts, labels, request.param), new


def through_a_file(classifier, num_classes):
    return read_classifier(load(save(classifier.arrays())), num_classes, "a.safetensors")


# ── what it says ───────────────────────────────────────────────────────────────────────────────────


def test_it_says_what_the_librarys_own_pipeline_says(fitted):
    num_classes, classifier, new = fitted
    texts, labels, _ = rows_of(num_classes)
    expected = expected_proba(texts, labels, new)
    np.testing.assert_allclose(classifier.predict_proba(new), expected, rtol=0, atol=1e-12)
    assert classifier.predict_proba(new).shape == (len(new), num_classes)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_weights_of_classes_are_the_regressions(num_classes):
    texts, labels, new = rows_of(num_classes)
    weights = (5.0, 1.0, 0.5)[:num_classes]
    said = fit_classifier(texts, labels, num_classes, weights).predict_proba(new)
    expected = expected_proba(texts, labels, new, dict(enumerate(weights)))
    np.testing.assert_allclose(said, expected, rtol=0, atol=1e-12)
    assert said[:, 0].mean() > fit_classifier(texts, labels, num_classes).predict_proba(new)[:, 0].mean()


def test_texts_without_a_known_ngram_all_get_the_intercept(fitted):
    _, classifier, _ = fitted
    said = classifier.predict_proba(["", "龘", "\ud800", "XYZ"])
    assert (said == said[0]).all()


def test_texts_that_share_nothing_are_given_the_shares_of_the_classes():
    labels = np.array([0, 0, 0, 1, 2])
    shares = fit_classifier(list("甲乙丙丁戊"), labels, 3)
    np.testing.assert_allclose(shares.predict_proba(["甲", ""]), [[0.6, 0.2, 0.2]] * 2)
    weighed = fit_classifier(list("甲乙丙丁"), np.array([0, 0, 0, 1]), 2, (1.0, 3.0))
    np.testing.assert_allclose(weighed.predict_proba(["甲"]), [[0.5, 0.5]])
    for classifier, num_classes in ((shares, 3), (weighed, 2)):
        assert through_a_file(classifier, num_classes).predict_proba(["甲"]).shape == (1, num_classes)


@settings(max_examples=40)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_a_text_is_judged_alike_whatever_its_neighbours(texts):
    classifier = NgramClassifier(
        ["a", "好", "\n", "0"], np.array([1, 2, 1.5, 1.2]), np.array([[0.5, -1, 3, 2]]), np.array([0.1])
    )
    together = classifier.predict_proba([*texts, "好a0\n"])
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    np.testing.assert_array_equal(together[:-1], alone)


def test_pairs_are_joined_by_a_blank():
    assert join_texts([["甲", "乙"], ["a", ""]]) == ["甲 a", "乙 "]
    assert join_texts([["甲", "乙"]]) == ["甲", "乙"]


# ── on disk ────────────────────────────────────────────────────────────────────────────────────────


def test_rounded_to_float32_it_decides_alike(fitted):
    num_classes, classifier, new = fitted
    kept = through_a_file(classifier, num_classes)
    said, expected = kept.predict_proba(new), classifier.predict_proba(new)
    np.testing.assert_allclose(said, expected, rtol=0, atol=1e-6)
    apart = np.sort(expected, axis=1)[:, -1] - np.sort(expected, axis=1)[:, -2] > 1e-6
    assert apart.sum() > 20
    np.testing.assert_array_equal(said.argmax(1)[apart], expected.argmax(1)[apart])
    assert set(kept.arrays()) == set(ARRAYS)


@settings(max_examples=60)
@given(st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=30), st.integers(2, 4), st.data())
def test_any_ngrams_come_back_from_a_file(ngrams, num_classes, data):
    number = st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False)
    size, outputs = len(ngrams), 1 if num_classes == 2 else num_classes
    drawn = data.draw(st.lists(number, min_size=outputs, max_size=outputs))
    coef = np.outer(np.ones(outputs), np.arange(size)).astype(np.float32)
    written = NgramClassifier(ngrams, np.ones(size, np.float32), coef, np.array(drawn, np.float32))
    read = through_a_file(written, num_classes)
    assert read.ngrams == ngrams
    for name in ("idf", "coef", "intercept"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert np.isfinite(read.predict_proba(["a", "", "".join(ngrams)])).all()


def bytes_of(text):
    return np.frombuffer(text, np.uint8)


NGRAMS = "a\xff".encode("latin-1") + "好".encode() + b"\xff"
WHOLE = {
    "ngrams": bytes_of(NGRAMS),
    "idf": np.ones(2, np.float32),
    "coef": np.ones((1, 2), np.float32),
    "intercept": np.zeros(1, np.float32),
}


def test_what_fits_is_read():
    assert read_classifier(WHOLE, 2, "a.safetensors").ngrams == ["a", "好"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ngrams": None}, "expected the arrays ngrams, idf, coef, intercept; found coef, idf, intercept"),
        ({"more": np.zeros(1)}, "found coef, idf, intercept, more, ngrams"),
        ({"idf": np.ones(3, np.float32)}, "coef: expected (1, 3) float32, found (1, 2) float32"),
        ({"idf": np.ones(2)}, "idf: expected (2,) float32, found (2,) float64"),
        ({"idf": np.float32(1)}, "idf: expected (1,) float32, found () float32"),
        ({"idf": np.ones((2, 1), np.float32)}, "idf: expected (2,) float32, found (2, 1)"),
        ({"coef": np.ones((3, 2), np.float32)}, "coef: expected (1, 2) float32"),
        ({"coef": np.ones((2, 1), np.float32)}, "coef: expected (1, 2) float32"),
        ({"intercept": np.zeros(2, np.float32)}, "intercept: expected (1,) float32"),
        ({"intercept": np.zeros(1, np.int32)}, "intercept: expected (1,) float32, found (1,) int32"),
        ({"ngrams": bytes_of(NGRAMS).astype(np.int32)}, "ngrams: expected bytes"),
        ({"ngrams": bytes_of(NGRAMS)[None]}, "ngrams: expected bytes"),
        ({"ngrams": bytes_of(NGRAMS + b"b\xff")}, "expected 2, each closed by the byte 255; found 3"),
        ({"ngrams": bytes_of(b"a\xffb")}, "expected 2, each closed"),
        ({"ngrams": bytes_of(b"\xffa\xffb")}, "each closed"),
        ({"ngrams": bytes_of(b"")}, "expected 2, each closed by the byte 255; found 0"),
        ({"ngrams": bytes_of(b"a\xff\xff")}, "expected 1 to 3 characters"),
        ({"ngrams": bytes_of(b"a\xffabcd\xff")}, "expected 1 to 3 characters"),
        ({"ngrams": bytes_of(b"a\xffa\xff")}, "some repeat themselves"),
        ({"ngrams": bytes_of(b"a\xff\xe5\xa5\xff")}, "not UTF-8"),
        ({"ngrams": bytes_of(b"a\xff\xed\xa0\x80\xff")}, "not UTF-8"),  # a lone surrogate
    ],
)
def test_what_does_not_fit_is_refused(changes, said):
    arrays = {name: value for name, value in (WHOLE | changes).items() if value is not None}
    with pytest.raises(ArtifactError) as caught:
        read_classifier(arrays, 2, "a.safetensors")
    assert said in str(caught.value) and "a.safetensors" in str(caught.value)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=4) | st.just(b"\xff"), max_size=5).map(b"".join))
def test_any_bytes_are_ngrams_or_refused(text):
    try:
        ngrams = read_classifier(WHOLE | {"ngrams": bytes_of(text)}, 2, "a.safetensors").ngrams
    except ArtifactError:
        return
    assert b"".join(ngram.encode() + b"\xff" for ngram in ngrams) == text and len(set(ngrams)) == 2


def test_more_ngrams_than_are_ever_written_are_refused_before_they_are_read():
    size = MOST_NGRAMS + 1
    many = {"ngrams": bytes_of(b""), "idf": np.ones(size, "f"), "coef": np.ones((1, size), "f")}
    with pytest.raises(ArtifactError, match="at most 300,000 numbers, found 300,001"):
        read_classifier(WHOLE | many, 2, "a.safetensors")


def test_classes_of_another_number_are_refused():
    with pytest.raises(ArtifactError, match=r"coef: expected \(3, 2\) float32"):
        read_classifier(WHOLE, 3, "a.safetensors")
