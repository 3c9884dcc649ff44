import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.config.defaults import EncoderStart
from raytrain.config.load import load_config
from raytrain.config.validate import validate_config
from raytrain.errors import ConfigError
from raytrain.sweep.domain import Domain
from raytrain.sweep.space import input_points, read_space, with_point

PRETRAINED, UNTRAINED = EncoderStart(True, 1e-5), EncoderStart(False, 5e-4)
ARCHITECTURES = ["finetune", "textcnn", "rnn_cnn"]


def config_of(space=None, **sweep):
    base = load_config(None, ["data.path=a.csv", "model.architecture=textcnn"])
    values = base.model_dump(mode="json")
    values["sweep"] |= {"space": space or {}, **sweep}
    return validate_config(values)


def space_of(space=None, pretrained=True, **sweep):
    return read_space(config_of(space, **sweep), PRETRAINED if pretrained else UNTRAINED)


def problems_of(space, **sweep):
    with pytest.raises(ConfigError) as caught:
        space_of(space, **sweep)
    return caught.value.problems


def test_the_space_of_the_readme_is_read():
    space = space_of(
        {
            "train.learning_rate": {"loguniform": [1e-5, 1e-3]},
            "model.architecture": ARCHITECTURES,
            "train.batch_size": [16, 32],
        }
    )
    assert space.architectures == tuple(ARCHITECTURES)
    assert space.shared["train.batch_size"] == Domain("choice", (16, 32))
    assert space.shared["train.learning_rate"] == Domain("loguniform", (1e-5, 1e-3))


def test_ngrams_are_not_searched():
    [problem] = problems_of({"model.architecture": ["textcnn", "tfidf"]})
    assert problem.startswith("sweep.space.model.architecture: tfidf has nothing that a sweep searches")
    config = config_of()
    config.model.architecture = ["textcnn", "tfidf"]
    with pytest.raises(ConfigError) as caught:
        read_space(config, PRETRAINED)
    assert [problem.split(": ")[0] for problem in caught.value.problems] == ["model.architecture"]


def test_without_a_space_the_config_s_architecture_and_its_rates_are_searched():
    space = space_of()
    assert space.architectures == ("textcnn",)
    assert list(space.own["textcnn"]) == ["train.learning_rate"]


def test_a_frozen_encoder_s_head_gets_a_hundred_times_the_rates_of_a_finetuned_encoder():
    space = space_of({"model.architecture": ARCHITECTURES})
    encoder = space.own["finetune"]["train.encoder_learning_rate"].values
    head = space.own["textcnn"]["train.learning_rate"].values
    assert "train.learning_rate" not in space.own["finetune"]
    assert 50 <= head[0] / encoder[0] <= 200 and 50 <= head[1] / encoder[1] <= 200


def test_rates_follow_what_is_searched_of_the_encoder():
    space = space_of(
        {"model.train_encoder": {"finetune": [True], "textcnn": [False]}, "model.architecture": ARCHITECTURES}
    )
    assert "train.encoder_learning_rate" in space.own["finetune"]
    assert "train.encoder_learning_rate" not in space.own["textcnn"]


def test_a_frozen_encoder_s_head_has_a_rate_also_where_others_train_theirs():
    space = space_of({"model.architecture": ["finetune"], "model.train_encoder": [True, False]})
    points = space.sample(40, seed=0)
    assert {point["model.train_encoder"] for point in points} == {True, False}
    for point in points:
        assert ("train.learning_rate" in point) is not point["model.train_encoder"]
    frozen = [point["train.learning_rate"] for point in points if not point["model.train_encoder"]]
    assert 3e-4 <= min(frozen) < max(frozen) <= 1e-2


def test_a_value_of_null_trains_what_trains_by_default():
    space = space_of(
        {"model.architecture": ["finetune", "textcnn"], "model.train_encoder": [None, False]}, pretrained=True
    )
    assert "train.encoder_learning_rate" in space.own["finetune"]
    assert "train.encoder_learning_rate" not in space.own["textcnn"]
    for point in space.sample(40, seed=0):
        has_own = point["model.architecture"] == "textcnn" or point["model.train_encoder"] is False
        assert ("train.learning_rate" in point) is has_own


@pytest.mark.parametrize("key", ["encoder.checkpoint", "encoder.pretrained"])
def test_where_encoders_are_searched_each_has_its_own_rate(key):
    space = space_of({key: ["mini", "albert_tiny_zh"] if key.endswith("point") else [True, False]})
    assert not any("train.encoder_learning_rate" in own for own in space.own.values())


def test_a_rate_given_for_one_architecture_leaves_the_others_theirs():
    space = space_of({"model.architecture": ARCHITECTURES, "train.learning_rate": {"rnn_cnn": [1e-3]}})
    assert space.own["rnn_cnn"]["train.learning_rate"] == Domain("choice", (1e-3,))
    assert space.own["textcnn"]["train.learning_rate"].kind == "loguniform"


def test_a_rate_that_the_config_gives_is_not_searched():
    values = config_of().model_dump(mode="json")
    values["train"]["learning_rate"] = 1e-3
    assert read_space(validate_config(values), PRETRAINED).own["textcnn"] == {}


def test_a_rate_that_the_config_gives_one_network_is_searched_for_the_others():
    values = config_of({"model.architecture": ARCHITECTURES}).model_dump(mode="json")
    values["train"]["learning_rate"] = {"textcnn": 1e-3}
    space = read_space(validate_config(values), PRETRAINED)
    assert {name for name, own in space.own.items() if "train.learning_rate" in own} == {"rnn_cnn"}


def test_a_point_s_value_takes_the_place_of_one_by_network():
    config = load_config(None, ["data.path=a.csv", "train.epochs={textcnn: 8}"])
    own = with_point(config, {"model.architecture": "textcnn", "train.epochs": 2})
    assert own.train.of("textcnn")["epochs"] == 2
    other = with_point(config, {"model.architecture": "finetune", "train.dropout": 0.2})
    assert (other.train.of("finetune")["epochs"], other.train.of("textcnn")["epochs"]) == (None, 8)


def test_a_domain_may_belong_to_one_architecture():
    space = space_of(
        {"model.architecture": ARCHITECTURES, "train.epochs": {"finetune": [2, 3], "textcnn": [5]}}
    )
    points = space.sample(60, seed=0)
    for point in points:
        allowed = {"finetune": (2, 3), "textcnn": (5,), "rnn_cnn": (None,)}[point["model.architecture"]]
        assert point.get("train.epochs") in allowed
    assert {point["model.architecture"] for point in points} == set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"train.learning_rat": [1]}, "did you mean train.learning_rate?"),
        ({"nonsense": [1]}, "unknown key"),
        ({"train.epochs": []}, "at least one value"),
        ({"train.learning_rate": {"loguniform": [0, 1e-3]}}, "no logarithm at 0"),
        ({"train.learning_rate": 1e-3}, "expected a list of values"),
        ({"train.learning_rate": {"uniform": [0.5, 2]}}, "less than or equal to 1"),
        ({"train.batch_size": [16, 0]}, "train.batch_size"),
        ({"train.batch_size": {"finetune": [0]}, "model.architecture": ["finetune"]}, "train.batch_size"),
        ({"train.batch_size": {"uniform": [8, 32]}}, "train.batch_size"),
        ({"train.epochs": {"finetune": [1]}}, "no trial has this architecture"),
        ({"train.precision": ["float32"]}, "cannot be searched"),
        ({"train.restarts": [0, 1]}, "cannot be searched"),
        ({"ensemble.drop_dead": [True, False]}, "cannot be searched"),
        ({"folds.num_folds": [2, 3]}, "cannot be searched"),
        ({"seed": [1, 2]}, "cannot be searched"),
        ({"sweep.num_trials": [1]}, "cannot be searched"),
        ({"tracking.mlflow": ["a"]}, "cannot be searched"),
        ({"model.architecture": ["lstm"]}, "finetune, textcnn, rnn_cnn"),
        ({"model.architecture": ["textcnn", "textcnn"]}, "each once"),
        ({"model.architecture": {"uniform": [0, 1]}}, "each once"),
        ({"encoder.maxlen": {"randint": [32, 128]}}, "expected a list"),
        ({"encoder.maxlen": {"textcnn": [32]}}, "one list for all"),
        ({"encoder.windows": {"randint": [1, 4]}}, "expected a list"),
        ({"encoder.truncate": ["head", "middle"]}, "encoder.truncate"),
    ],
)
def test_bad_spaces_are_refused(space, told):
    assert any(told in problem for problem in problems_of(space)), problems_of(space)


def test_a_trial_has_no_more_folds_than_the_run():
    assert "has only 10 folds" in problems_of({}, num_folds=11)[0]
    space_of({}, num_folds=10)


def test_everything_wrong_comes_at_once():
    assert len(problems_of({"train.epochs": [], "nonsense": [1], "train.batch_size": [0]})) == 3


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 20))
def test_points_are_repeatable_and_a_longer_list_begins_with_the_shorter(seed, count):
    space = space_of(
        {
            "model.architecture": ARCHITECTURES,
            "train.batch_size": [8, 16],
            "train.warmup": {"uniform": [0, 0.5]},
        }
    )
    assert space.sample(count, seed) == space.sample(20, seed)[:count]


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000))
def test_every_point_is_a_valid_config_within_its_ranges(seed):
    ranges = {
        "train.learning_rate": {"loguniform": [1e-5, 1e-2]},
        "train.epochs": {"randint": [1, 4]},
        "train.dropout": {"uniform": [0.1, 0.3]},
    }
    config = config_of({"model.architecture": ARCHITECTURES, **ranges})
    [point] = read_space(config, PRETRAINED).sample(1, seed)
    own = with_point(config, point)
    assert 1e-5 <= own.train.learning_rate <= 1e-2
    assert own.train.epochs in (1, 2, 3)
    assert 0.1 <= own.train.dropout <= 0.3
    assert own.model.architecture == point["model.architecture"]


def test_a_grid_has_every_combination_once():
    space = space_of(
        {
            "model.architecture": ["textcnn", "rnn_cnn"],
            "train.epochs": [1, 2],
            "train.batch_size": {"textcnn": [8, 16]},
        },
        search="grid",
    )
    points = space.grid()
    assert len(points) == 2 * 2 + 2
    assert len({tuple(sorted(point.items())) for point in points}) == 6


def test_a_grid_takes_no_ranges():
    space = space_of({"train.dropout": {"uniform": [0, 0.5]}}, search="grid")
    with pytest.raises(ConfigError, match="has no grid"):
        space.grid()


def test_features_are_made_for_every_value_they_depend_on():
    space = space_of({"encoder.maxlen": [32, 64], "words.min_count": [1, 2], "train.epochs": [1, 2]})
    assert len(input_points(space)) == 4
    assert input_points(space_of()) == [{}]
    long = input_points(space_of({"encoder.truncate": ["head", "tail"], "encoder.windows": [1, 3]}))
    assert [tuple(point.values()) for point in long] == [("head", 1), ("head", 3), ("tail", 1), ("tail", 3)]


def pooled_space(space, architecture="[finetune,textcnn]", pooling="mean"):
    base = load_config(
        None, ["data.path=a.csv", f"model.architecture={architecture}", f"model.pooling={pooling}"]
    )
    values = base.model_dump(mode="json")
    values["sweep"] |= {"space": space}
    config = validate_config(values)
    return config, read_space(config, PRETRAINED)


def test_a_pooling_of_several_architectures_is_finetune_s_in_its_trials():
    config, space = pooled_space({"train.epochs": [2, 3]})
    assert set(space.architectures) == {"finetune", "textcnn"}
    found = {
        name: with_point(config, {"model.architecture": name, "train.epochs": 2}).model.pooling
        for name in space.architectures
    }
    assert found == {"finetune": "mean", "textcnn": "first"}


def test_a_pooling_is_searched_for_finetune_though_the_run_begins_with_another():
    architectures = {"model.architecture": ["finetune", "textcnn"], "model.pooling": {"finetune": ["mean"]}}
    _, space = pooled_space(architectures, "textcnn", "first")
    assert space.own["finetune"]["model.pooling"].values == ("mean",)


def test_a_pooling_that_no_trial_reads_is_refused():
    assert problems_of({"model.pooling": ["mean"]}) == [
        "sweep.space.model.pooling: expected finetune among the trials; found none"
    ]
