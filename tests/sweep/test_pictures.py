import pytest
from sweep.test_records import config_of, record_of

from raytrain.config.defaults import EncoderStart
from raytrain.storage.directory import Directory
from raytrain.sweep.pictures import searched_rate, write_pictures
from raytrain.sweep.records import TrialRecord

POINTS = [
    {"model.architecture": "finetune", "train.encoder_learning_rate": 2e-5, "train.batch_size": 16},
    {"model.architecture": "textcnn", "train.learning_rate": 2e-3, "train.batch_size": 32},
    {"model.architecture": "rnn_cnn", "train.learning_rate": 1e-3, "train.batch_size": 16},
]


def start_of(config):
    """Of encoders that are named by their rates."""
    rate = config.encoder.checkpoint
    return EncoderStart(True, 1e-5 if rate == "mini" else float(rate))


def records_of(*values, state="finished"):
    records = []
    for number, scores in enumerate(values):
        record = record_of(number, scores, state, ended=60.0 * number)
        record.point = POINTS[number % 3]
        records.append(record)
    return records


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
@pytest.mark.parametrize(
    "records",
    [
        records_of([0.5, 0.6, 0.7], [0.9], [0.8, 0.8, 0.8], [0.4, 0.3, 0.2]),
        records_of([0.5]),
        records_of([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
        [*records_of([0.5, 0.6, 0.7]), TrialRecord(7, POINTS[1], "failed", error="x")],
    ],
    ids=["several", "one pruned", "all alike", "one failed"],
)
def test_pictures_are_drawn_of_whatever_is_known(tmp_path, records, metric):
    sweep = Directory(tmp_path)
    names = write_pictures(sweep, records, config_of(f"sweep.metric={metric}"), start_of)
    assert names == ["pictures/learning_rate.png", "pictures/best_over_time.png", "pictures/parallel.png"]
    for name in names:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_without_scores_there_is_nothing_to_draw(tmp_path):
    assert write_pictures(Directory(tmp_path), records_of([]), config_of(), start_of) == []


@pytest.mark.parametrize(("number", "rate"), [(0, 2e-5), (1, 2e-3), (2, 1e-3)])
def test_the_rate_that_matters_is_the_encoder_s_or_the_head_s(number, rate):
    record = records_of([1], [1], [1])[number]
    assert searched_rate(record, config_of(), start_of) == rate


def test_each_trial_has_the_rate_of_its_own_encoder():
    record = records_of([1])[0]
    for rate in ("3e-4", "2e-5"):
        record.point = {"model.architecture": "finetune", "encoder.checkpoint": rate}
        assert searched_rate(record, config_of(), start_of) == float(rate)
