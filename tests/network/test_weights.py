import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from reference_encoder import hidden_states
from safetensors.numpy import save_file

from raytrain.pretrained.directory import read_encoder
from raytrain.network.encoders import build_transformer
from raytrain.errors import CheckpointError
from raytrain.network.layers import DropoutSeed
from raytrain.text.vocab import SPECIAL_TOKENS
from raytrain.network.weights import compare_weights, load_weights, named_variables, save_encoder
from raytrain.pretrained.weights import open_weights

KINDS = ("bert", "albert")
REAL = Path(__file__).parents[3] / "shared/checkpoints/albert_tiny_zh"
BATCH = (
    np.array([[2, 7, 9, 8, 3, 6, 3], [2, 5, 3, 0, 0, 0, 0]]),
    np.array([[0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0, 0]]),
)


def transformer_of(kind, config, seed=0):
    return build_transformer(kind, config, seed, DropoutSeed())


def run(transformer, batch=BATCH):
    """Hidden states at real positions."""
    output = transformer.model([tf.constant(ids) for ids in batch], training=False).numpy()
    return output[batch[0] != 0]


def draw(shapes, seed=0):
    """Arrays of shapes, norms around 1, all large enough that each one counts."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.normal(float(name.endswith("gamma")), 0.3, shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def random_arrays(transformer, seed=0):
    return draw(
        {name: tuple(variable.shape) for name, variable in named_variables(transformer).items()}, seed
    )


def write_checkpoint(prefix, arrays):
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(array) for array in arrays.values()],
    )
    return str(prefix)


def write_directory(directory, config, vocab, arrays, name="model.ckpt-best"):
    directory.mkdir(parents=True)
    (directory / "albert_config.json").write_text(json.dumps(config))
    (directory / "vocab_chinese.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    write_checkpoint(directory / name, arrays)
    return directory


def load_directory(directory):
    """An encoder as a run loads it."""
    encoder = read_encoder(str(directory), True, 16)
    transformer = transformer_of(encoder.kind, encoder.config)
    return encoder, transformer, load_weights(transformer, open_weights(encoder.kind, encoder.weights))


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
}


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


@pytest.mark.parametrize("broken", ["nothing", "directory", "garbage", "no data file"])
def test_what_is_no_checkpoint_is_refused(albert, tmp_path, broken):
    prefix = tmp_path / "x.ckpt"
    if broken == "directory":
        prefix = tmp_path
    elif broken == "garbage":
        (tmp_path / "x.ckpt.index").write_bytes(b"no index" * 40)
    elif broken == "no data file":
        write_checkpoint(prefix, random_arrays(albert))
        (tmp_path / "x.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(CheckpointError, match=re.escape(str(prefix))):
        load_weights(albert, open_weights("albert", str(prefix)))


def test_a_directory_of_the_name_leads_nowhere_else(albert, tmp_path):
    """TensorFlow follows the path in a directory's file `checkpoint`."""
    elsewhere = write_checkpoint(tmp_path / "elsewhere.ckpt", random_arrays(albert))
    prefix = tmp_path / "model.ckpt"
    write_checkpoint(prefix, random_arrays(albert, seed=1))
    prefix.mkdir()
    (prefix / "checkpoint").write_text(f'model_checkpoint_path: "{elsewhere}"\n')
    with pytest.raises(CheckpointError, match="a directory"):
        open_weights("albert", str(prefix))


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


def test_one_variable_under_two_names_is_refused(tmp_path):
    names = ("bert.encoder.layer.0.output.dense.bias", "encoder.layer.0.output.dense.bias")
    save_file({name: np.zeros(8, np.float32) for name in names}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="two names"):
        open_weights("bert", str(tmp_path / "model.safetensors"))


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


def layer_shared_shapes(vocab_size, width, hidden, inner):
    layer = "bert/encoder/layer_shared"
    norms = (f"{layer}/attention/output/LayerNorm", f"{layer}/output/LayerNorm", "bert/embeddings/LayerNorm")
    norm = {f"{name}/{leaf}": (hidden,) for name in norms for leaf in ("beta", "gamma")}
    dense = {
        **{f"{layer}/attention/self/{name}": (hidden, hidden) for name in ("query", "key", "value")},
        f"{layer}/attention/output/dense": (hidden, hidden),
        f"{layer}/intermediate/dense": (hidden, inner),
        f"{layer}/output/dense": (inner, hidden),
        "bert/pooler/dense": (hidden, hidden),
    }
    return {
        "bert/embeddings/word_embeddings": (vocab_size, width),
        "bert/embeddings/word_embeddings_2": (width, hidden),
        "bert/embeddings/position_embeddings": (64, hidden),
        "bert/embeddings/token_type_embeddings": (2, hidden),
        "cls/predictions/output_bias": (vocab_size,),
        **norm,
        **{f"{name}/kernel": shape for name, shape in dense.items()},
        **{f"{name}/bias": shape[1:] for name, shape in dense.items()},
    }


def test_the_first_albert_zh_becomes_the_same_model(encoder_config, vocab, tmp_path):
    config = encoder_config("albert")
    arrays = draw(layer_shared_shapes(len(vocab), 6, 8, 16))
    _, transformer, unread = load_directory(
        write_directory(tmp_path / "x", config, vocab, arrays, "albert_model.ckpt")
    )
    expected = hidden_states("layer_shared", config | {"hidden_act": "gelu_new"}, arrays, *BATCH)
    np.testing.assert_allclose(run(transformer), expected[BATCH[0] != 0], atol=1e-5)
    assert unread == ["bert/pooler/dense/bias", "bert/pooler/dense/kernel", "cls/predictions/output_bias"]


def test_a_variable_that_the_first_albert_zh_lacks_is_told(encoder_config, vocab, tmp_path):
    arrays = draw(layer_shared_shapes(len(vocab), 6, 8, 16))
    del arrays["bert/embeddings/word_embeddings_2"], arrays["bert/encoder/layer_shared/output/dense/kernel"]
    directory = write_directory(tmp_path / "x", encoder_config("albert"), vocab, arrays)
    with pytest.raises(CheckpointError) as caught:
        load_directory(directory)
    text = "\n".join(caught.value.problems)
    assert "ffn_1/intermediate/output/dense/kernel" in text
    assert "word_embeddings: expected shape" in text


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not here")
def test_the_real_index_of_the_first_albert_zh_fits():
    encoder = read_encoder(str(REAL), True, 128)
    problems, unread = compare_weights(
        transformer_of(encoder.kind, encoder.config), open_weights(encoder.kind, encoder.weights)
    )
    assert problems == []
    assert all(name.startswith(("cls/", "bert/pooler/")) for name in unread)
    assert encoder.config["embedding_size"] == encoder.config["hidden_size"] == 312


@pytest.mark.parametrize("kind", KINDS)
def test_google_calls_alberts_tanh_formula_gelu(encoder_config, vocab, tmp_path, kind):
    """As its own code does; BERT's gelu is the exact one."""
    config, arrays = encoder_config(kind), random_arrays(transformer_of(kind, encoder_config(kind)))
    _, transformer, _ = load_directory(write_directory(tmp_path / "x", config, vocab, arrays))
    activation = {"bert": "gelu", "albert": "gelu_new"}[kind]
    expected = hidden_states(kind, config | {"hidden_act": activation}, arrays, *BATCH)[BATCH[0] != 0]
    np.testing.assert_allclose(run(transformer), expected, atol=1e-5)


# ── Hugging Face's layout ──────────────────────────────────────────────────────────────────────────


def hugging_face_name(kind, name):
    """Written down apart from the code under test: Google's name to Hugging Face's."""
    layer = "encoder.albert_layer_groups.0.albert_layers.0"
    name = name.removeprefix("bert/")
    group = "encoder/transformer/group_0/inner_group_0"
    for old, new in {
        f"{group}/attention_1/self": f"{layer}.attention",
        f"{group}/attention_1/output/dense": f"{layer}.attention.dense",
        f"{group}/LayerNorm_1": f"{layer}.full_layer_layer_norm",
        f"{group}/LayerNorm": f"{layer}.attention.LayerNorm",
        f"{group}/ffn_1/intermediate/output/dense": f"{layer}.ffn_output",
        f"{group}/ffn_1/intermediate/dense": f"{layer}.ffn",
    }.items():
        name = name.replace(old, new)
    name = re.sub(r"layer_(\d+)", r"layer.\1", name).replace("/", ".")
    for old, new in {".kernel": ".weight", ".gamma": ".weight", ".beta": ".bias"}.items():
        name = name.removesuffix(old) + new if name.endswith(old) else name
    return f"{kind}.{name}" + (".weight" if name.endswith("_embeddings") else "")


@pytest.mark.parametrize("prefixed", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_safetensors_directory_loads(encoder_config, vocab, tmp_path, kind, prefixed):
    config = encoder_config(kind) | {"model_type": kind}
    arrays = random_arrays(transformer_of(kind, config))
    theirs = {
        hugging_face_name(kind, name): np.ascontiguousarray(array.T if name.endswith("kernel") else array)
        for name, array in arrays.items()
    }
    theirs = theirs if prefixed else {name.removeprefix(f"{kind}."): array for name, array in theirs.items()}
    extra = {
        "classifier.weight": np.zeros((2, 8), np.float32),
        f"{kind}.embeddings.position_ids": np.arange(64)[None],
    }
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "tokenizer_config.json").write_text("{}")
    (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    save_file(theirs | extra, directory / "model.safetensors")
    _, transformer, unread = load_directory(directory)
    assert unread == sorted(extra)
    for name, variable in named_variables(transformer).items():
        np.testing.assert_array_equal(variable.numpy(), arrays[name], err_msg=name)


def test_bfloat16_weights_are_widened(encoder_config, tmp_path):
    safetensors_tf = pytest.importorskip("safetensors.tensorflow")
    transformer = transformer_of("bert", encoder_config("bert"))
    arrays = random_arrays(transformer)
    theirs = {
        hugging_face_name("bert", name): tf.cast(
            tf.constant(array.T if name.endswith("kernel") else array), tf.bfloat16
        )
        for name, array in arrays.items()
    }
    safetensors_tf.save_file(theirs, str(tmp_path / "model.safetensors"))
    load_weights(transformer, open_weights("bert", str(tmp_path / "model.safetensors")))
    for name, variable in named_variables(transformer).items():
        np.testing.assert_allclose(variable.numpy(), arrays[name], rtol=2**-8, err_msg=name)


@pytest.mark.parametrize("data", [b"", b"no safetensors", b"\xff" * 40])
def test_what_is_no_safetensors_file_is_refused(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        open_weights("bert", str(path))


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
names = {"bert": ("BertConfig", "BertModel"), "albert": ("AlbertConfig", "AlbertModel")}[kind]
config = getattr(transformers, names[0])(**config)
model = getattr(transformers, names[1])(config).eval()
with torch.no_grad():
    for name, parameter in model.named_parameters():
        scales = "LayerNorm.weight" in name or "layer_norm.weight" in name
        parameter.copy_(torch.randn_like(parameter) * 0.3 + scales)
model.save_pretrained(directory, safe_serialization=True)
batch = np.load(f"{directory}/batch.npz")
ids = torch.tensor(batch["token_ids"])
with torch.no_grad():
    states = model(ids, attention_mask=(ids != 0).long(), token_type_ids=torch.tensor(batch["segment_ids"]))
np.save(f"{directory}/states.npy", states.last_hidden_state.numpy())
"""


@pytest.mark.parametrize(
    ("name", "kind", "changes"),
    [
        ("bert", "bert", {}),
        ("albert v1", "albert", {"hidden_act": "gelu", "hidden_dropout_prob": 0.1}),
        ("albert v2", "albert", {"hidden_act": "gelu_new", "hidden_dropout_prob": 0.0}),
        ("albert zh", "albert", {"hidden_act": "relu"}),
    ],
)
def test_forward_pass_equals_transformers(encoder_config, vocab, tmp_path, name, kind, changes):
    config = encoder_config(kind) | changes | {"model_type": kind}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    np.savez(tmp_path / "batch.npz", token_ids=BATCH[0], segment_ids=BATCH[1])
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
    save_encoder(tmp_path / "saved", saved, config, own)
    encoder, transformer, unread = load_directory(tmp_path / "saved")
    assert unread == []
    assert (encoder.kind, encoder.vocab) == (kind, own)
    assert {key: encoder.config[key] for key in config} == config
    for name, variable in named_variables(transformer).items():
        np.testing.assert_array_equal(variable.numpy(), named_variables(saved)[name].numpy(), err_msg=name)
    np.testing.assert_array_equal(run(transformer), run(saved))


def test_saving_never_replaces_a_directory(encoder_config, tmp_path):
    (tmp_path / "saved").mkdir()
    config = encoder_config("albert")
    with pytest.raises(CheckpointError, match="exists already"):
        save_encoder(tmp_path / "saved", transformer_of("albert", config), config, SPECIAL_TOKENS)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
