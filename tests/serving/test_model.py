import asyncio

import pytest

from raytrain.errors import ArtifactError, InputError
from raytrain.serving.answers import Facts
from raytrain.serving.batching import Batcher
from raytrain.serving.model import Model, RenewedModel
from raytrain.serving.words import weigh_text


class Predictor:
    """Says `假` of texts with 停, the surer the shorter."""

    def predict_proba(self, texts, pairs=None):
        import numpy as np

        shares = [0.9 if "停" in text else 0.2 for text in texts]
        return np.array([[1 - share, share] for share in shares])


def model_of(version, task="classify", pairs=False, predict=None):
    facts = Facts(task, ("真", "假"), pairs, version)

    def rows(texts, pairs):
        proba = Predictor().predict_proba(texts)
        return [(int(row.argmax()), row.tolist()) for row in proba]

    return Model(facts, Batcher(predict or rows, 1000, 100), Predictor(), list)


class Place:
    """Where an artifact lies."""

    def __init__(self):
        self.now, self.is_damaged, self.loaded = "v1", False, []

    def version(self, location):
        return self.now

    def load(self, location):
        if self.is_damaged:
            raise ArtifactError("the ensemble is damaged")
        self.loaded.append(self.now)
        return model_of(self.now)


@pytest.fixture
def place():
    return Place()


def test_a_newer_artifact_takes_over_and_an_equal_one_does_not(place):
    renewed = RenewedModel(place.load, "there", place.version)
    assert asyncio.run(renewed.renew()) is False
    place.now = "v2"
    assert asyncio.run(renewed.renew()) is True
    assert renewed.facts.version == "v2" and place.loaded == ["v1", "v2"]


def test_a_damaged_one_is_told_and_the_old_one_stays_until_it_is_whole(place):
    renewed = RenewedModel(place.load, "there", place.version)
    place.now, place.is_damaged = "v2", True
    assert asyncio.run(renewed.renew()) is False
    assert renewed.facts.version == "v1" and "damaged" in renewed.facts.problem
    place.is_damaged = False
    assert asyncio.run(renewed.renew()) is True
    assert (renewed.facts.version, renewed.facts.problem) == ("v2", None)


@pytest.mark.parametrize("error", [MemoryError(), ValueError("no room on the card")])
def test_whatever_keeps_a_newer_one_from_being_loaded_is_told(place, error):
    renewed = RenewedModel(place.load, "there", place.version)

    def fail(location):
        raise error

    place.now, renewed._load = "v2", fail
    assert asyncio.run(renewed.renew()) is False
    assert renewed.facts.version == "v1" and renewed.facts.problem in ("MemoryError()", "no room on the card")
    renewed._load = place.load
    assert asyncio.run(renewed.renew()) is True


def test_one_that_went_and_came_back_is_no_problem(place):
    renewed = RenewedModel(place.load, "there", place.version)

    def lost(location):
        raise OSError("not there")

    renewed._version = lost
    assert asyncio.run(renewed.renew()) is False and renewed.facts.problem == "not there"
    renewed._version = place.version
    assert asyncio.run(renewed.renew()) is False and renewed.facts.problem is None


def test_what_the_old_one_was_asked_it_answers(place):
    async def run():
        renewed = RenewedModel(place.load, "there", place.version)
        asked = [asyncio.create_task(renewed.current.answer(["停水"] * 50, None)) for _ in range(5)]
        await asyncio.sleep(0)
        place.now = "v2"
        await renewed.renew()
        asked.append(asyncio.create_task(renewed.current.answer(["停水"], None)))
        return [(answer.facts.version, len(answer.rows)) for answer in await asyncio.gather(*asked)]

    assert asyncio.run(run()) == [("v1", 50)] * 5 + [("v2", 1)]


@pytest.mark.parametrize(("paired", "pairs"), [(True, None), (False, ["b"])])
def test_texts_come_with_pairs_where_it_was_trained_on_them(paired, pairs):
    with pytest.raises(InputError, match="pairs"):
        asyncio.run(model_of("v1", pairs=paired).answer(["a"], pairs))


def test_the_word_that_moved_the_decision_is_found():
    told = asyncio.run(weigh_text(model_of("v1"), "今天停，水", None))
    assert (told["label"], told["probability"]) == ("假", 0.9)
    assert [(word, fall and round(fall, 6)) for word, fall in told["parts"][0]] == [
        *[("今", 0.0), ("天", 0.0)],
        *[("停", 0.7), ("，", None), ("水", 0.0)],
    ]


def test_a_tagger_has_no_such_words():
    with pytest.raises(InputError, match="tagger"):
        asyncio.run(weigh_text(model_of("v1", task="tag"), "今天", None))
