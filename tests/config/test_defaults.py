import pytest

from raytrain.config.defaults import (
    CRF_LEARNING_RATE,
    EncoderStart,
    encoder_start,
    learning_rates,
    num_epochs,
    pretraining_rate,
    reads_words,
    trains_encoder,
)
from raytrain.config.load import load_config
from raytrain.tasks import ARCHITECTURES


def config_of(*overrides):
    return load_config(None, ["data.path=a.csv", *overrides])


@pytest.mark.parametrize(
    ("architecture", "pretrained", "override", "expected"),
    [
        ("finetune", True, "null", True),
        ("finetune", False, "null", True),
        ("textcnn", True, "null", False),
        ("rnn_cnn", True, "null", False),
        ("textcnn", False, "null", True),
        ("textcnn", True, "true", True),
        ("textcnn", False, "false", False),
        ("finetune", True, "false", False),
        ("bilstm_crf", True, "null", True),
        ("bilstm", True, "null", True),
        ("crf", True, "null", True),
        ("crf", True, "false", False),
        ("tfidf", False, "null", False),
        ("tfidf", True, "true", False),
    ],
)
def test_whether_the_encoder_trains(architecture, pretrained, override, expected):
    config = config_of(f"model.train_encoder={override}")
    assert trains_encoder(config, architecture, pretrained) is expected


@pytest.mark.parametrize(
    ("architecture", "pretrained", "overrides", "num_rows", "expected"),
    [
        ("finetune", True, [], 3000, 3),
        ("textcnn", True, [], 40, 10),
        ("textcnn", True, [], 4000, 8),
        ("textcnn", True, ["train.batch_size=16"], 4000, 4),
        ("textcnn", True, [], 4001, 8),
        ("textcnn", True, [], 100_000, 3),
        ("textcnn", True, [], 0, 10),
        ("textcnn", False, [], 3000, 3),
        ("textcnn", True, ["model.train_encoder=true"], 3000, 3),
        ("bilstm_crf", True, [], 3000, 3),
        ("textcnn", True, ["train.epochs=4"], 3000, 4),
        ("textcnn", True, ["train.epochs={textcnn: 4}"], 3000, 4),
        ("textcnn", True, ["train.epochs={finetune: 4}"], 3000, 10),
        ("finetune", True, ["train.epochs={finetune: 4, textcnn: 5}"], 3000, 4),
        ("finetune", False, ["train.epochs=4"], 3000, 4),
        ("tfidf", True, ["train.epochs=4"], 0, 1),
    ],
)
def test_default_epochs(architecture, pretrained, overrides, num_rows, expected):
    assert num_epochs(config_of(*overrides), architecture, pretrained, num_rows) == expected


@pytest.mark.parametrize(
    ("architecture", "pretrained", "overrides", "expected"),
    [
        ("finetune", True, [], (1e-5, 1e-5)),
        ("finetune", False, [], (5e-4, 5e-4)),
        ("textcnn", True, [], (1e-3, 1e-5)),
        ("rnn_cnn", False, [], (1e-3, 5e-4)),
        ("crf", True, [], (1e-3, 1e-5)),
        ("finetune", True, ["model.train_encoder=false"], (1e-3, 1e-5)),
        ("finetune", True, ["train.learning_rate=0.02"], (0.02, 1e-5)),
        ("finetune", True, ["train.encoder_learning_rate=3e-5"], (3e-5, 3e-5)),
        ("textcnn", True, ["train.encoder_learning_rate=3e-5"], (1e-3, 3e-5)),
        ("finetune", True, ["train.learning_rate={textcnn: 0.02}"], (1e-5, 1e-5)),
        ("textcnn", True, ["train.learning_rate={textcnn: 0.02}"], (0.02, 1e-5)),
        ("finetune", True, ["train.encoder_learning_rate={finetune: 3e-5}"], (3e-5, 3e-5)),
        ("textcnn", False, ["train.learning_rate=0.02", "train.encoder_learning_rate=0.03"], (0.02, 0.03)),
    ],
)
def test_default_learning_rates(architecture, pretrained, overrides, expected):
    start = EncoderStart(pretrained, 1e-5 if pretrained else 5e-4)
    assert learning_rates(config_of(*overrides), architecture, start) == expected


BERT_BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "vocab_size": 21128}
BERT_LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "vocab_size": 21128}
MINI_SHAPE = {"hidden_size": 312, "intermediate_size": 1248, "num_hidden_layers": 4, "vocab_size": 7892}
TINY = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 60}


@pytest.mark.parametrize(
    ("config", "rate"),
    [
        (BERT_BASE, 1e-5),
        (BERT_LARGE, 1e-5),
        (BERT_BASE | {"embedding_size": 128}, 1.2e-5),
        (MINI_SHAPE | {"embedding_size": 128}, 3.2e-4),
        (TINY, 5e-4),
    ],
)
def test_small_pretrained_encoders_learn_faster_than_large_ones(config, rate):
    assert encoder_start(config, True) == EncoderStart(True, rate)
    assert encoder_start(config, False) == EncoderStart(False, 5e-4)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [("finetune", False), ("textcnn", True), ("rnn_cnn", True), ("tfidf", False)],
)
def test_which_architectures_read_words(architecture, expected):
    assert reads_words(architecture) is expected


@pytest.mark.parametrize("architecture", ARCHITECTURES["tag"])
def test_every_tagger_reads_words(architecture):
    assert reads_words(architecture)


def test_transitions_learn_a_thousand_times_faster_than_a_pretrained_encoder():
    _, encoder = learning_rates(config_of("task=tag"), "crf", EncoderStart(True, 1e-5))
    assert pytest.approx(1000 * encoder) == CRF_LEARNING_RATE


@pytest.mark.parametrize(
    ("layers", "hidden", "pretrained", "rate"),
    [(12, 768, True, 5e-5), (24, 1024, True, 5e-5), (12, 768, False, 1e-4), (2, 128, False, 1e-3)],
)
def test_a_pretraining_rate_goes_by_size_within_bounds(layers, hidden, pretrained, rate):
    config = {
        "hidden_size": hidden,
        "intermediate_size": 4 * hidden,
        "num_hidden_layers": layers,
        "vocab_size": 21128,
    }
    assert pretraining_rate(config, pretrained) == rate
