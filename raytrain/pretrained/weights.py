"""A checkpoint's variables under Google's names: Google's own, the first albert_zh's, Hugging Face's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from raytrain.errors import CheckpointError
from raytrain.network.weights import Weights
from raytrain.pretrained.names import GROUP, bert_name, google_name, hugging_face_path, is_turned
from raytrain.tensors.hdf5 import HDF5
from raytrain.tensors.open import INDEX, SUFFIXES, open_tensors

# The first albert_zh release (github.com/brightmart/albert_zh) and Google's names for the same variables.
_LAYER_SHARED = {
    "bert/encoder/layer_shared/attention/self/": f"{GROUP}/attention_1/self/",
    "bert/encoder/layer_shared/attention/output/dense/": f"{GROUP}/attention_1/output/dense/",
    "bert/encoder/layer_shared/attention/output/LayerNorm/": f"{GROUP}/LayerNorm/",
    "bert/encoder/layer_shared/intermediate/dense/": f"{GROUP}/ffn_1/intermediate/dense/",
    "bert/encoder/layer_shared/output/dense/": f"{GROUP}/ffn_1/intermediate/output/dense/",
    "bert/encoder/layer_shared/output/LayerNorm/": f"{GROUP}/LayerNorm_1/",
}
_WORDS = "bert/embeddings/word_embeddings"
_WRAPPER = "module."
# First layers of theirs; the order of what a layer holds is not written in such a file.
_BERT4KERAS = ("Embedding-", "Transformer-", "Encoder-")
_SAVE_ANEW = (
    "save it from there as a checkpoint of Google's, beside its config and vocab.txt: bert4keras's "
    "build_transformer_model(…, return_keras_model=False).save_weights_as_checkpoint('model.ckpt')"
)


def open_weights(kind: str, path: str) -> Weights:
    """Opens a checkpoint without reading its arrays.

    Args:
        kind: A key of `kinds.KINDS`.
        path: As in `EncoderFiles.weights`.

    Raises:
        CheckpointError: It is none.
    """
    if path.endswith((*SUFFIXES, INDEX)):
        return _open_tensors(kind, path)
    if Path(path).is_dir():  # TensorFlow would follow a file in it to any other place
        raise CheckpointError(f"{path}: not a TensorFlow checkpoint: a directory")
    try:
        reader = tf.train.load_checkpoint(path)
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    except (tf.errors.OpError, ValueError) as error:
        raise CheckpointError(f"{path}: not a TensorFlow checkpoint: {error}") from error
    if any(name.startswith("bert/encoder/layer_shared/") for name in shapes):
        return _open_layer_shared(path, shapes, reader.get_tensor)
    sources = _sources(path, {name: bert_name(name) for name in shapes})
    layout = f"Google's {kind.upper()}, a TensorFlow checkpoint"
    own = {name: shapes[source] for name, source in sources.items()}
    return Weights(path, layout, own, lambda name: reader.get_tensor(sources[name]))


def _open_layer_shared(
    path: str, shapes: dict[str, tuple[int, ...]], read: Callable[[str], np.ndarray]
) -> Weights:
    """The first albert_zh release: other names, and an embedding of two factors added up behind them.

    Google's ALBERT adds positions, segments and norm to the narrow embedding and widens the sum; here they
    are as wide as the layers. So what the model takes as its embedding is the factors' product.
    """
    sources = {_renamed(name): name for name in shapes}
    factors = [_WORDS, f"{_WORDS}_2"]
    found = {name: shapes[source] for name, source in sources.items()}
    if all(len(shapes.get(factor, ())) == 2 for factor in factors):
        found[_WORDS] = (shapes[_WORDS][0], shapes[factors[1]][-1])
        del found[factors[1]]

    def read_renamed(name: str) -> np.ndarray:
        array = read(sources[name])
        return array @ read(factors[1]) if name == _WORDS and factors[1] in shapes else array

    return Weights(
        path, "albert_zh's first ALBERT (layer_shared), a TensorFlow checkpoint", found, read_renamed
    )


def _renamed(name: str) -> str:
    for old, new in _LAYER_SHARED.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _open_tensors(kind: str, path: str) -> Weights:
    """Hugging Face's layout, also from under a task's model; PyTorch's kernels are transposed."""
    tensors = open_tensors(path)
    is_keras = tensors.form == HDF5
    if is_keras and any(name.startswith(_BERT4KERAS) for name in tensors.shapes):
        raise CheckpointError(f"{path}: weights of a Keras model by keras-bert or bert4keras", [_SAVE_ANEW])
    plain = _without_wrapper(tensors.shapes)
    paths = {source: hugging_face_path(name) if is_keras else name for source, name in plain.items()}
    sources = _sources(path, {source: google_name(kind, name) for source, name in paths.items()})
    turned = {name for name, source in sources.items() if is_turned(name) and name != source and not is_keras}
    own = {name: tensors.shapes[source] for name, source in sources.items()}
    own = {name: shape[::-1] if name in turned else shape for name, shape in own.items()}

    def read(name: str) -> np.ndarray:
        array = tensors.read(sources[name])
        return array.T if name in turned else array

    return Weights(path, f"Hugging Face's {kind.upper()}, {tensors.form}", own, read)


def _sources(path: str, names: dict[str, str]) -> dict[str, str]:
    """Of names in the file to Google's the other direction. Raises CheckpointError where two are one."""
    sources = {name: source for source, name in names.items()}
    twice = sorted(source for source, name in names.items() if sources[name] != source)
    if twice:
        raise CheckpointError(f"{path}: holds one variable under two names", twice)
    return sources


def _without_wrapper(shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Names in the file to names without what PyTorch's DataParallel writes before every one of them."""
    is_wrapped = all(name.startswith(_WRAPPER) for name in shapes)
    return {name: name.removeprefix(_WRAPPER) if is_wrapped else name for name in shapes}
