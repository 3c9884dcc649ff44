"""The tables of tasks agree with each other and with what is computed."""

import typing

import numpy as np
import pytest

from raytrain.config.load import load_config
from raytrain.scores.classes import score_proba
from raytrain.scores.spans import count_tags, score_tags
from raytrain.tasks import (
    ARCHITECTURES,
    LOWER_IS_BETTER,
    SWEEP_METRIC,
    TASK_METRICS,
    TITLES,
    Architecture,
    Monitor,
    Task,
)

TASKS = typing.get_args(Task)


@pytest.mark.parametrize("table", [ARCHITECTURES, TASK_METRICS, SWEEP_METRIC])
def test_each_table_knows_every_task(table):
    assert tuple(table) == TASKS


def test_every_architecture_is_of_one_task():
    listed = [name for task in TASKS for name in ARCHITECTURES[task]]
    assert sorted(listed) == sorted(typing.get_args(Architecture))


def test_what_can_be_watched_is_what_some_task_is_scored_by():
    assert {metric for task in TASKS for metric in TASK_METRICS[task]} == set(typing.get_args(Monitor))


@pytest.mark.parametrize("task", TASKS)
def test_a_sweep_of_a_task_is_judged_by_one_of_its_scores(task):
    assert SWEEP_METRIC[task] in TASK_METRICS[task]
    assert SWEEP_METRIC[task] not in LOWER_IS_BETTER


@pytest.mark.parametrize("task", TASKS)
def test_a_config_that_says_only_the_task_takes_its_defaults(task):
    config = load_config(None, ["data.path=a", f"task={task}"])
    assert config.model.architectures == [ARCHITECTURES[task][0]]
    assert config.sweep.metric == SWEEP_METRIC[task]


def test_a_task_is_scored_by_what_is_computed_for_it():
    classes = score_proba(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert tuple(classes) == TASK_METRICS["classify"]
    tags, bounds = np.array([1, 2, 0]), np.array([0, 3])
    spans = score_tags(count_tags(tags, tags, bounds, 1, np.array([0.5]), np.array([3])))
    assert tuple(spans) == TASK_METRICS["tag"]


def test_every_score_has_a_title():
    assert {metric for metrics in TASK_METRICS.values() for metric in metrics} <= TITLES.keys()
