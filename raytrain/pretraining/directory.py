"""What a pre-training leaves: its encoder, in Hugging Face's layout and in Google's, and its provenance.

The driver reads this module, so TensorFlow is imported inside the functions that workers run.
"""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from raytrain.errors import ArtifactError
from raytrain.kinds import KINDS, most_positions
from raytrain.pretrained.names import hugging_face_name, is_turned
from raytrain.pretraining.settings import PretrainSpec
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes
from raytrain.text.tokenizer_files import CONFIG
from raytrain.text.vocab import Vocab, tokenizer_config, vocab_file

if TYPE_CHECKING:
    from raytrain.pretraining.model import MaskedLanguageModel

RECORD = "pretraining.json"
SEQUENCES = "sequences"  # the folder of what is learned
# A folder for each layout: what reads an encoder's directory expects one config and one file of weights.
ENCODER, GOOGLE = "encoder", "google"
_NOT_OURS = ("dtype", "torch_dtype", "transformers_version")


def write_encoders(run: Directory, model: "MaskedLanguageModel", vocab: Vocab) -> None:
    """Writes `encoder/` in Hugging Face's layout and `google/` in Google's, head included.

    Args:
        run: The run's directory, on any storage.
        model: What was learned.
        vocab: The encoder's.
    """
    for place in (run, run / ENCODER):  # of a run that was stopped early: never beside newer weights
        place.remove(RECORD)
    with tempfile.TemporaryDirectory() as local:
        for name, write in ((ENCODER, write_hugging_face), (GOOGLE, write_google)):
            write(Path(local) / name, model, vocab)
            for path in sorted((Path(local) / name).iterdir()):
                (run / name).write_bytes(path.name, path.read_bytes())


def write_hugging_face(directory: Path, model: "MaskedLanguageModel", vocab: Vocab) -> None:
    """config.json, a vocabulary, its config and model.safetensors, as transformers' BertForMaskedLM has them.

    Args:
        directory: A new directory.
        model: The model.
        vocab: Its vocabulary.
    """
    from raytrain.network.weights import read_variables

    directory.mkdir(parents=True)
    _write_json(directory / "config.json", hugging_face_config(model.kind, model.config))
    name, data = vocab_file(vocab)
    (directory / name).write_bytes(data)
    _write_json(directory / CONFIG, tokenizer_config(vocab))
    arrays = read_variables(model.variables_by_name())
    turned = {
        hugging_face_name(model.kind, name): np.ascontiguousarray(array.T if is_turned(name) else array)
        for name, array in arrays.items()
    }
    save_file(turned, directory / "model.safetensors", {"format": "pt"})


def hugging_face_config(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """An encoder's config as Hugging Face has it; what Google leaves to its code is said."""
    said: dict[str, Any] = {
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "type_vocab_size": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    }
    positions = most_positions(kind, config)
    if positions is not None:
        said["max_position_embeddings"] = positions
    if KINDS[kind].is_narrow:
        said["embedding_size"] = config["hidden_size"]
    if KINDS[kind].shares_layers:
        said |= {"num_hidden_groups": 1, "inner_group_num": 1}
    said |= {key: value for key, value in config.items() if key not in _NOT_OURS}
    for key in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        said[key] = said.get(key) or 0.0
    return {**said, **KINDS[kind].said, "architectures": [KINDS[kind].masked]}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_google(directory: Path, model: "MaskedLanguageModel", vocab: Vocab) -> None:
    """A config, the vocabulary and a TensorFlow checkpoint, as Google's releases have them.

    Args:
        directory: A new directory.
        model: The model.
        vocab: Its vocabulary.
    """
    from raytrain.network.weights import save_encoder

    config = {key: value for key, value in model.config.items() if key not in (*_NOT_OURS, "architectures")}
    save_encoder(directory, model.transformer, config, vocab, model.head.variables_by_name())


def write_record(run: Directory, spec: PretrainSpec, told: dict[str, Any]) -> None:
    """Writes pretraining.json, beside the encoder and, last, in the run's directory.

    Args:
        run: The run's directory.
        spec: What was learned.
        told: What the workers know: steps, history, seconds, whether it was stopped early, where it ran.
    """
    record = {
        "name": spec.name,
        "identity": spec.identity,
        "seed": spec.seed,
        "settings": asdict(spec.settings),
        **spec.facts,
        **told,
    }
    data = json_bytes(record)
    (run / ENCODER).write_bytes(RECORD, data)
    run.write_bytes(RECORD, data)


def read_record(run: Directory, identity: str | None = None) -> dict[str, Any] | None:
    """What `write_record` wrote; None where it has not come so far.

    Raises:
        ArtifactError: It is damaged, or of another identity than is expected.
    """
    if not run.exists(RECORD):
        return None
    try:
        record: dict[str, Any] = json.loads(run.read_bytes(RECORD))
        found, [first, *_] = record["identity"], record["history"]
        _ = record["stopped_early"], record["steps"], record["seconds"], first["perplexity"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{run}/{RECORD} is damaged: {error!r}; delete it to end the run anew") from error
    if identity is not None and found != identity:
        raise ArtifactError(f"{run} holds an encoder of another config or other texts; delete it")
    return record


def is_finished(record: dict[str, Any] | None) -> bool:
    """Whether a run has done all its steps."""
    return record is not None and not record["stopped_early"]
