"""Names of an encoder's parameters: Hugging Face's and Google's for the same ones, in both directions.

The language model's head counts as well; its decoder is the token embedding, and named as that alone.
"""

import re
from collections.abc import Mapping, Sequence

from raytrain.kinds import KINDS, MODEL_TYPES

GROUP = "bert/encoder/transformer/group_0/inner_group_0"
_ALBERT = "albert.encoder.albert_layer_groups.0.albert_layers.0"
_HEAD = "cls/predictions"
_ENCODER_LAYERS = ("Embedding-", "Transformer-")  # of bert4keras
_UID = re.compile(r"[0-9]{1,9}")
_WIDENS = "bert/encoder/embedding_hidden_mapping_in/"
# Hugging Face's module paths and Google's scopes, the first that fits; {n} is a layer's number.
_ALBERT_SCOPES = {
    "albert.embeddings.": "bert/embeddings/",
    f"{_ALBERT}.attention.LayerNorm.": f"{GROUP}/LayerNorm/",
    f"{_ALBERT}.attention.dense.": f"{GROUP}/attention_1/output/dense/",
    f"{_ALBERT}.attention.": f"{GROUP}/attention_1/self/",
    f"{_ALBERT}.ffn.": f"{GROUP}/ffn_1/intermediate/dense/",
    f"{_ALBERT}.ffn_output.": f"{GROUP}/ffn_1/intermediate/output/dense/",
    f"{_ALBERT}.full_layer_layer_norm.": f"{GROUP}/LayerNorm_1/",
    "albert.encoder.": "bert/encoder/",
    "predictions.dense.": f"{_HEAD}/transform/dense/",
    "predictions.LayerNorm.": f"{_HEAD}/transform/LayerNorm/",
    "predictions.": f"{_HEAD}/",
}
_ELECTRA_HEAD = {
    "generator_predictions.dense.": f"{_HEAD}/transform/dense/",
    "generator_predictions.LayerNorm.": f"{_HEAD}/transform/LayerNorm/",
    "generator_lm_head.": f"{_HEAD}/",
}


def _scopes(kind: str) -> dict[str, str]:
    """Of a kind whose layers are BERT's but for its name, or of ALBERT."""
    if KINDS[kind].shares_layers:
        return _ALBERT_SCOPES
    path = KINDS[kind].model_type
    return {
        f"{path}.embeddings.": "bert/embeddings/",
        f"{path}.embeddings_project.": _WIDENS,
        f"{path}.encoder.layer.{{n}}.": "bert/encoder/layer_{n}/",
        f"{path}.encoder.": "bert/encoder/",
    } | (_ELECTRA_HEAD if kind == "electra" else {"cls.predictions.": f"{_HEAD}/"})


_SCOPES = {kind: _scopes(kind) for kind in KINDS}
_NORM, _PRODUCT = {"weight": "gamma", "bias": "beta"}, {"weight": "kernel", "bias": "bias"}
_OUTPUT_BIAS = f"{_HEAD}/output_bias"  # Hugging Face's is the bias of no layer
# Buffers, and the sines that RoFormer and NEZHA keep.
_UNNAMED = ("position_ids", "token_type_ids", "embed_positions.weight", "positions_encoding")
# Google's ELECTRA, a TensorFlow checkpoint, calls the same variables otherwise than its BERT. Its head of
# a masked language model is the generator's, which is another encoder.
_OF_ELECTRA = {
    "electra/embeddings_project/": _WIDENS,
    "electra/": "bert/",
}
_NUMBER = r"(?P<n>\d+)"
# Before an encoder's own modules: what a file calls it, or nothing.
_ENCODER_PART = re.compile(
    rf"(?:(?:{'|'.join(MODEL_TYPES)})\.)?(?=(?:embeddings|embeddings_project|encoder)\.)"
)

_KERAS_PATH = re.compile(rf"(?:.*/)?(?P<path>(?:{'|'.join(MODEL_TYPES)})/(?:embeddings|encoder)\w*/.+)")


def hugging_face_path(name: str) -> str:
    """A parameter's name under Keras, as transformers saves it to HDF5, with PyTorch's way of writing paths.

    Its leaf stays Keras's: a `kernel` is laid as Google's.

    >>> hugging_face_path("bert/tf_bert_model/bert/encoder/layer_._0/output/dense/kernel:0")
    'bert.encoder.layer.0.output.dense.kernel'
    """
    name = name.removesuffix(":0")
    found = _KERAS_PATH.fullmatch(name)
    return found["path"].replace("_._", ".").replace("/", ".") if found else name


def layer_sources(names: Mapping[str, str], layers: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Where each of Google's variables is in a file of bert4keras's layers, which Keras names.

    A layer's products have numbers (`dense`, `dense_1`) in the order in which they were made; so each kernel
    is the layer's next kernel, each bias its next bias.

    Args:
        names: In the file, to Keras's, in which the layer is one part and the leaf the last.
        layers: Each layer's variables by Google's names, in the order in which it makes them.

    Raises:
        ValueError: A layer of the encoder holds others than these; a head of others is left out.
    """
    held: dict[str, list[tuple[str, int, str]]] = {layer: [] for layer in layers}
    for source, name in names.items():
        *path, leaf = name.removesuffix(":0").split("/")
        if layer := next((part for part in reversed(path) if part in layers), None):
            held[layer].append((leaf, _uid(path[-1]), source))
    sources: dict[str, str] = {}
    for layer, found in held.items():
        expected = sorted((_keras_leaf(name), place, name) for place, name in enumerate(layers[layer]))
        if found and [leaf for leaf, *_ in sorted(found)] != [leaf for leaf, *_ in expected]:
            if not layer.startswith(_ENCODER_LAYERS):
                continue
            told = ", ".join(leaf for leaf, *_ in sorted(found)[:12])
            raise ValueError(f"{layer}: expected {', '.join(leaf for leaf, *_ in expected)}; found {told}")
        sources |= {name: place[-1] for (_, _, name), place in zip(expected, sorted(found), strict=False)}
    return sources


def _uid(name: str) -> int:
    """The number that Keras gave a layer: 0 of `dense`, 12 of `dense_12`."""
    number = name.rpartition("_")[2]
    return int(number) if _UID.fullmatch(number) else 0


def _keras_leaf(name: str) -> str:
    """What Keras calls a variable of Google's, apart from its layer."""
    leaf = name.rpartition("/")[2]
    return {"output_weights": "kernel", "output_bias": "beta" if _HEAD in name else "bias"}.get(
        leaf, "embeddings" if leaf.endswith("_embeddings") else leaf
    )


def google_name(kind: str, name: str) -> str:
    """Google's name of a parameter of Hugging Face's; the name itself where Google has none.

    Args:
        kind: A key of `kinds.KINDS`.
        name: As in model.safetensors, of the bare encoder or under a task's model; conversions of later
            kinds call the encoder `bert`, too.
    """
    found = _ENCODER_PART.match(name)
    full = f"{KINDS[kind].model_type}.{name[found.end() :]}" if found else name
    if full.endswith(_UNNAMED) or ".decoder." in full or full == "generator_lm_head.weight":
        return name
    for path, scope in _SCOPES[kind].items():
        rest = _moved(full, path, scope)
        if rest is not None:
            return _google_leaf(rest)
    return name


def bert_name(name: str) -> str:
    """BERT's name of a variable of Google's ELECTRA; the name itself where BERT has none."""
    for scope, other in _OF_ELECTRA.items():
        if name.startswith(scope):
            return other + name.removeprefix(scope)
    return name


def hugging_face_name(kind: str, name: str) -> str:
    """Hugging Face's name, under its masked language model, of a variable of Google's.

    Raises:
        KeyError: It has none.
    """
    for path, scope in _SCOPES[kind].items():
        rest = _moved(name, scope, path)
        if rest is not None:
            return _hugging_face_leaf(rest)
    raise KeyError(name)


def is_turned(name: str) -> bool:
    """Whether Google's variable of this name is the transpose of Hugging Face's parameter."""
    return name.endswith("/kernel")


def _moved(name: str, old: str, new: str) -> str | None:
    """The name with the beginning `new` instead of `old`; None where it begins otherwise."""
    pattern = re.escape(old).replace(re.escape("{n}"), _NUMBER)
    found = re.match(pattern, name)
    return None if found is None else new.format(**found.groupdict()) + name[found.end() :]


def _google_leaf(name: str) -> str:
    path, _, leaf = name.replace(".", "/").rpartition("/")
    if path.endswith("_embeddings"):
        return path
    if path == _HEAD and leaf == "bias":
        return _OUTPUT_BIAS
    return f"{path}/{(_NORM if 'LayerNorm' in path else _PRODUCT).get(leaf, leaf)}"


def _hugging_face_leaf(name: str) -> str:
    path, _, leaf = name.replace("/", ".").rpartition(".")
    if leaf.endswith("_embeddings"):
        return f"{path}.{leaf}.weight"
    if leaf == "output_bias":
        return f"{path}.bias"
    leaves = {own: other for table in (_NORM, _PRODUCT) for other, own in table.items()}
    return f"{path}.{leaves[leaf]}"
