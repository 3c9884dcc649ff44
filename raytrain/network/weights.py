"""A model's variables by name; an encoder's, from a checkpoint and to one."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from bert4keras.models import BERT
from safetensors import SafetensorError

from raytrain.errors import ArtifactError, CheckpointError
from raytrain.kinds import KINDS
from raytrain.storage.files import whole_or_not
from raytrain.text.tokenizer_files import CONFIG
from raytrain.text.vocab import LOWERED, Vocab, tokenizer_config, vocab_file

keras = tf.keras

_READ_ERRORS = (
    tf.errors.OpError,
    SafetensorError,
    OSError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
)
_SLOTS = re.compile(r"/(adam|lamb)_[mv](_\d+)?$|/(Adam|LAMB)(_\d+)?$")
# Of kinds of which a config may leave out a part that the checkpoint has, as transformers does.
_LEFT_OUT = {"ernie": ("bert/embeddings/task_type_embeddings",)}
_WORDS, _POSITIONS = "bert/embeddings/word_embeddings", "bert/embeddings/position_embeddings"
_MOST_MISSING = 10  # that are named; where more are, the names are others'
_NUMBER = re.compile(r"encoder\.Transformer-(\d+)-")


@dataclass(frozen=True)
class Weights:
    """A checkpoint's variables under Google's names; those that have none keep their own.

    Attributes:
        path: Where it lies.
        layout: What wrote it, for people.
        shapes: Name to shape.
        read: Gives the array of a name.
    """

    path: str
    layout: str
    shapes: dict[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]


def named_variables(transformer: BERT) -> dict[str, tf.Variable]:
    """The encoder's variables by Google's names."""
    return {
        name: variable
        for layer, names in transformer.variable_mapping().items()
        if layer in transformer.layers
        for variable, name in zip(transformer.layers[layer].trainable_weights, names, strict=True)
    }


def compare_weights(transformer: BERT, weights: Weights) -> tuple[list[str], list[str]]:
    """Holds a checkpoint against the encoder that its config describes.

    Returns:
        Everything that keeps it from being loaded, a line each: variables that are missing, of another
        shape, or left over although they belong to an encoder. And the names of variables that no encoder
        reads: pooler, language model, the optimizer's, an ERNIE's tasks where its config leaves them out.
    """
    expected = {name: tuple(variable.shape) for name, variable in named_variables(transformer).items()}
    missing = [name for name in expected if name not in weights.shapes]
    problems = [
        f"expected the variable {name}, shape {expected[name]}; found none"
        for name in missing[:_MOST_MISSING]
    ]
    if len(missing) > _MOST_MISSING:
        problems.append(f"and {len(missing) - _MOST_MISSING:,} more variables of which it has none")
    if _POSITIONS in missing and _WORDS not in missing:
        advice = 'say "model_type": "roformer" or "nezha" in its config if it is one, and of a RoFormer v2 '
        advice += '"norm_type": "rms_norm", "use_bias": false, too'
        problems.append(f"a RoFormer and a NEZHA have no {_POSITIONS}: {advice}")
    problems += [
        f"{name}: expected shape {shape}, found {weights.shapes[name]}"
        for name, shape in expected.items()
        if weights.shapes.get(name, shape) != shape
    ]
    left = sorted(weights.shapes.keys() - expected.keys())
    surplus = [
        name
        for name in left
        if name.startswith(("bert/encoder/", "bert/embeddings/"))
        and not _SLOTS.search(name)
        and name not in _LEFT_OUT.get(transformer.kind, ())
    ]
    problems += [
        f"{name}, shape {weights.shapes[name]}: the config's encoder has no such" for name in surplus
    ]
    return problems, [name for name in left if name not in surplus]


def load_weights(transformer: BERT, weights: Weights) -> list[str]:
    """Sets every variable of an encoder from a checkpoint, one after another.

    Returns:
        Names of variables in the checkpoint that no encoder reads.

    Raises:
        CheckpointError: Listing every variable that is missing, left over or of another shape.
    """
    problems, unread = compare_weights(transformer, weights)
    if problems:
        names = sorted(weights.shapes)
        problems.append("it holds " + ", ".join(names[:8]) + (", …" if len(names) > 8 else ""))
        raise CheckpointError(f"{weights.path}: its variables are not those of the config", problems)
    for name, variable in named_variables(transformer).items():
        variable.assign(read_array(weights, name))
    return unread


def read_array(weights: Weights, name: str) -> np.ndarray:
    """A variable's array in float32. Raises CheckpointError where it cannot be read or is not finite."""
    try:
        array = weights.read(name)
        if not tf.as_dtype(array.dtype).is_floating:
            raise ValueError(f"expected floats, found {array.dtype}")
        array = array.astype(np.float32)
    except _READ_ERRORS as error:
        raise CheckpointError(f"{weights.path}: {name} cannot be read: {error}") from error
    if not np.isfinite(array).all():
        raise CheckpointError(f"{weights.path}: {name} is not finite")
    return array


def save_encoder(
    directory: Path,
    transformer: BERT,
    config: dict[str, Any],
    vocab: Vocab,
    beside: Mapping[str, tf.Variable] | None = None,
) -> None:
    """Writes an encoder in Google's format, which `read_encoder` and `open_weights` read bit for bit.

    Args:
        directory: A new directory; it appears once it is whole.
        transformer: Of `network.encoders.build_transformer`.
        config: What it was built of.
        vocab: As in `EncoderFiles`.
        beside: What else belongs to it, such as a language model's head, by Google's names.

    Raises:
        CheckpointError: The directory exists or cannot be written.
    """
    kind = transformer.kind
    variables = named_variables(transformer) | dict(beside or {})
    try:
        if directory.exists():
            raise FileExistsError(17, "it exists already")
        directory.parent.mkdir(parents=True, exist_ok=True)
        with whole_or_not(directory) as unfinished:
            unfinished.mkdir()
            text = json.dumps({**config, **KINDS[kind].said}, indent=2)
            (unfinished / f"{kind}_config.json").write_text(f"{text}\n", encoding="utf-8")
            name, data = vocab_file(vocab)
            (unfinished / name).write_bytes(data)
            if vocab.folding != LOWERED:  # which Google leaves to whoever reads it
                (unfinished / CONFIG).write_text(f"{json.dumps(tokenizer_config(vocab))}\n", encoding="utf-8")
            tf.raw_ops.SaveV2(
                prefix=str(unfinished / f"{kind}_model.ckpt"),
                tensor_names=list(variables),
                shape_and_slices=[""] * len(variables),
                tensors=[variable.read_value() for variable in variables.values()],
            )
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(f"{directory}: cannot be written: {reason}") from error


def _named_variables(layers) -> dict[str, tf.Variable]:
    """Names by layer and position: Keras's own names count every layer the process has built."""
    named = {}
    parts = [part for layer in layers for part in getattr(layer, "parts", [layer])]
    for layer in parts:
        for position, weight in enumerate(layer.weights):
            leaf = weight.name.rsplit("/", 1)[-1].split(":")[0]
            named[f"{layer.name}.{position}.{leaf}"] = weight
    return named


def encoder_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """The encoder's variables by name, each starting with `encoder.`; none where a head stands alone."""
    encoder = find_part(model, "encoder")
    named = _named_variables(encoder.layers) if encoder is not None else {}
    return {f"encoder.{name}": weight for name, weight in named.items()}


def head_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """The head's variables by name."""
    head = find_part(model, "head")
    return _named_variables(head.layers) if head is not None else {}


def find_part(model: keras.Model, name: str) -> keras.Model | None:
    """The encoder or the head of a model, which may itself be one of them."""
    parts = [model, *model.layers]
    return next((part for part in parts if part.name == name), None)


def encoder_depth(name: str, num_layers: int) -> int:
    """How many of an encoder's layers lie above a variable of it: 0 in the last.

    Args:
        name: As in `encoder_variables`.
        num_layers: Of the encoder; ALBERT's share their weights and are one.
    """
    if not name.startswith("encoder.Transformer"):
        return num_layers
    number = _NUMBER.match(name)
    return num_layers - 1 - int(number[1]) if number else 0


def count_layers(names: Iterable[str]) -> int:
    """Layers of an encoder with weights of their own, by its variables' names."""
    numbers = [int(found[1]) for name in names if (found := _NUMBER.match(name))]
    return max(numbers, default=0) + 1


def max_positions(model: keras.Model) -> int | None:
    """How many tokens of a text the encoder has positions for; None where nothing bounds them."""
    return find_part(model, "encoder").max_positions


def has_trainable_encoder(model: keras.Model) -> bool:
    encoder = find_part(model, "encoder")
    return encoder is not None and encoder.trainable


def learned_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """What a fold learns, by name: the head, and the encoder where it trains."""
    learned = head_variables(model)
    return learned | encoder_variables(model) if has_trainable_encoder(model) else learned


def read_variables(variables: dict[str, tf.Variable]) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in variables.items()}


def assign_variables(variables: dict[str, tf.Variable], values: dict[str, np.ndarray], source: str) -> None:
    """Sets variables by name; names and shapes must be the same on both sides.

    Raises:
        ArtifactError: Naming `source` and everything missing, left over, of another shape, or not finite.
    """
    problems = [f"no weight {name}" for name in variables.keys() - values.keys()]
    problems += [f"a weight {name} that the model lacks" for name in values.keys() - variables.keys()]
    problems += [
        f"{name}: expected shape {tuple(variables[name].shape)}, found {values[name].shape}"
        for name in variables.keys() & values.keys()
        if not variables[name].shape.is_compatible_with(values[name].shape)
    ]
    problems += [
        f"{name}: expected finite numbers, found NaN or infinity"
        for name, value in values.items()
        if value.dtype.kind == "f" and not np.isfinite(value).all()
    ]
    if problems:
        raise ArtifactError(f"{source}: its weights are not those of the model", sorted(problems))
    for name, variable in variables.items():
        variable.assign(values[name])
