import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from encoder_checkpoints import (
    BATCH,
    KINDS,
    load_directory,
    random_arrays,
    run,
    transformer_of,
    write_checkpoint,
    write_directory,
)
from reference_encoder import hidden_states

from raytrain.errors import CheckpointError
from raytrain.text.vocab import SPECIAL_TOKENS, Vocab
from raytrain.network.encoders import build_transformer
from raytrain.network.layers import DropoutSeed
from raytrain.network.weights import (
    compare_weights,
    count_layers,
    encoder_depth,
    encoder_variables,
    load_weights,
    named_variables,
    save_encoder,
)
from raytrain.pretrained.names import google_name, is_turned
from raytrain.pretrained.weights import open_weights


@pytest.fixture
def albert(encoder_config):
    return transformer_of("albert", encoder_config("albert"))


# ── Google's checkpoints ───────────────────────────────────────────────────────────────────────────

GOOGLE_NAMES = {
    "bert": {
        "bert/embeddings/word_embeddings": (None, 8),
        "bert/embeddings/position_embeddings": (64, 8),
        "bert/embeddings/token_type_embeddings": (2, 8),
        "bert/embeddings/LayerNorm/gamma": (8,),
        "bert/encoder/layer_1/attention/self/query/kernel": (8, 8),
        "bert/encoder/layer_1/attention/output/LayerNorm/beta": (8,),
        "bert/encoder/layer_1/intermediate/dense/kernel": (8, 16),
        "bert/encoder/layer_1/output/dense/kernel": (16, 8),
    },
    "albert": {
        "bert/embeddings/word_embeddings": (None, 6),
        "bert/encoder/embedding_hidden_mapping_in/kernel": (6, 8),
        "bert/encoder/transformer/group_0/inner_group_0/attention_1/self/value/bias": (8,),
        "bert/encoder/transformer/group_0/inner_group_0/attention_1/output/dense/kernel": (8, 8),
        "bert/encoder/transformer/group_0/inner_group_0/ffn_1/intermediate/dense/kernel": (8, 16),
        "bert/encoder/transformer/group_0/inner_group_0/ffn_1/intermediate/output/dense/kernel": (16, 8),
        "bert/encoder/transformer/group_0/inner_group_0/LayerNorm_1/gamma": (8,),
    },
    "electra": {
        "bert/embeddings/position_embeddings": (64, 6),
        "bert/encoder/embedding_hidden_mapping_in/kernel": (6, 8),
        "bert/encoder/layer_1/attention/output/LayerNorm/beta": (8,),
    },
    "ernie": {
        "bert/embeddings/position_embeddings": (64, 8),
        "bert/embeddings/task_type_embeddings": (3, 8),
    },
    "nezha": {"bert/embeddings/LayerNorm/gamma": (8,), "bert/encoder/layer_1/output/dense/bias": (8,)},
    "roformer": {"bert/embeddings/word_embeddings": (None, 6), "bert/embeddings/LayerNorm/gamma": (6,)},
    "roformer_v2": {"bert/encoder/layer_1/attention/self/value/kernel": (8, 8)},
}


def test_what_a_kind_lacks_has_no_variables(encoder_config):
    named = {kind: named_variables(transformer_of(kind, encoder_config(kind))) for kind in KINDS}
    without = {kind for kind in KINDS if "bert/embeddings/position_embeddings" not in named[kind]}
    assert without == {"nezha", "roformer", "roformer_v2"}
    assert [kind for kind in KINDS if "bert/embeddings/task_type_embeddings" in named[kind]] == ["ernie"]
    assert len(named["roformer_v2"]) == 2 + 2 * 6  # tokens, segments, and each layer's products
    assert not any(name.endswith(("bias", "gamma", "beta")) for name in named["roformer_v2"])


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_shapes_are_googles(encoder_config, vocab, kind):
    named = named_variables(transformer_of(kind, encoder_config(kind)))
    found = {name: tuple(named[name].shape) for name in GOOGLE_NAMES[kind] if name in named}
    assert found == {
        name: tuple(len(vocab) if size is None else size for size in shape)
        for name, shape in GOOGLE_NAMES[kind].items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_is_loaded_exactly(encoder_config, tmp_path, kind):
    transformer = transformer_of(kind, encoder_config(kind))
    arrays = random_arrays(transformer)
    prefix = write_checkpoint(tmp_path / "model.ckpt-best", arrays)
    assert load_weights(transformer, open_weights(kind, prefix)) == []
    assert len(arrays) == len(transformer.model.weights)
    for name, variable in named_variables(transformer).items():
        np.testing.assert_array_equal(variable.numpy(), arrays[name], err_msg=name)


def test_names_that_no_encoder_reads_are_returned(albert, tmp_path):
    extra = {
        "cls/predictions/output_bias": np.zeros(3, np.float32),
        "bert/pooler/dense/kernel": np.eye(8),
        "bert/embeddings/word_embeddings/adam_m": np.zeros(3),
        "global_step": np.zeros(()),
    }
    prefix = write_checkpoint(tmp_path / "bert_model.ckpt", random_arrays(albert) | extra)
    assert load_weights(albert, open_weights("albert", prefix)) == sorted(extra)


def test_everything_wrong_is_listed_in_one_error_and_nothing_is_loaded(albert, tmp_path):
    arrays = random_arrays(albert)
    missing, wrong = "bert/embeddings/LayerNorm/beta", "bert/encoder/embedding_hidden_mapping_in/kernel"
    surplus = "bert/encoder/transformer/group_1/inner_group_0/LayerNorm/beta"
    del arrays[missing]
    arrays |= {wrong: np.zeros((7, 8), np.float32), surplus: np.zeros(8, np.float32)}
    before = albert.model.get_weights()
    with pytest.raises(CheckpointError) as caught:
        load_weights(albert, open_weights("albert", write_checkpoint(tmp_path / "x.ckpt", arrays)))
    problems = caught.value.problems
    assert [line for line in problems if missing in line and "found none" in line]
    assert [line for line in problems if wrong in line and "(6, 8)" in line and "(7, 8)" in line]
    assert [line for line in problems if line.startswith(surplus) and "no such" in line]
    assert len(problems) == 4  # the last one tells what the checkpoint holds
    for value, old in zip(albert.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


def test_a_deeper_checkpoint_than_its_config_is_refused(encoder_config, tmp_path):
    deep = transformer_of("bert", encoder_config("bert") | {"num_hidden_layers": 3})
    prefix = write_checkpoint(tmp_path / "x.ckpt", random_arrays(deep))
    problems, _ = compare_weights(
        transformer_of("bert", encoder_config("bert")), open_weights("bert", prefix)
    )
    assert len(problems) == 16
    assert all("layer_2" in line for line in problems)


def test_an_index_without_its_data_is_refused(albert, tmp_path):
    prefix = write_checkpoint(tmp_path / "x.ckpt", random_arrays(albert))
    (tmp_path / "x.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(CheckpointError, match=re.escape(prefix)):
        load_weights(albert, open_weights("albert", prefix))


@pytest.mark.parametrize("change", ["cut", "flipped"])
def test_a_damaged_data_file_is_told(albert, tmp_path, change):
    prefix = write_checkpoint(tmp_path / "x.ckpt", random_arrays(albert))
    path = tmp_path / "x.ckpt.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data if change == "flipped" else data[:100])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_weights(albert, open_weights("albert", prefix))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1j, 3, True, "text"])
def test_what_is_not_a_finite_float_is_refused(albert, tmp_path, value):
    arrays = random_arrays(albert)
    name = "bert/embeddings/LayerNorm/beta"
    kind = np.float32 if isinstance(value, float) else None
    arrays[name] = np.full(arrays[name].shape, value, kind)
    with pytest.raises(CheckpointError, match=name):
        load_weights(albert, open_weights("albert", write_checkpoint(tmp_path / "x.ckpt", arrays)))


# ── forward passes against NumPy's ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
@pytest.mark.parametrize("kind", KINDS)
def test_forward_pass_equals_an_independent_one(encoder_config, tmp_path, kind, activation):
    config = encoder_config(kind) | {"hidden_act": activation}
    transformer = transformer_of(kind, config)
    arrays = random_arrays(transformer)
    load_weights(transformer, open_weights(kind, write_checkpoint(tmp_path / "x.ckpt", arrays)))
    expected = hidden_states(kind, config, arrays, *BATCH)[BATCH[0] != 0]
    np.testing.assert_allclose(run(transformer), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_google_calls_alberts_tanh_formula_gelu(encoder_config, vocab, tmp_path, kind):
    """As its own code does; BERT's gelu is the exact one."""
    config, arrays = encoder_config(kind), random_arrays(transformer_of(kind, encoder_config(kind)))
    _, transformer, _ = load_directory(write_directory(tmp_path / "x", config, vocab, arrays))
    activation = "gelu_new" if kind == "albert" else config["hidden_act"]
    expected = hidden_states(kind, config | {"hidden_act": activation}, arrays, *BATCH)[BATCH[0] != 0]
    np.testing.assert_allclose(run(transformer), expected, atol=1e-5)


# ── forward passes against Hugging Face's ──────────────────────────────────────────────────────────


# PyTorch and TensorFlow do not live in one process.
TRANSFORMERS = """
import json, sys
import numpy as np
try:
    import torch, transformers
except ImportError:
    sys.exit(77)
directory, kind = sys.argv[1:]
config = json.load(open(f"{directory}/config.json"))
torch.manual_seed(0)
name = {"roformer": "RoFormer"}.get(kind, kind.capitalize())
config = getattr(transformers, f"{name}Config")(**config)
model = getattr(transformers, f"{name}Model")(config).eval()
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:  # RoFormer's sines
            continue
        scales = "LayerNorm.weight" in name or "layer_norm.weight" in name
        parameter.copy_(torch.randn_like(parameter) * 0.3 + scales)
model.save_pretrained(directory, safe_serialization=True)
batch = np.load(f"{directory}/batch.npz")
ids = torch.tensor(batch["token_ids"])
states = model(ids, attention_mask=(ids != 0).long(), token_type_ids=torch.tensor(batch["segment_ids"]))
states = states.last_hidden_state
(states * torch.tensor(batch["upstream"])).sum().backward()
np.save(f"{directory}/states.npy", states.detach().numpy())
learned = [(name, parameter.grad) for name, parameter in model.named_parameters()]
np.savez(f"{directory}/gradients.npz", **{name: grad.numpy() for name, grad in learned if grad is not None})
"""


@pytest.mark.parametrize(
    ("name", "kind", "changes"),
    [
        ("bert", "bert", {}),
        ("albert v1", "albert", {"hidden_act": "gelu"}),
        ("albert v2", "albert", {"hidden_act": "gelu_new"}),
        ("albert zh", "albert", {"hidden_act": "relu"}),
        ("electra", "electra", {}),
        ("electra base", "electra", {"embedding_size": 8}),
        ("ernie", "ernie", {}),
        ("ernie 3", "ernie", {"hidden_act": "gelu", "layer_norm_eps": 1e-5, "task_type_vocab_size": 16}),
        ("ernie 1", "ernie", {"use_task_id": False}),
        ("roformer", "roformer", {}),
        ("roformer base", "roformer", {"embedding_size": 8, "rotary_value": True}),
    ],
)
def test_forward_pass_equals_transformers(encoder_config, vocab, tmp_path, name, kind, changes):
    config = encoder_config(kind, 0.0) | changes | {"model_type": kind}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    upstream = np.random.default_rng(5).normal(size=(*BATCH[0].shape, 8)) * (BATCH[0] != 0)[:, :, None]
    batch = {"token_ids": BATCH[0], "segment_ids": BATCH[1], "upstream": upstream.astype(np.float32)}
    np.savez(tmp_path / "batch.npz", **batch)
    done = subprocess.run(
        [sys.executable, "-c", TRANSFORMERS, str(tmp_path), kind], capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip("torch and transformers are not installed")
    assert done.returncode == 0, done.stderr[-2000:]
    _, transformer, _ = load_directory(tmp_path)
    expected = np.load(tmp_path / "states.npy")[BATCH[0] != 0]
    difference = np.abs(run(transformer) - expected).max()
    print(f"{name}: greatest difference {difference:.1e}")
    assert difference < 1e-5
    error = gradient_error(kind, transformer, batch["upstream"], np.load(tmp_path / "gradients.npz"))
    print(f"{name}: greatest difference of a gradient, beside its largest value {error:.1e}")
    assert error < 1e-4


def gradient_error(kind, transformer, upstream, theirs):
    """How far each variable's gradient is from theirs, beside the largest value of it; all must have one."""
    variables = named_variables(transformer)
    with tf.GradientTape() as tape:
        states = transformer.model([tf.constant(ids) for ids in BATCH], training=True)
        total = tf.reduce_sum(states * upstream)
    ours = dict(zip(variables, tape.gradient(total, list(variables.values())), strict=True))
    assert ours.keys() == {google_name(kind, name) for name in theirs} & ours.keys()
    errors = []
    for name, gradient in theirs.items():
        own = google_name(kind, name)
        forgotten = own.endswith("key/bias") and kind != "roformer"  # by the softmax: its gradient is 0
        if own not in ours or forgotten:
            continue
        expected = gradient.T if is_turned(own) else gradient
        found = tf.convert_to_tensor(ours[own]).numpy()
        errors.append(np.abs(found - expected)[1 if own.endswith("word_embeddings") else 0 :].max())
        errors[-1] /= np.abs(expected).max()
    return max(errors)


# ── and back ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vocab_file", ["WordPiece", "SentencePiece"])
def test_a_saved_encoder_is_read_bit_for_bit(encoder_config, vocab, tmp_path, kind, vocab_file):
    from sentencepiece_model import tiny_model

    own = vocab if vocab_file == "WordPiece" else tiny_model()
    config = encoder_config(kind)
    if vocab_file == "SentencePiece":
        from raytrain.text.sentencepiece import SentencePieceTokenizer

        config["vocab_size"] = len(SentencePieceTokenizer(own))
    saved = transformer_of(kind, config, seed=3)
    save_encoder(tmp_path / "saved", saved, config, Vocab(own))
    encoder, transformer, unread = load_directory(tmp_path / "saved")
    assert unread == []
    assert (encoder.kind, encoder.vocab) == (kind, Vocab(own))
    assert {key: encoder.config[key] for key in config} == config
    for name, variable in named_variables(transformer).items():
        np.testing.assert_array_equal(variable.numpy(), named_variables(saved)[name].numpy(), err_msg=name)
    np.testing.assert_array_equal(run(transformer), run(saved))


def test_saving_never_replaces_a_directory(encoder_config, tmp_path):
    (tmp_path / "saved").mkdir()
    config = encoder_config("albert")
    with pytest.raises(CheckpointError, match="exists already"):
        save_encoder(tmp_path / "saved", transformer_of("albert", config), config, Vocab(SPECIAL_TOKENS))
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


@pytest.mark.parametrize(
    ("name", "num_layers", "depth"),
    [
        ("encoder.Transformer-3-FeedForward.0.kernel", 4, 0),
        ("encoder.Transformer-0-MultiHeadSelfAttention.1.bias", 4, 3),
        ("encoder.Transformer-11-FeedForward-Norm.0.beta", 12, 0),
        ("encoder.Embedding-Token.0.embeddings", 4, 4),
        ("encoder.Transformer-FeedForward.0.kernel", 1, 0),
        ("encoder.Embedding-Mapping.0.kernel", 1, 1),
    ],
)
def test_depth_counts_the_layers_above(name, num_layers, depth):
    assert encoder_depth(name, num_layers) == depth


@pytest.mark.parametrize(("kind", "layers"), [("bert", 2), ("albert", 1)])
def test_layers_with_weights_of_their_own_are_counted(encoder_config, kind, layers):
    model = build_transformer(kind, encoder_config(kind), 7, DropoutSeed()).model
    assert count_layers(encoder_variables(model)) == layers
