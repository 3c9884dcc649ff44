import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_settings import plain_settings

from raytrain.training.settings import rate_factor

SCHEDULES = ("constant", "linear", "cosine", "plateau")


def factors(schedule, num_steps, warmup):
    return np.array([rate_factor(schedule, step, num_steps, warmup) for step in range(num_steps)])


@given(st.sampled_from(SCHEDULES), st.integers(1, 300), st.floats(0, 0.99))
def test_rate_factor_rises_during_warmup_and_never_after(schedule, num_steps, warmup):
    values = factors(schedule, num_steps, warmup)
    rising = math.ceil(warmup * num_steps)
    assert (np.diff(values[:rising]) > 0).all()
    assert (np.diff(values[rising:]) <= 1e-12).all()


@given(st.sampled_from(SCHEDULES), st.integers(1, 300), st.floats(0, 0.99))
def test_rate_factor_stays_above_0_and_up_to_1(schedule, num_steps, warmup):
    values = factors(schedule, num_steps, warmup)
    assert (values > 0).all()
    assert (values <= 1).all()


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_constant_rates_are_1_after_warmup(schedule):
    assert factors(schedule, 10, 0.3).tolist() == [0.25, 0.5, 0.75, *[1.0] * 7]


def test_linear_rates_fall_in_a_line():
    np.testing.assert_allclose(factors("linear", 5, 0), [1, 0.8, 0.6, 0.4, 0.2])


def test_cosine_rates_fall_in_half_a_cosine():
    np.testing.assert_allclose(
        factors("cosine", 4, 0), [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]
    )


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_falling_rates_end_near_0(schedule):
    assert factors(schedule, 1000, 0.1)[-1] < 0.002


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warmup_that_ends_within_a_step_rises_evenly_to_the_next(schedule):
    np.testing.assert_allclose(factors(schedule, 10, 0.25)[:3], [1 / 3.5, 2 / 3.5, 3 / 3.5])


def test_after_the_warmup_a_falling_rate_starts_where_it_rose_to():
    np.testing.assert_allclose(factors("linear", 4, 0.25), [0.5, 1, 2 / 3, 1 / 3])
    np.testing.assert_allclose(factors("cosine", 4, 0.25), [0.5, 1, 0.75, 0.25])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_single_step_without_a_warmup_has_the_whole_rate(schedule):
    assert rate_factor(schedule, 0, 1, 0.0) == 1


def test_settings_cannot_be_changed_under_a_fold():
    settings = plain_settings(epochs=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.epochs = 4
    assert dataclasses.replace(settings, epochs=4) == plain_settings(epochs=4)
