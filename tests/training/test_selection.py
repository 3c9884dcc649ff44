import math

import numpy as np
import pytest
from plain_settings import plain_settings

from raytrain.training.selection import PLATEAU_FACTOR, Selection


def watch(values, monitor="log_loss", **settings):
    """A selection that has watched epochs with these values, each of weights that name the epoch."""
    selection, history = Selection(plain_settings(monitor=monitor, **settings)), []
    for number, value in enumerate(values, 1):
        history.append({"epoch": number, monitor: value})
        selection.watch(history, lambda number=number: {"epoch": np.array(number)}, np.array([value]))
    return selection, history


@pytest.mark.parametrize(
    ("monitor", "values", "best"),
    [
        ("log_loss", [0.5, 0.3, 0.4], 2),
        ("accuracy", [0.5, 0.3, 0.6], 3),
        ("accuracy", [0.5, 0.5], 1),
        ("auc", [math.nan, 0.5, math.nan], 2),
    ],
)
def test_the_best_epoch_is_kept_with_what_it_predicted(monitor, values, best):
    selection, history = watch(values, monitor, select="best")
    assert selection.weights["epoch"] == selection.best(history)["epoch"] == best
    assert selection.predicted.tolist() == [values[best - 1]]


def test_nothing_is_kept_where_the_last_epoch_is_wanted():
    selection, _ = watch([0.5, 0.3])
    assert (selection.weights, selection.predicted) == ({}, None)


@pytest.mark.parametrize(
    ("values", "stops"), [([0.5, 0.6], False), ([0.5, 0.6, 0.6], True), ([0.5, 0.4, 0.6], False)]
)
def test_it_stops_after_so_many_epochs_without_a_better_one(values, stops):
    assert watch(values, early_stopping=2)[0].stops is stops


def test_rates_are_halved_by_every_epoch_that_is_no_better():
    selection, _ = watch([0.5, 0.6, 0.4, 0.4], schedule="plateau")
    assert selection.factor == PLATEAU_FACTOR**2
    assert watch([0.5, 0.6], schedule="linear")[0].factor == 1


def test_another_goes_on_from_its_state():
    one, _ = watch([0.5, 0.6], schedule="plateau", early_stopping=2, select="best")
    other = Selection(plain_settings(schedule="plateau", early_stopping=2, select="best"))
    other.load(*one.state())
    assert (other.factor, other.stale_epochs, other.stops) == (one.factor, one.stale_epochs, False)
    assert other.weights == one.weights and other.predicted is one.predicted
