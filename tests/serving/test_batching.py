import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.serving.batching import PIECE_TEXTS, ROOM_OF_TEXT, Batcher

LONGEST = 40


class Model:
    """Answers each text by itself, and remembers what it read at a time."""

    def __init__(self):
        self.passes, self.free = [], threading.Event()
        self.free.set()

    def __call__(self, texts, pairs):
        self.free.wait(10)
        self.passes.append(list(texts))
        if "毒" in texts:
            raise ValueError("a text that cannot be read")
        return [(text, None if pairs is None else pairs[place]) for place, text in enumerate(texts)]


def ask_all(questions, model, most=200):
    """Asks all at once; each answer, or what was raised."""

    async def run():
        batcher = Batcher(model, most, LONGEST)
        return await asyncio.gather(
            *(batcher.ask(texts, pairs) for texts, pairs in questions), return_exceptions=True
        )

    return asyncio.run(run())


TEXTS = st.lists(st.text("甲乙丙丁", max_size=60), max_size=40)


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXTS, st.booleans()), max_size=8), st.integers(1, 400))
def test_each_answer_belongs_to_its_text(asked, most):
    questions = [
        ([f"{number}{text}" for text in texts], [f"-{text}" for text in texts] if paired else None)
        for number, (texts, paired) in enumerate(asked)
    ]
    model = Model()
    for (texts, pairs), rows in zip(questions, ask_all(questions, model, most), strict=True):
        assert rows == [(text, None if pairs is None else pairs[i]) for i, text in enumerate(texts)]
    assert sum(map(len, model.passes)) == sum(len(texts) for texts, _ in questions)
    for texts in model.passes:
        assert len(texts) == 1 or sum(min(len(text), LONGEST) + ROOM_OF_TEXT for text in texts) <= most


def test_what_comes_while_the_model_computes_shares_a_pass():
    async def run():
        model = Model()
        model.free.clear()
        batcher = Batcher(model, 10_000, LONGEST)
        asked = [asyncio.create_task(batcher.ask([f"第{number}条"])) for number in range(30)]
        await asyncio.sleep(0.05)
        asked += [asyncio.create_task(batcher.ask(["后来"])) for _ in range(20)]
        await asyncio.sleep(0.05)
        model.free.set()
        await asyncio.gather(*asked)
        return [len(texts) for texts in model.passes]

    assert asyncio.run(run()) == [30, 20]


def test_a_small_question_does_not_wait_for_all_of_a_large_one():
    model = Model()
    large, small = [f"大{number}" for number in range(200)], ["小"]
    ask_all([(large, None), (small, None)], model, most=PIECE_TEXTS * (ROOM_OF_TEXT + 5))
    assert next(number for number, texts in enumerate(model.passes) if "小" in texts) <= 1


@pytest.mark.parametrize("others", [1, 5])
def test_a_text_that_cannot_be_read_fails_its_own_question_alone(others):
    questions = [([f"好{number}"], None) for number in range(others)] + [(["毒"], None)]
    *good, bad = ask_all(questions, Model())
    assert isinstance(bad, ValueError)
    assert good == [[(f"好{number}", None)] for number in range(others)]


def test_after_a_failure_it_goes_on():
    async def run():
        batcher = Batcher(Model(), 100, LONGEST)
        with pytest.raises(ValueError, match="cannot be read"):
            await batcher.ask(["毒"])
        return await batcher.ask(["好"])

    assert asyncio.run(run()) == [("好", None)]


def test_who_went_away_is_not_computed_for():
    async def run():
        model = Model()
        model.free.clear()
        batcher = Batcher(model, 20, LONGEST)
        first = asyncio.create_task(batcher.ask(["一"]))
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(batcher.ask(["走了"]))
        last = asyncio.create_task(batcher.ask(["二"]))
        await asyncio.sleep(0.05)
        gone.cancel()
        model.free.set()
        await asyncio.gather(first, last)
        return model.passes

    assert asyncio.run(run()) == [["一"], ["二"]]
