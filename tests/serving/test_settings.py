from pathlib import Path

import pytest

from raytrain.errors import ConfigError
from raytrain.serving.questions import MOST_BODY, Limits
from raytrain.serving.settings import ServeSettings, name_ensembles, read_deployed


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


def test_args_of_a_file_have_the_defaults_of_the_command():
    told = read_deployed({"ensembles": {"mine": "s3://bucket/e"}, "token_sha256": "ab" * 32, "max_texts": 9})
    expected = ServeSettings(
        {"mine": "s3://bucket/e"}, 1, 1.0, 0.0, Limits(texts=9), bytes.fromhex("ab" * 32)
    )
    assert told == expected


def test_what_is_wrong_with_args_of_a_file_is_told_at_once():
    args = {"ensembles": {}, "token_sha256": "TOKEN_SHA256", "replicas": 0, "replica": 2, "cpus": "one"}
    with pytest.raises(ConfigError) as raised:
        read_deployed(args)
    for name in ("ensembles", "token_sha256", "replicas", "replica", "cpus"):
        assert f"  - {name}: " in str(raised.value)
    assert len(raised.value.problems) == 5


def test_a_file_without_a_token_is_refused():
    with pytest.raises(ConfigError, match=r"token_sha256: expected .* found none"):
        read_deployed({"ensembles": {"mine": "/e"}})


@pytest.mark.parametrize("key", ["token", "token_sha256"])
def test_a_token_itself_is_refused_and_not_told(key):
    with pytest.raises(ConfigError, match="sha256sum") as raised:
        read_deployed({"ensembles": {"mine": "/e"}, key: "0123456789abcdef" * 3})
    assert "89abcdef" not in str(raised.value)
    assert raised.value.__cause__ is None and raised.value.__context__ is None


@pytest.mark.parametrize("key", ["cpus", "gpus"])
def test_a_number_without_end_is_refused(key):
    args = {"ensembles": {"mine": "/e"}, "token_sha256": "ab" * 32, key: float("inf")}
    with pytest.raises(ConfigError, match=f"{key}: "):
        read_deployed(args)


def test_what_does_not_fit_a_cluster_is_told():
    args = {"ensembles": {"mine": "runs/mine/ensemble"}, "token_sha256": "ab" * 32, "gpus": 1.5}
    with pytest.raises(ConfigError, match=r"ensembles\.mine: expected an absolute path") as raised:
        read_deployed(args)
    assert len(raised.value.problems) == 2
