from pathlib import Path

import pytest

from raytrain.errors import ConfigError
from raytrain.serving.questions import MOST_BODY, Limits
from raytrain.serving.settings import name_ensembles


@pytest.mark.parametrize(
    ("asked", "name", "location"),
    [
        ("runs/mine/ensemble", "mine", "runs/mine/ensemble"),
        ("runs/mine/ensemble/", "mine", "runs/mine/ensemble/"),
        ("runs/mine/refit", "refit", "runs/mine/refit"),
        ("ensemble", "ensemble", "ensemble"),
        ("news=runs/mine/ensemble", "news", "runs/mine/ensemble"),
    ],
)
def test_an_ensemble_has_the_name_of_its_run(asked, name, location):
    assert name_ensembles([asked]) == {name: str(Path(location).absolute())}


def test_a_uri_stays_as_it_is():
    assert name_ensembles(["s3://bucket/runs/mine/ensemble"]) == {"mine": "s3://bucket/runs/mine/ensemble"}


def test_two_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="found mine twice"):
        name_ensembles(["a/mine/ensemble", "b/mine/ensemble"])


def test_a_body_may_hold_what_texts_may_but_not_all_the_memory():
    assert Limits(1, 10).body >= 10 * 6 + 100
    assert Limits(10_000, 1_000_000).body == MOST_BODY
