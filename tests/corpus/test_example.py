"""The example corpus: reproducible, varied, and not to be read off a single word."""

import csv

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from raytrain.corpus.example import GENUINE, NUM_POSTS, RUMOUR, generate_posts, write_example


@pytest.fixture(scope="module")
def posts():
    return generate_posts()


@pytest.fixture(scope="module")
def texts(posts):
    return [post["text"] for post in posts]


@pytest.fixture(scope="module")
def is_rumour(posts):
    return np.array([post["label"] == RUMOUR for post in posts])


def test_same_seed_gives_the_same_bytes(tmp_path):
    write_example(tmp_path / "a.csv", 200, seed=7)
    write_example(tmp_path / "b.csv", 200, seed=7)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_other_seed_gives_other_posts():
    assert generate_posts(50, seed=1) != generate_posts(50, seed=2)


def test_file_holds_the_posts_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text("an older file")
    write_example(path, 50)
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == generate_posts(50)
    assert list(tmp_path.iterdir()) == [path]


def test_both_labels_and_their_share(posts, is_rumour):
    assert {post["label"] for post in posts} == {RUMOUR, GENUINE}
    assert 0.42 < is_rumour.mean() < 0.49


def test_number_and_lengths(texts):
    assert len(texts) == NUM_POSTS
    assert all(15 <= len(text) <= 100 for text in texts)


def test_ids_are_unique(posts):
    assert len({post["id"] for post in posts}) == len(posts)


def test_no_text_twice(texts):
    assert len(set(texts)) == len(texts)


def test_near_duplicates_exist_and_mostly_share_their_label(texts, is_rumour):
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 3)).fit_transform(texts)
    first, second = np.nonzero(np.triu((vectors @ vectors.T).toarray(), k=1) > 0.85)
    assert 60 <= len(first) <= 240
    assert (is_rumour[first] == is_rumour[second]).mean() > 0.95


@pytest.mark.parametrize("word", ["转发", "紧急", "专家", "警方", "辟谣", "谣言"])
def test_telling_words_are_about_as_frequent_on_both_sides(word, texts, is_rumour):
    holds = np.array([word in text for text in texts])
    assert 0.75 < holds[is_rumour].mean() / holds[~is_rumour].mean() < 1.33


def test_no_single_character_or_bigram_predicts_the_label(texts, is_rumour):
    counts = CountVectorizer(analyzer="char", ngram_range=(1, 2), binary=True).fit_transform(texts)
    in_rumours = np.asarray(counts[is_rumour].sum(axis=0)).ravel()
    in_genuine = np.asarray(counts[~is_rumour].sum(axis=0)).ravel()
    accuracy = (in_rumours + (~is_rumour).sum() - in_genuine) / len(texts)
    assert np.maximum(accuracy, 1 - accuracy).max() < 0.65


@pytest.mark.parametrize(("longest", "low", "high"), [(1, 0.5, 0.72), (3, 0.75, 0.92)])
def test_combinations_carry_the_label(longest, low, high, texts, is_rumour):
    train, valid, y_train, y_valid = train_test_split(
        texts, is_rumour, test_size=0.2, random_state=0, stratify=is_rumour
    )
    model = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, longest)), LogisticRegression(max_iter=1000)
    )
    assert low < model.fit(train, y_train).score(valid, y_valid) < high
