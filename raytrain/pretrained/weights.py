"""A checkpoint's variables under Google's names: Google's own, albert_zh's, Hugging Face's, bert4keras's."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from raytrain.errors import CheckpointError
from raytrain.kinds import MODEL_TYPES
from raytrain.network.encoders import layer_variables
from raytrain.network.weights import Weights
from raytrain.pretrained.config import LARGEST
from raytrain.pretrained.names import (
    GROUP,
    bert_name,
    google_name,
    hugging_face_path,
    is_turned,
    layer_sources,
)
from raytrain.pretrained.weight_files import OBJECT_GRAPH
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
# What a program puts before an encoder's names: `module.`, `_orig_mod.`, `model.`.
_WRAPPED = re.compile(rf"((?:.+?\.)??)(?:(?:{'|'.join(MODEL_TYPES)})\.)?embeddings\.word_embeddings\.weight")
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_OPTIMIZERS = ("optimizer_weights/", "optimizer/")
_LAYER = re.compile(r"(?:^|/)(?:Embedding|Transformer)-")
_NUMBERED = re.compile(r"(?:^|/)Transformer-([0-9]{1,4})-")
_UNNAMED = re.compile(r"(?:^|/)vars/\d+$")
_OF_KERAS_BERT = re.compile(r"(?:^|/)Encoder-")
_AS_CHECKPOINT = "save_weights_as_checkpoint('model.ckpt'), beside its config and vocab.txt"
_NAMED_ANEW = (
    "Keras's *.weights.h5 keeps no names of layers; load it where it was made and save it by "
    "model.save_weights('best.h5'), a name that ends in .h5 and not in .weights.h5; or by bert4keras's "
    f"build_transformer_model(…, return_keras_model=False).{_AS_CHECKPOINT}"
)
_SET_ANEW = (
    "layers of keras-bert (Encoder-…), which are not read; set them in those of bert4keras's "
    f"build_transformer_model(…, return_keras_model=False) and save these by {_AS_CHECKPOINT}"
)
_SAVE_ANEW = (
    "no names of BERT's variables; of bert4keras save "
    f"build_transformer_model(…, return_keras_model=False) by {_AS_CHECKPOINT}"
)


def open_weights(kind: str, path: str) -> Weights:
    """Opens a checkpoint without reading its arrays.

    Args:
        kind: A key of `kinds.KINDS`.
        path: As in `EncoderFiles.weights`.

    Raises:
        CheckpointError: It is none.
    """
    if path.endswith((*SUFFIXES, INDEX)) and (Path(path).exists() or not Path(f"{path}.index").exists()):
        return _open_tensors(kind, path)
    if Path(path).is_dir():  # TensorFlow would follow a file in it to any other place
        raise CheckpointError(f"{path}: not a TensorFlow checkpoint: a directory")
    try:
        reader = tf.train.load_checkpoint(path)
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
        graph = reader.get_tensor(OBJECT_GRAPH) if OBJECT_GRAPH in shapes else None
    except (tf.errors.OpError, ValueError) as error:
        raise CheckpointError(f"{path}: not a TensorFlow checkpoint: {error}") from error
    if any(name.startswith("bert/encoder/layer_shared/") for name in shapes):
        return _open_layer_shared(path, shapes, reader.get_tensor)
    if graph is not None:
        names = _object_names(path, graph, shapes)
        return _open_keras(kind, path, "a TensorFlow checkpoint of objects", names, shapes, reader.get_tensor)
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
    if tensors.form == HDF5:
        names = {name: name for name in tensors.shapes if not name.startswith(_OPTIMIZERS)}
        return _open_keras(kind, path, HDF5, names, tensors.shapes, tensors.read)
    plain = _without_wrapper(path, tensors.shapes)
    sources = _sources(path, {source: google_name(kind, name) for source, name in plain.items()})
    turned = {name for name, source in sources.items() if is_turned(name) and name != source}
    own = {name: tensors.shapes[source] for name, source in sources.items()}
    own = {name: shape[::-1] if name in turned else shape for name, shape in own.items()}

    def read(name: str) -> np.ndarray:
        array = tensors.read(sources[name])
        return array.T if name in turned else array

    return Weights(path, f"Hugging Face's {kind.upper()}, {tensors.form}", own, read)


def _open_keras(
    kind: str,
    path: str,
    form: str,
    names: dict[str, str],
    shapes: dict[str, tuple[int, ...]],
    read: Callable[[str], np.ndarray],
) -> Weights:
    """What Keras saved, of bert4keras's layers or of transformers; `names`: in the file to Keras's."""
    for pattern, problem in ((_UNNAMED, _NAMED_ANEW), (_OF_KERAS_BERT, _SET_ANEW)):
        if any(map(pattern.search, names.values())):
            raise CheckpointError(f"{path}: weights that Keras saved cannot be read", [problem])
    is_bert4keras = any(map(_LAYER.search, names.values()))
    if is_bert4keras:
        numbers = [int(found[1]) for name in names.values() if (found := _NUMBERED.search(name))]
        num_layers = min(max(numbers, default=0) + 1, LARGEST["num_hidden_layers"])
        try:
            sources = layer_sources(names, layer_variables(kind, num_layers))
        except ValueError as error:
            raise CheckpointError(
                f"{path}: its layers are not those of bert4keras's BERT", [str(error)]
            ) from error
        sources |= {source: source for source in names.keys() - set(sources.values())}
    else:
        paths = {source: hugging_face_path(name) for source, name in names.items()}
        google = {source: google_name(kind, name) for source, name in paths.items()}
        sources = _sources(path, {old: new if new != paths[old] else old for old, new in google.items()})
    if not any(name.startswith("bert/") for name in sources):
        raise CheckpointError(f"{path}: weights that Keras saved cannot be read", [_SAVE_ANEW])
    layout = f"{'bert4keras' if is_bert4keras else 'Hugging Face'}'s {kind.upper()}, {form}"
    own = {name: shapes[source] for name, source in sources.items()}
    return Weights(path, layout, own, lambda name: read(sources[name]))


def _object_names(path: str, graph: bytes, shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Keys of the variables in a checkpoint of objects, and the names that these had; not the optimizer's."""
    try:
        nodes = TrackableObjectGraph.FromString(graph).nodes
    except (DecodeError, TypeError) as error:
        raise CheckpointError(f"{path}: not a TensorFlow checkpoint: {error}") from error
    found = {part.checkpoint_key: part.full_name for node in nodes for part in node.attributes}
    return {
        key: name
        for key, name in found.items()
        if key in shapes and key.endswith(_VALUE) and "/optimizer/" not in f"/{key}"
    }


def _sources(path: str, names: dict[str, str]) -> dict[str, str]:
    """Of names in the file to Google's the other direction. Raises CheckpointError where two are one."""
    sources = {name: source for source, name in names.items()}
    twice = sorted(source for source, name in names.items() if sources[name] != source)
    if twice:
        raise CheckpointError(f"{path}: holds one variable under two names", twice)
    return sources


def _without_wrapper(path: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Names in the file to names without what stands before the encoder's own.

    Raises:
        CheckpointError: It holds encoders under several, and none without.
    """
    wrappers = {found[1] for name in shapes if (found := _WRAPPED.fullmatch(name))}
    if len(wrappers) > 1 and "" not in wrappers:
        told = ", ".join(sorted(wrappers))
        problem = f"expected one, found those under {told}; save the state_dict of one of them alone"
        raise CheckpointError(f"{path}: holds several encoders", [problem])
    wrapper = wrappers.pop() if len(wrappers) == 1 else ""
    return {name: name.removeprefix(wrapper) for name in shapes}
