"""The forward pass of BERT, ALBERT and the first albert_zh in NumPy, from arrays by their published names."""

import math

import numpy as np

GROUP = "bert/encoder/transformer/group_0/inner_group_0"
# Scopes of a layer's parts: self-attention, its output, its norm, feed-forward in and out, its norm.
PARTS = {
    "bert": (
        "attention/self",
        "attention/output/dense",
        "attention/output/LayerNorm",
        "intermediate/dense",
        "output/dense",
        "output/LayerNorm",
    ),
    "albert": (
        "attention_1/self",
        "attention_1/output/dense",
        "LayerNorm",
        "ffn_1/intermediate/dense",
        "ffn_1/intermediate/output/dense",
        "LayerNorm_1",
    ),
}

_erf = np.vectorize(math.erf)
ACTIVATIONS = {
    "gelu": lambda x: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
    "gelu_new": lambda x: x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
}


def _norm(arrays, scope, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * arrays[f"{scope}/gamma"] + arrays[f"{scope}/beta"]


def _dense(arrays, scope, x):
    return x @ arrays[f"{scope}/kernel"] + arrays[f"{scope}/bias"]


def _layer(arrays, scope, parts, config, x, mask):
    attention, output, norm, inner, outer, last_norm = (f"{scope}/{part}" for part in parts)
    heads, (batch, length, width) = config["num_attention_heads"], x.shape

    def split(name):
        y = _dense(arrays, f"{attention}/{name}", x)
        return y.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)

    scores = split("query") @ split("key").transpose(0, 1, 3, 2) / math.sqrt(width // heads)
    scores = np.where(mask[:, None, None, :], scores, -1e9)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    seen = (weights @ split("value")).transpose(0, 2, 1, 3).reshape(batch, length, width)
    x = _norm(arrays, norm, x + _dense(arrays, output, seen))
    wide = ACTIVATIONS[config["hidden_act"]](_dense(arrays, inner, x))
    return _norm(arrays, last_norm, x + _dense(arrays, outer, wide))


def hidden_states(layout, config, arrays, token_ids, segment_ids):
    """The last layer's output.

    Args:
        layout: `bert`, `albert`, or `layer_shared` for the first albert_zh release.
        config: Google's, with `hidden_act` as in `raytrain.pretrained.directory.ACTIVATIONS`.
        arrays: Arrays by the names of that layout.
        token_ids: (batch, length); 0 is padding.
        segment_ids: (batch, length).
    """
    arrays = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    table = "bert/embeddings"
    x = arrays[f"{table}/word_embeddings"][token_ids]
    if layout == "layer_shared":
        x = x @ arrays[f"{table}/word_embeddings_2"]
    x = x + arrays[f"{table}/token_type_embeddings"][segment_ids]
    x = x + arrays[f"{table}/position_embeddings"][: token_ids.shape[1]]
    x = _norm(arrays, f"{table}/LayerNorm", x)
    if "bert/encoder/embedding_hidden_mapping_in/kernel" in arrays:
        x = _dense(arrays, "bert/encoder/embedding_hidden_mapping_in", x)
    mask = token_ids != 0
    for number in range(config["num_hidden_layers"]):
        scope = {
            "bert": f"bert/encoder/layer_{number}",
            "albert": GROUP,
            "layer_shared": "bert/encoder/layer_shared",
        }[layout]
        x = _layer(arrays, scope, PARTS["albert" if layout == "albert" else "bert"], config, x, mask)
    return x
