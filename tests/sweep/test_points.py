import pytest
from ray.tune.search import Searcher

from raytrain.sweep.domain import Domain
from raytrain.sweep.points import ListedPoints, OptunaPoints, PointSearcher
from raytrain.sweep.space import SearchSpace

SPACE = SearchSpace(
    ("finetune", "textcnn"),
    {"train.batch_size": Domain("choice", (8, 16)), "train.epochs": Domain("randint", (1, 4))},
    {
        "finetune": {"train.encoder_learning_rate": Domain("loguniform", (1e-6, 1e-4))},
        "textcnn": {"train.learning_rate": Domain("loguniform", (1e-4, 1e-2))},
    },
)


def score(point):
    """Best for textcnn at a high rate."""
    return point.get("train.learning_rate", 0.0) * 50


def run(source, count, recorded=()):
    points = []
    for number in range(count):
        point = source.next_point(number, recorded[number] if number < len(recorded) else None)
        points.append(point)
        source.hear(number, score(point))
    return points


def test_optuna_is_repeatable_by_its_seed():
    one, two = (run(OptunaPoints(SPACE, "accuracy", seed=3), 15) for _ in range(2))
    assert one == two
    assert one != run(OptunaPoints(SPACE, "accuracy", seed=4), 15)


def test_optuna_s_points_have_the_keys_of_their_architecture():
    for point in run(OptunaPoints(SPACE, "accuracy", seed=0), 12):
        rate = {"finetune": "train.encoder_learning_rate", "textcnn": "train.learning_rate"}
        own = rate[point["model.architecture"]]
        assert set(point) == {"model.architecture", "train.batch_size", "train.epochs", own}
        assert point["train.epochs"] in (1, 2, 3)


@pytest.mark.parametrize(("metric", "expected"), [("accuracy", "textcnn"), ("log_loss", "finetune")])
def test_optuna_goes_where_scores_are_good(metric, expected):
    late = run(OptunaPoints(SPACE, metric, seed=1), 40)[20:]
    assert sum(point["model.architecture"] == expected for point in late) > 15


def test_recorded_points_are_given_again_and_learned_from():
    whole = run(OptunaPoints(SPACE, "accuracy", seed=5), 14)
    resumed = run(OptunaPoints(SPACE, "accuracy", seed=5), 14, recorded=whole[:6])
    assert resumed == whole


def test_a_recorded_point_goes_on_without_keys_that_were_not_drawn_then():
    source = OptunaPoints(SPACE, "accuracy", seed=5)
    old = {"model.architecture": "textcnn", "train.batch_size": 8, "train.epochs": 2}
    source.next_point(0, old)
    source.hear(0, 0.5)
    [trial] = source._study.trials
    assert set(trial.params) == {"model.architecture", "train.batch_size", "train.epochs"}


def test_failed_and_undefined_scores_are_taken():
    source = OptunaPoints(SPACE, "accuracy", seed=0)
    for number, value in enumerate([None, float("nan"), 0.5]):
        source.next_point(number, None)
        source.hear(number, value)
    assert source.next_point(3, None)


def test_the_searcher_numbers_trials_and_ends_with_the_list():
    points = [{"train.epochs": 1}, {"train.epochs": 2}]
    searcher = PointSearcher(ListedPoints(points), {}, "accuracy")
    assert searcher.mode == "max"
    assert searcher.suggest("a") == {"number": 0, "point": points[0]}
    assert searcher.suggest("b") == {"number": 1, "point": points[1]}
    assert searcher.suggest("c") == Searcher.FINISHED


def test_a_trial_of_an_earlier_session_keeps_its_point_whatever_is_listed_now():
    points = [{"train.epochs": 1}, {"train.epochs": 2}]
    searcher = PointSearcher(ListedPoints(points), {0: {"train.epochs": 9}, 2: {}}, "accuracy")
    assert [searcher.suggest(one)["point"] for one in "ab"] == [{"train.epochs": 9}, points[1]]
    assert searcher.suggest("c") == Searcher.FINISHED


def test_the_searcher_passes_on_how_trials_ended():
    heard = []

    class Source(ListedPoints):
        def hear(self, number, score):
            heard.append((number, score))

    searcher = PointSearcher(Source([{}, {}]), {}, "log_loss")
    assert searcher.mode == "min"
    searcher.suggest("a"), searcher.suggest("b")
    searcher.on_trial_complete("b", {"log_loss": 0.3})
    searcher.on_trial_complete("a", error=True)
    assert heard == [(1, 0.3), (0, None)]
