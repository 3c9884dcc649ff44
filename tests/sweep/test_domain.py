"""What one searched key may be, and what is drawn from it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.config.defaults import EncoderStart
from raytrain.sweep.domain import RANGES, Domain, default_rates, random_value, read_domain
from raytrain.tasks import ARCHITECTURES

ALL = [name for names in ARCHITECTURES.values() for name in names]
positive = st.floats(1e-9, 1e6)


@st.composite
def ranges(draw):
    kind = draw(st.sampled_from(RANGES))
    ends = st.integers(-50, 50) if kind == "randint" else positive
    low, high = sorted(draw(st.lists(ends, min_size=2, max_size=2, unique=True)))
    return Domain(kind, (low, high))


choices = st.lists(st.none() | st.booleans() | st.integers() | st.text(max_size=3), min_size=1, max_size=4)
domains = ranges() | choices.map(lambda values: Domain("choice", tuple(values)))


def read(value):
    problems = []
    return read_domain(value, "train.epochs", problems), problems


def draws(domain, seed, count=1):
    rng = np.random.default_rng(seed)
    return [random_value(domain, rng) for _ in range(count)]


@given(domains)
def test_a_domain_that_is_written_down_is_read_back(domain):
    assert read({domain.kind: list(domain.values)}) == (domain, [])


@given(choices)
def test_a_plain_list_is_a_choice(values):
    assert read(values) == (Domain("choice", tuple(values)), [])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "expected at least one value, found []"),
        ({"choice": []}, "expected at least one value, found []"),
        ({"choice": 3}, "expected at least one value, found 3"),
        (1e-3, "expected a list of values"),
        (None, "expected a list of values"),
        ({}, "expected a list of values"),
        ({"normal": [0, 1]}, "{uniform: [a, b]}, {loguniform: [a, b]}, {randint: [a, b]}; found"),
        ({"uniform": [0, 1], "choice": [1]}, "expected a list of values"),
        ({"uniform": [1e-3]}, "uniform: expected two numbers"),
        ({"uniform": [1, 2, 3]}, "uniform: expected two numbers"),
        ({"uniform": 3}, "uniform: expected two numbers"),
        ({"uniform": ["a", "b"]}, "uniform: expected two numbers"),
        ({"uniform": [False, True]}, "uniform: expected two numbers"),
        ({"randint": [1.5, 3]}, "randint: expected two numbers"),
        ({"uniform": [1, 1]}, "the range is empty: 1 is not below 1"),
        ({"uniform": [2, 1]}, "the range is empty: 2 is not below 1"),
        ({"randint": [1, 10**30]}, "at most 18 digits"),
        ({"randint": [2, 2]}, "the range is empty"),
        ({"uniform": [math.nan, 1]}, "expected finite numbers"),
        ({"uniform": [0, math.inf]}, "expected finite numbers"),
        ([0.1, math.nan], "expected finite numbers"),
        ({"uniform": [0, 10**400]}, "expected finite numbers"),
        ({"loguniform": [1e-3, math.nan]}, "expected finite numbers"),
        ({"loguniform": [-math.inf, 1]}, "expected finite numbers"),
        ({"loguniform": [0, 1]}, "has no logarithm at 0"),
        ({"loguniform": [-1, 1]}, "has no logarithm at -1"),
    ],
)
def test_what_is_no_domain_is_one_problem_of_its_key(value, told):
    domain, [problem] = read(value)
    assert domain is None
    assert problem.startswith("train.epochs") and told in problem


def test_a_range_of_one_integer_is_no_empty_one():
    assert draws(read({"randint": [3, 4]})[0], seed=0, count=5) == [3] * 5


@given(domains, st.integers(0, 1000))
def test_what_is_drawn_lies_in_the_domain(domain, seed):
    [value] = draws(domain, seed)
    low, high = domain.values[0], domain.values[-1]
    if domain.kind == "choice":
        assert any(value is known for known in domain.values)
    elif domain.kind == "randint":
        assert type(value) is int and low <= value < high
    else:
        assert type(value) is float
        assert value == pytest.approx(low) or value == pytest.approx(high) or low <= value <= high


@given(domains, st.integers(0, 1000))
def test_the_same_seed_draws_the_same(domain, seed):
    assert draws(domain, seed, 3) == draws(domain, seed, 3)


@pytest.mark.parametrize("domain", [Domain("randint", (0, 3)), Domain("choice", (0, 1, 2))])
def test_every_choice_is_drawn_and_none_much_more_often(domain):
    counts = np.bincount(draws(domain, 0, 600), minlength=3)
    assert counts.tolist() == pytest.approx([200] * 3, abs=50)


def test_uniform_is_even_and_loguniform_in_the_logarithm():
    found = np.array(draws(Domain("uniform", (2, 4)), 1, 400))
    assert (found < 3).sum() == pytest.approx(200, abs=40)
    found = np.log10(draws(Domain("loguniform", (1e-4, 1e-2)), 1, 400))
    assert (found < -3).sum() == pytest.approx(200, abs=40)


@given(ranges())
def test_the_extremes_of_a_range_lie_in_it_and_tell_real_numbers_from_integers(domain):
    low, high = domain.values
    if domain.kind == "randint":
        assert domain.extremes() == (low, high - 1)
    else:
        first, last, between = domain.extremes()
        assert (first, last) == (low, high) and low <= between <= high


def test_between_two_integers_an_extreme_is_none():
    assert not all(Fraction(value).denominator == 1 for value in Domain("uniform", (8, 32)).extremes())


@given(choices)
def test_each_choice_is_an_extreme(values):
    assert Domain("choice", tuple(values)).extremes() == tuple(values)


# ── learning rates ─────────────────────────────────────────────────────────────────────────────────


def test_an_untrained_encoder_learns_faster_and_together_with_its_head():
    rates = default_rates("textcnn", EncoderStart(False, 5e-4), train_encoder=True)
    assert set(rates) == {"train.learning_rate", "train.encoder_learning_rate"}
    pretrained = default_rates("finetune", EncoderStart(True, 1e-5), train_encoder=True)
    assert (
        rates["train.encoder_learning_rate"].values[0] > pretrained["train.encoder_learning_rate"].values[0]
    )


@pytest.mark.parametrize("pretrained", [True, False])
@pytest.mark.parametrize("train_encoder", [True, False])
@pytest.mark.parametrize("architecture", ALL)
def test_what_learns_has_a_rate_and_what_does_not_has_none(architecture, train_encoder, pretrained):
    rates = default_rates(architecture, EncoderStart(pretrained, 1e-4), train_encoder)
    assert ("train.encoder_learning_rate" in rates) == train_encoder
    assert ("train.crf_learning_rate" in rates) == (architecture in ("crf", "bilstm_crf"))
    assert ("train.learning_rate" in rates) == (architecture != "finetune" or not train_encoder)
    for key, domain in rates.items():
        problems = []
        assert read_domain({domain.kind: list(domain.values)}, key, problems) == domain and not problems
