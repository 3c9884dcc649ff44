"""The forward pass of every kind of encoder, the first albert_zh among them, in NumPy: arrays by name."""

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
    if f"{scope}/gamma" not in arrays:  # RoFormer's second version
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * arrays[f"{scope}/gamma"] + arrays[f"{scope}/beta"]


def _dense(arrays, scope, x):
    return x @ arrays[f"{scope}/kernel"] + arrays.get(f"{scope}/bias", 0)


def _turned(x):
    """Su et al. 2021: a pair of channels is a complex number, turned by its position times 10000^(−2i/d)."""
    length, width = x.shape[-2:]
    angles = np.arange(length)[:, None] * 10_000.0 ** (-np.arange(0, width, 2) / width)
    turned = (x[..., ::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)
    return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)


def _distances(length, width, most):
    """Wei et al. 2019: the vector of each distance, one number after another; (queries, keys, width)."""
    vectors = np.empty((length, length, width))
    for query in range(length):
        for key in range(length):
            place = max(-most, min(most, key - query)) + most
            for channel in range(width):
                angle = place / 10_000 ** ((channel - channel % 2) / width)
                vectors[query, key, channel] = math.cos(angle) if channel % 2 else math.sin(angle)
    return vectors


def _layer(arrays, scope, parts, config, x, mask):
    attention, output, norm, inner, outer, last_norm = (f"{scope}/{part}" for part in parts)
    heads, (batch, length, width) = config["num_attention_heads"], x.shape

    def split(name):
        y = _dense(arrays, f"{attention}/{name}", x)
        return y.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)

    query, key, value = split("query"), split("key"), split("value")
    model_type, apart = config.get("model_type"), np.zeros((length, length, width // heads))
    if model_type == "roformer":
        query, key = _turned(query), _turned(key)
        value = _turned(value) if config.get("rotary_value") else value
    if model_type == "nezha":
        apart = _distances(length, width // heads, config["max_relative_position"])
    scores = query @ key.transpose(0, 1, 3, 2) + np.einsum("bhqc,qkc->bhqk", query, apart)
    scores = scores / math.sqrt(width // heads)
    scores = np.where(mask[:, None, None, :], scores, -1e9)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    seen = weights @ value + np.einsum("bhqk,qkc->bhqc", weights, apart)
    seen = seen.transpose(0, 2, 1, 3).reshape(batch, length, width)
    x = _norm(arrays, norm, x + _dense(arrays, output, seen))
    wide = ACTIVATIONS[config["hidden_act"]](_dense(arrays, inner, x))
    return _norm(arrays, last_norm, x + _dense(arrays, outer, wide))


def hidden_states(layout, config, arrays, token_ids, segment_ids):
    """The last layer's output.

    Args:
        layout: A kind of encoder, or `layer_shared` for the first albert_zh release.
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
    if layout not in ("nezha", "roformer", "roformer_v2"):
        x = x + arrays[f"{table}/position_embeddings"][: token_ids.shape[1]]
    if config.get("use_task_id"):
        x = x + arrays[f"{table}/task_type_embeddings"][0]
    x = _norm(arrays, f"{table}/LayerNorm", x)
    if "bert/encoder/embedding_hidden_mapping_in/kernel" in arrays:
        x = _dense(arrays, "bert/encoder/embedding_hidden_mapping_in", x)
    mask = token_ids != 0
    for number in range(config["num_hidden_layers"]):
        scope = {"albert": GROUP, "layer_shared": "bert/encoder/layer_shared"}.get(
            layout, f"bert/encoder/layer_{number}"
        )
        x = _layer(arrays, scope, PARTS["albert" if layout == "albert" else "bert"], config, x, mask)
    return x
