"""Checkpoints of Google's, of the first albert_zh and of Hugging Face, opened under Google's names."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
from bert4keras.models import build_transformer_model
from encoder_checkpoints import (
    BATCH,
    KINDS,
    draw,
    load_directory,
    random_arrays,
    run,
    transformer_of,
    write_checkpoint,
    write_directory,
)
from reference_encoder import hidden_states
from safetensors.numpy import load_file, save_file
from torch_files import write_arrays

from raytrain.errors import CheckpointError
from raytrain.kinds import KINDS as KINDS_TABLE
from raytrain.network.weights import compare_weights, load_weights, named_variables
from raytrain.pretrained.directory import read_encoder
from raytrain.pretrained.names import layer_sources
from raytrain.pretrained.weights import open_weights

REAL = Path(__file__).parents[3] / "shared/checkpoints/albert_tiny_zh"


@pytest.fixture
def albert(encoder_config):
    return transformer_of("albert", encoder_config("albert"))


# ── Google's ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_googles_keeps_its_names_shapes_and_arrays(tmp_path, kind):
    arrays = draw({"bert/embeddings/word_embeddings": (5, 2), "cls/predictions/output_bias": (5,)})
    weights = open_weights(kind, write_checkpoint(tmp_path / "model.ckpt-best", arrays))
    assert weights.shapes == {name: array.shape for name, array in arrays.items()}
    assert "Google" in weights.layout and weights.path == str(tmp_path / "model.ckpt-best")
    for name, array in arrays.items():
        np.testing.assert_array_equal(weights.read(name), array)


def test_googles_electra_is_known_by_its_variables_and_read_under_berts_names(
    encoder_config, vocab, tmp_path
):
    config = {key: value for key, value in encoder_config("electra").items() if key != "model_type"}
    arrays = random_arrays(transformer_of("electra", config))
    widens = "bert/encoder/embedding_hidden_mapping_in/"
    theirs = {
        name.replace(widens, "electra/embeddings_project/").replace("bert/", "electra/"): array
        for name, array in arrays.items()
    }
    others = {"discriminator_predictions/dense/bias": np.zeros(8, np.float32)}
    directory = write_directory(tmp_path / "x", config, vocab, theirs | others)
    encoder, transformer, unread = load_directory(directory)
    assert (encoder.kind, encoder.config["hidden_act"], unread) == ("electra", "gelu", list(others))
    for name, variable in named_variables(transformer).items():
        np.testing.assert_array_equal(variable.numpy(), arrays[name], err_msg=name)


def test_a_variable_under_googles_two_names_is_refused(tmp_path):
    arrays = draw({"bert/embeddings/word_embeddings": (5, 2), "electra/embeddings/word_embeddings": (5, 2)})
    with pytest.raises(CheckpointError, match="under two names"):
        open_weights("electra", write_checkpoint(tmp_path / "x.ckpt", arrays))


@pytest.mark.parametrize("broken", ["nothing", "directory", "garbage"])
def test_what_is_no_checkpoint_is_refused_when_it_is_opened(tmp_path, broken):
    prefix = tmp_path if broken == "directory" else tmp_path / "x.ckpt"
    if broken == "garbage":
        (tmp_path / "x.ckpt.index").write_bytes(b"no index" * 40)
    with pytest.raises(CheckpointError, match=f"{re.escape(str(prefix))}: not a TensorFlow checkpoint"):
        open_weights("albert", str(prefix))


def test_a_checkpoint_is_opened_without_its_arrays(tmp_path):
    prefix = write_checkpoint(tmp_path / "x.ckpt", {"a": np.zeros((3, 2), np.float32)})
    (tmp_path / "x.ckpt.data-00000-of-00001").write_bytes(b"")
    weights = open_weights("bert", prefix)
    assert weights.shapes == {"a": (3, 2)}
    with pytest.raises((tf.errors.OpError, IndexError, ValueError)):
        weights.read("a")


def test_a_directory_of_the_name_leads_nowhere_else(albert, tmp_path):
    """TensorFlow follows the path in a directory's file `checkpoint`."""
    elsewhere = write_checkpoint(tmp_path / "elsewhere.ckpt", random_arrays(albert))
    prefix = tmp_path / "model.ckpt"
    write_checkpoint(prefix, random_arrays(albert, seed=1))
    prefix.mkdir()
    (prefix / "checkpoint").write_text(f'model_checkpoint_path: "{elsewhere}"\n')
    with pytest.raises(CheckpointError, match="a directory"):
        open_weights("albert", str(prefix))


# ── the first albert_zh's ──────────────────────────────────────────────────────────────────────────


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


def test_the_first_albert_zh_has_googles_names_and_one_embedding(tmp_path):
    arrays = draw(layer_shared_shapes(30, 6, 8, 16))
    weights = open_weights("albert", write_checkpoint(tmp_path / "x.ckpt", arrays))
    assert "albert_zh" in weights.layout
    assert len(weights.shapes) == len(arrays) - 1
    assert not [name for name in weights.shapes if "layer_shared" in name]
    words = "bert/embeddings/word_embeddings"
    assert weights.shapes[words] == (30, 8)
    np.testing.assert_allclose(weights.read(words), arrays[words] @ arrays[f"{words}_2"], rtol=1e-5)
    for name, shape in weights.shapes.items():
        assert weights.read(name).shape == shape, name


@pytest.mark.parametrize("cut", ["word_embeddings", "word_embeddings_2"])
def test_one_factor_alone_is_no_embedding(tmp_path, cut):
    arrays = draw(layer_shared_shapes(30, 6, 8, 16))
    del arrays[f"bert/embeddings/{cut}"]
    weights = open_weights("albert", write_checkpoint(tmp_path / "x.ckpt", arrays))
    left = {name: shape for name, shape in weights.shapes.items() if "word_embeddings" in name}
    assert list(left.values()) == [(6, 8) if cut == "word_embeddings" else (30, 6)]
    assert weights.read(next(iter(left))).shape == next(iter(left.values()))


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


# ── Hugging Face's ─────────────────────────────────────────────────────────────────────────────────


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
    if kind != "albert":
        name = name.replace("encoder.embedding_hidden_mapping_in", "embeddings_project")
    return f"{prefix_of(kind)}.{name}" + (".weight" if name.endswith("_embeddings") else "")


def prefix_of(kind):
    return "roformer" if kind == "roformer_v2" else kind


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_of_hugging_face_are_turned_and_what_google_has_not_keeps_its_name(
    encoder_config, tmp_path, kind
):
    arrays = random_arrays(transformer_of(kind, encoder_config(kind)))
    theirs = {
        hugging_face_name(kind, name): np.ascontiguousarray(array.T if name.endswith("kernel") else array)
        for name, array in arrays.items()
    }
    extra = {"classifier.weight": np.ones((2, 8), np.float32), "cls.kernel": np.ones((2, 3), np.float32)}
    save_file(theirs | extra, tmp_path / "model.safetensors")
    weights = open_weights(kind, str(tmp_path / "model.safetensors"))
    assert weights.shapes == {name: array.shape for name, array in (arrays | extra).items()}
    for name, array in (arrays | extra).items():
        np.testing.assert_array_equal(weights.read(name), array, err_msg=name)


@pytest.mark.parametrize("values", [np.arange(8), np.ones(8, bool)])
def test_what_is_no_float_is_not_read(tmp_path, values):
    save_file({"encoder.layer.0.output.dense.bias": values}, tmp_path / "model.safetensors")
    weights = open_weights("bert", str(tmp_path / "model.safetensors"))
    assert list(weights.shapes) == ["bert/encoder/layer_0/output/dense/bias"]
    with pytest.raises(ValueError, match="expected floats"):
        weights.read("bert/encoder/layer_0/output/dense/bias")


@pytest.mark.parametrize("prefixed", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_safetensors_directory_loads(encoder_config, vocab, tmp_path, kind, prefixed):
    config = encoder_config(kind) | {"model_type": kind}
    arrays = random_arrays(transformer_of(kind, config))
    theirs = {
        hugging_face_name(kind, name): np.ascontiguousarray(array.T if name.endswith("kernel") else array)
        for name, array in arrays.items()
    }
    theirs = (
        theirs
        if prefixed
        else {name.removeprefix(f"{prefix_of(kind)}."): array for name, array in theirs.items()}
    )
    extra = {
        "classifier.weight": np.zeros((2, 8), np.float32),
        f"{prefix_of(kind)}.embeddings.position_ids": np.arange(64)[None],
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


def test_one_variable_under_two_names_is_refused(tmp_path):
    names = ("bert.encoder.layer.0.output.dense.bias", "encoder.layer.0.output.dense.bias")
    save_file({name: np.zeros(8, np.float32) for name in names}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="two names"):
        open_weights("bert", str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("data", [b"", b"no safetensors", b"\xff" * 40])
def test_what_is_no_safetensors_file_is_refused(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        open_weights("bert", str(path))


def test_a_safetensors_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="absent"):
        open_weights("bert", str(tmp_path / "absent.safetensors"))


# ── Other files of Hugging Face's layout ───────────────────────────────────────────────────────────


def theirs_of(kind, config):
    """An encoder's arrays by Google's names, and as PyTorch has them."""
    arrays = random_arrays(transformer_of(kind, config))
    return arrays, {
        hugging_face_name(kind, name): np.ascontiguousarray(array.T if name.endswith("kernel") else array)
        for name, array in arrays.items()
    }


def assert_same(weights, arrays):
    for name, array in arrays.items():
        np.testing.assert_array_equal(weights.read(name), array, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["zip", "stream"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "model.encoder_1."])
def test_a_file_of_pytorch_gives_the_same_arrays(encoder_config, tmp_path, kind, form, prefix):
    arrays, theirs = theirs_of(kind, encoder_config(kind))
    path = write_arrays(
        tmp_path / "pytorch_model.bin", {prefix + name: a for name, a in theirs.items()}, form
    )
    weights = open_weights(kind, str(path))
    assert weights.layout == f"Hugging Face's {kind.upper()}, PyTorch {form}"
    assert weights.shapes == {name: array.shape for name, array in arrays.items()}
    assert_same(weights, arrays)


def test_heads_beside_a_wrapped_encoder_are_told_by_their_own_names(encoder_config, tmp_path):
    arrays, theirs = theirs_of("bert", encoder_config("bert"))
    held = {f"model.{name}": a for name, a in theirs.items()} | {"loss.weight": np.zeros(2, np.float32)}
    weights = open_weights("bert", str(write_arrays(tmp_path / "x.bin", held, "zip")))
    assert weights.shapes.keys() == {*arrays, "loss.weight"}
    assert_same(weights, arrays)


def test_of_several_encoders_none_is_chosen(encoder_config, tmp_path):
    arrays, theirs = theirs_of("bert", encoder_config("bert"))
    both = {f"{tower}.{name}": a for tower in ("query", "passage") for name, a in theirs.items()}
    with pytest.raises(CheckpointError, match=r"found those under passage\., query\.; save the state_dict"):
        open_weights("bert", str(write_arrays(tmp_path / "x.bin", both, "zip")))
    beside = theirs | {f"teacher.{name}": a for name, a in theirs.items()}
    assert_same(open_weights("bert", str(write_arrays(tmp_path / "y.bin", beside, "zip"))), arrays)


def test_names_of_something_else_are_told_in_few_lines(encoder_config, tmp_path):
    names = [f"gpt.h.{number}.weight" for number in range(40)]
    path = write_arrays(tmp_path / "x.bin", {name: np.zeros(2, np.float32) for name in names}, "zip")
    transformer = transformer_of("bert", encoder_config("bert"))
    with pytest.raises(CheckpointError, match=r"and \d+ more variables of which it has none") as caught:
        load_weights(transformer, open_weights("bert", str(path)))
    assert len(caught.value.problems) == 12 and "it holds gpt.h.0.weight" in caught.value.problems[-1]


def test_a_roformer_without_its_model_type_is_told_how_to_be_read(encoder_config, vocab, tmp_path):
    config = encoder_config("roformer") | {"embedding_size": 8}
    arrays = random_arrays(transformer_of("roformer", config))
    unsaid = {key: value for key, value in config.items() if key not in ("model_type", "embedding_size")}
    with pytest.raises(CheckpointError, match='say "model_type": "roformer" or "nezha" in its config'):
        load_directory(write_directory(tmp_path / "bert", unsaid, vocab, arrays))
    load_directory(write_directory(tmp_path / "own", unsaid | {"model_type": "roformer"}, vocab, arrays))


def test_norms_of_old_conversions_have_googles_leaves(encoder_config, tmp_path):
    arrays, theirs = theirs_of("bert", encoder_config("bert"))
    old = {re.sub(r"(?<=LayerNorm\.)weight$", "gamma", name): array for name, array in theirs.items()}
    old = {re.sub(r"(?<=LayerNorm\.)bias$", "beta", name): array for name, array in old.items()}
    assert old.keys() != theirs.keys()
    assert_same(open_weights("bert", str(write_arrays(tmp_path / "x.bin", old, "zip"))), arrays)


@pytest.mark.parametrize("kind", KINDS)
def test_keras_weights_of_transformers_are_laid_as_googles(encoder_config, tmp_path, kind):
    arrays, _ = theirs_of(kind, encoder_config(kind))
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        for name, array in arrays.items():
            path = hugging_face_name(kind, name).replace(".", "/")
            path = re.sub(r"(layer|albert_layer_groups|albert_layers)/(\d+)", r"\1_._\2", path)
            if name.endswith(("kernel", "gamma", "beta")):
                path = f"{path.rpartition('/')[0]}/{name.rpartition('/')[2]}"
            file[f"{kind}/tf_{kind}_model/{path}:0"] = array
        file["mlm___cls/predictions/bias:0"] = np.zeros(3, np.float32)
    weights = open_weights(kind, str(tmp_path / "tf_model.h5"))
    assert weights.layout.endswith("HDF5")
    assert_same(weights, arrays)


# ── bert4keras's ───────────────────────────────────────────────────────────────────────────────────

FORMS = ["best.h5", "best_model.weights", "best.weights", "whole.h5", "nested.h5"]


def bert4keras_model(kind, config, directory, **changes):
    """Of bert4keras alone, with weights that all count."""
    (directory / "bert4keras.json").write_text(json.dumps(config))
    model = build_transformer_model(str(directory / "bert4keras.json"), model=kind, **changes)
    shapes = {str(place): tuple(array.shape) for place, array in enumerate(model.get_weights())}
    sinusoids = [layer.name for layer in model.layers if layer.name == "Embedding-Relative-Position"]
    kept = {name: model.get_layer(name).get_weights() for name in sinusoids}
    model.set_weights(list(draw(shapes).values()))
    for name, arrays in kept.items():
        model.get_layer(name).set_weights(arrays)
    return model


def save_as(model, directory, form):
    """As users save; plain Keras makes one HDF5 file of any name, tf.keras of other names a checkpoint."""
    if form == "whole.h5":
        model.compile(tf.keras.optimizers.Adam())
        model.optimizer.build(model.trainable_variables)
        model.save(directory / form)
    elif form == "nested.h5":
        tokens, segments = (tf.keras.Input((None,)) for _ in range(2))
        output = tf.keras.layers.Dense(2)(model([tokens, segments]))
        tf.keras.Model([tokens, segments], output).save_weights(directory / form)
    else:
        model.save_weights(directory / form, save_format="h5" if form == "best_model.weights" else None)


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *(("bert", form) for form in FORMS),
        *((kind, "best.h5") for kind in ("albert", "nezha", "roformer", "roformer_v2")),
        ("albert", "best.weights"),
    ],
)
def test_weights_of_bert4keras_give_the_same_hidden_states(encoder_config, vocab, tmp_path, kind, form):
    config = encoder_config(kind) | ({"max_relative_position": 64} if kind == "nezha" else {})
    model = bert4keras_model(kind, config, tmp_path)
    directory = tmp_path / "own"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps({**config, **KINDS_TABLE[kind].said}))
    (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    save_as(model, directory, form)
    encoder, transformer, unread = load_directory(directory)
    expected = model([tf.constant(ids) for ids in BATCH]).numpy()[BATCH[0] != 0]
    np.testing.assert_allclose(run(transformer), expected, atol=1e-5)
    assert "bert4keras's" in open_weights(encoder.kind, encoder.weights).layout
    assert not [name for name in unread if "Transformer" in name and not name.startswith("optimizer")]


def test_heads_of_bert4keras_are_told_and_not_read(encoder_config, tmp_path):
    model = bert4keras_model("bert", encoder_config("bert"), tmp_path, with_mlm=True, with_pool=True)
    model.save_weights(tmp_path / "best.h5")
    names = set(open_weights("bert", str(tmp_path / "best.h5")).shapes)
    assert {"cls/predictions/output_bias", "bert/pooler/dense/kernel"} < names


def test_products_of_a_layer_are_in_the_order_of_their_numbers():
    layer = "Transformer-0-MultiHeadSelfAttention"
    names = {
        f"{layer}/{layer}/dense_{number}/kernel:0": f"{layer}/dense_{number}/kernel:0" for number in (10, 9)
    }
    assert list(layer_sources(names, {layer: ["a/kernel", "b/kernel"]}).values()) == list(names)[::-1]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("layers/multi_head_attention/q_dense/vars/0", r"save it by model\.save_weights\('best\.h5'\)"),
        ("Encoder-1-MultiHeadSelfAttention/Encoder-1-MultiHeadSelfAttention_Wq:0", "layers of keras-bert"),
        ("dense/dense/kernel:0", "save_weights_as_checkpoint"),
        (
            "Embedding-Norm/Embedding-Norm/beta_dense/kernel:0",
            "Embedding-Norm: expected beta, gamma; found kernel",
        ),
    ],
)
def test_what_keras_saved_otherwise_is_refused_with_what_to_do(tmp_path, name, advice):
    with h5py.File(tmp_path / "best.h5", "w") as file:
        file[name] = np.zeros((3, 2), np.float32)
    with pytest.raises(CheckpointError, match=advice) as caught:
        open_weights("bert", str(tmp_path / "best.h5"))
    assert len(caught.value.problems) == 1


def test_keras_s_newer_weights_are_refused_in_one_line(encoder_config, tmp_path):
    bert4keras_model("bert", encoder_config("bert"), tmp_path).save_weights(tmp_path / "best.weights.h5")
    with pytest.raises(CheckpointError, match="keeps no names of layers") as caught:
        open_weights("bert", str(tmp_path / "best.weights.h5"))
    assert len(caught.value.problems) == 1


def test_a_checkpoint_of_other_objects_is_refused_in_one_line(tmp_path):
    tf.train.Checkpoint(a=tf.Variable([1.0]), b=[tf.Variable([2.0])] * 9).write(str(tmp_path / "x.ckpt"))
    with pytest.raises(CheckpointError, match="save_weights_as_checkpoint") as caught:
        open_weights("bert", str(tmp_path / "x.ckpt"))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("graph", [b"garbage", b"\xff" * 40])
def test_a_damaged_graph_of_objects_is_refused(tmp_path, graph):
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "x.ckpt"),
        tensor_names=["_CHECKPOINTABLE_OBJECT_GRAPH"],
        shape_and_slices=[""],
        tensors=[tf.constant(graph)],
    )
    with pytest.raises(CheckpointError):
        open_weights("bert", str(tmp_path / "x.ckpt"))


def test_shards_give_the_same_arrays(encoder_config, tmp_path):
    arrays, theirs = theirs_of("bert", encoder_config("bert"))
    places = {name: f"pytorch_model-0000{number % 2}-of-00002.bin" for number, name in enumerate(theirs)}
    for file in set(places.values()):
        write_arrays(tmp_path / file, {n: a for n, a in theirs.items() if places[n] == file}, "zip")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    weights = open_weights("bert", str(index))
    assert "2 shards" in weights.layout
    assert_same(weights, arrays)


def write_tf_model(path, theirs):
    """As transformers 4's TFBertModel and its heads write PyTorch's parameters, in float16."""
    embeddings = {"word_embeddings": "weight:0", "position_embeddings": "embeddings:0"}
    embeddings["token_type_embeddings"] = "embeddings:0"
    with h5py.File(path, "w") as file:
        for name, array in theirs.items():
            *parts, leaf = name.removeprefix("bert.").split(".")
            keras = (
                {"weight": "gamma:0", "bias": "beta:0"} if parts[-1] == "LayerNorm" else {"bias": "bias:0"}
            )
            leaf = embeddings.get(parts[-1]) or keras.get(leaf, "kernel:0")
            is_turned = leaf == "kernel:0"
            place = re.sub(r"layer/(\d+)", r"layer_._\1", "/".join(parts))
            above = "mlm___cls" if parts[0] == "cls" else "bert/tf_bert_model/bert"
            file[f"{above}/{place}/{leaf}"] = (array.T if is_turned else array).astype(np.float16)
        file["nsp___cls/tf_bert_for_pre_training/nsp___cls/seq_relationship/bias:0"] = np.zeros(2, np.float16)


SMALL = REAL.parent / "weibo_bert_small"


@pytest.mark.skipif(not SMALL.exists(), reason=f"{SMALL} is not here")
@pytest.mark.parametrize("form", ["zip", "stream", "shards", "float64", "keras"])
def test_a_real_encoder_in_other_files_is_the_same(tmp_path, form):
    original = read_encoder(str(SMALL), True, 128)
    theirs = load_file(SMALL / "model.safetensors")
    for name in ("config.json", "vocab.txt"):
        (tmp_path / name).write_bytes((SMALL / name).read_bytes())
    if form == "shards":
        names = sorted(theirs)
        parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
        for file, held in parts.items():
            save_file({name: theirs[name] for name in held}, tmp_path / file)
        places = {name: file for file, held in parts.items() for name in held}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    elif form == "keras":
        write_tf_model(tmp_path / "tf_model.h5", theirs)
    elif form == "float64":
        write_arrays(tmp_path / "x.bin", {name: a.astype(np.float64) for name, a in theirs.items()}, "zip")
    else:
        write_arrays(tmp_path / "pytorch_model.bin", theirs, form)
    _, transformer, _ = load_directory(tmp_path)
    expected = transformer_of(original.kind, original.config)
    load_weights(expected, open_weights(original.kind, original.weights))
    np.testing.assert_array_equal(run(transformer), run(expected))


@pytest.mark.parametrize("said", [{}, {"use_task_id": False}])
def test_an_ernie_whose_config_leaves_out_its_tasks_loads_without_them(encoder_config, vocab, tmp_path, said):
    """As in transformers, where `use_task_id` is false unless it is said."""
    config = {key: value for key, value in encoder_config("ernie").items() if key != "use_task_id"} | said
    arrays = random_arrays(transformer_of("ernie", config))
    tasks = draw({"bert/embeddings/task_type_embeddings": (3, 8)})
    encoder, transformer, unread = load_directory(
        write_directory(tmp_path / "x", config, vocab, arrays | tasks)
    )
    assert (encoder.kind, unread) == ("ernie", list(tasks))
    for name, variable in named_variables(transformer).items():
        np.testing.assert_array_equal(variable.numpy(), arrays[name], err_msg=name)


def test_a_bert_has_no_tasks_to_leave_out(encoder_config, vocab, tmp_path):
    config = encoder_config("bert")
    arrays = random_arrays(transformer_of("bert", config))
    tasks = draw({"bert/embeddings/task_type_embeddings": (3, 8)})
    with pytest.raises(CheckpointError, match="task_type_embeddings"):
        load_directory(write_directory(tmp_path / "x", config, vocab, arrays | tasks))
