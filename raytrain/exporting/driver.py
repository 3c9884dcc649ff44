"""From an ensemble to a folder that others use: all that is wrong first, then all of it or nothing."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.devices import hushed_stderr, in_precision
from raytrain.ensemble.artifact import Ensemble, load_ensemble, read_vocab
from raytrain.ensemble.files import chunk_rows
from raytrain.ensemble.load import build_predictor, check_keras
from raytrain.ensemble.words import read_words
from raytrain.errors import InputError
from raytrain.exporting import formats, tokenization
from raytrain.exporting.check import Check, CheckTexts, check_texts, judge
from raytrain.exporting.describe import (
    DESCRIPTION,
    describe,
    describe_inputs,
    list_files,
    tokenizer_files,
    words_files,
)
from raytrain.exporting.examples import example_of
from raytrain.exporting.fit import chosen, problems_of
from raytrain.exporting.keras_weights import CONFIG, bert4keras_config, unlike_bert4keras, write_weights
from raytrain.exporting.settings import NUMERICS, ExportSettings
from raytrain.messages import logging_console
from raytrain.stages import Stages
from raytrain.storage.files import files_below, json_bytes, whole_or_not

MODELS = {"onnx": formats.ONNX, "savedmodel": formats.SAVED_MODEL}
TOKENIZATION = "tokenization.py"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        output: Where.
        files: Their names there.
        checks: How they compare with predict; none of weights alone.
        notes: What a person is to know.
    """

    output: str
    files: list[str]
    checks: list[Check]
    notes: list[str]


def export(
    ensemble: str,
    output: str | Path,
    settings: ExportSettings,
    stages: Stages | None = None,
) -> Exported:
    """Writes an ensemble so that programs without raytrain predict with it. Imports TensorFlow.

    Args:
        ensemble: Its directory, or its URI.
        output: A new folder; it appears once it is whole.
        settings: In which format, and how it is checked.
        stages: Where progress is told; None logs it to `raytrain`.

    Raises:
        InputError: With all that keeps the ensemble from being exported so.
        RaytrainError: It cannot be converted.

    Example:
        >>> import raytrain
        >>> asked = raytrain.ExportSettings("onnx", int8=True)
        >>> raytrain.export("runs/mine/ensemble", "exported", asked)  # doctest: +SKIP
    """
    stages = stages or Stages(logging_console())
    whole = load_ensemble(ensemble)
    texts = _check_asked(whole, Path(output), settings)
    own = chosen(whole, settings)
    notes = _notes(whole, own, settings.has_graph)
    with whole_or_not(output) as folder:
        folder.mkdir()
        if texts is None:
            checks: list[Check] = []
            notes += _write_weights(own, settings, folder)
        else:
            checks = _write_model(own, settings, folder, texts, stages)
            notes += _unlike_predict(checks)
        files = [path.relative_to(folder).as_posix() for path in files_below(folder)]
    return Exported(str(output), files, checks, notes)


def _check_asked(ensemble: Ensemble, output: Path, settings: ExportSettings) -> CheckTexts | None:
    """What the export is tried with; None of weights alone. Raises InputError with all that is wrong."""
    problems = _unfit_output(output) + problems_of(ensemble, settings)
    texts = None
    if settings.has_graph:
        try:
            texts = check_texts(ensemble, settings.check)
        except InputError as error:
            problems += [error.summary, *error.problems]
    if problems:
        raise InputError(f"{ensemble.directory}: it cannot be exported so", problems)
    return texts


def _unfit_output(output: Path) -> list[str]:
    if output.exists():
        return [f"output: expected a new folder, found {output}: name another, or delete it"]
    parent = output.absolute().parent
    if not parent.is_dir():
        return [f"output: the folder of {output} does not exist; make it first"]
    if not os.access(parent, os.W_OK):
        return [f"output: expected a folder that may be written, found {parent}: name another"]
    return []


def _notes(whole: Ensemble, own: Ensemble, has_graph: bool) -> list[str]:
    left = [name for name in whole.manifest.architectures if name not in own.manifest.architectures]
    if not left:
        return []
    compared = (
        "what is compared with is predict without them" if has_graph else "their weights are not written"
    )
    notes = [f"left out: {', '.join(left)}; {compared}"]
    rule = whole.manifest.rule
    if rule is not None and rule.stack is not None:
        stacked = "their stack reads all members, and is left out, too"
        notes.append(f"fusion: {stacked}; {DESCRIPTION} has the mean of those that are left")
    return notes


def _unlike_predict(checks: Sequence[Check]) -> list[str]:
    """A note where float32 numbers are further from predict's than rounding explains."""
    plain = checks[1]
    if plain.difference <= NUMERICS:
        return []
    return [
        f"{plain.model}: a probability differs by {plain.difference:.1e} from predict's, above {NUMERICS:.0e}"
    ]


def _write_weights(ensemble: Ensemble, settings: ExportSettings, folder: Path) -> list[str]:
    """Weights alone, and what describes them. Returns what a person is to know of it."""
    vocab = read_vocab(ensemble)
    tokenizer, files = tokenizer_files(vocab)
    weights = write_weights(ensemble, folder)
    config = ensemble.read_json(ensemble.encoder.config)
    (folder / CONFIG).write_bytes(json_bytes(bert4keras_config(config)))
    told = {"kind": ensemble.encoder.kind, "weights": weights, "tokenizer": tokenizer, "words": None}
    manifest = ensemble.manifest
    if manifest.words.vocabulary is not None:
        told["words"], own = words_files(read_words(ensemble))
        files |= own
    _finish(ensemble, settings, folder, {**told, "inputs": [], "outputs": []}, files)
    return unlike_bert4keras(config)


def _write_model(
    ensemble: Ensemble, settings: ExportSettings, folder: Path, texts: CheckTexts, stages: Stages
) -> list[Check]:
    """A model that runs, what stands beside it, and what was found of it beside predict."""
    ensemble = _in_float32(ensemble)
    check_keras()
    name = MODELS[settings.format]
    models = [name, formats.INT8] if settings.int8 else [name]
    with stages.stage("building the graph"), hushed_stderr(), in_precision("float32"):
        from raytrain.exporting.graph import EnsembleGraph

        graph = EnsembleGraph(ensemble)
    with stages.stage(f"writing {name}"), hushed_stderr(), in_precision("float32"):
        write = formats.write_onnx if settings.format == "onnx" else formats.write_saved_model
        write(graph, folder / name)
    if settings.int8:
        with stages.stage(f"writing {formats.INT8}"):
            formats.write_int8(folder / name, folder / formats.INT8)
    told, files = _tell_graph(graph, len(ensemble.labels))
    described = _finish(ensemble, settings, folder, {"model": name, "models": models, **told}, files)
    with stages.stage("checking", len(models) + 1, "models") as stage:
        checks = _check(ensemble, folder, models, texts, stage.advance)
    described["checks"] = {"texts": len(texts.texts), "found": [check.to_dict() for check in checks]}
    (folder / DESCRIPTION).write_bytes(json_bytes(described))
    return checks


def _tell_graph(graph: Any, num_labels: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What export.json says of what a graph reads and gives; and the files of its tokenizer and words."""
    tokenizer, files = tokenizer_files(graph.vocab)
    words = None
    if graph.reads_words:
        words, own = words_files(graph.words)
        files |= own
    proba = {"name": "proba", "dtype": "float32", "shape": ["texts", num_labels]}
    told = {"tokenizer": tokenizer, "words": words, "inputs": describe_inputs(graph.specs)}
    return told | {"outputs": [proba | {"meaning": "of each label, in their order"}]}, files


def _finish(
    ensemble: Ensemble,
    settings: ExportSettings,
    folder: Path,
    told: dict[str, Any],
    files: dict[str, bytes],
) -> dict[str, Any]:
    """Writes what stands beside the model, export.json last. Returns what it holds."""
    pairs = ensemble.reads_pairs
    files["example.py"] = example_of(settings.format, str(told.get("model", "")), pairs).encode()
    if settings.has_graph:
        files[TOKENIZATION] = Path(str(tokenization.__file__)).read_bytes()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    described = describe(ensemble, settings, told) | {"files": list_files(folder)}
    (folder / DESCRIPTION).write_bytes(json_bytes(described))
    return described


def _check(
    ensemble: Ensemble, folder: Path, models: Sequence[str], texts: CheckTexts, advance: Callable[[int], None]
) -> list[Check]:
    """predict in float32, then each model by the files that were written."""
    with hushed_stderr():
        predictor: Any = build_predictor(ensemble, None)

    at_once, decide = chunk_rows(ensemble), predictor.decide
    first, expected = judge("predict", _size_of(ensemble), predictor.predict_proba, decide, texts, at_once)
    checks = [first]
    advance(1)
    reader = tokenization.Reader(folder)
    for name in models:
        path = folder / name
        run = formats.open_saved_model(path) if name == formats.SAVED_MODEL else formats.open_onnx(path)

        def predict(texts: Sequence[str], pairs: Sequence[str] | None, run: formats.Run = run) -> np.ndarray:
            return reader.predict(texts, run, pairs)

        checks.append(judge(name, formats.size_of(path), predict, decide, texts, at_once, expected)[0])
        advance(1)
    return checks


def _size_of(ensemble: Ensemble) -> int:
    """Bytes of its weights."""
    folds = [fold for entry in ensemble.manifest.architectures.values() for fold in entry.folds]
    names = {fold.file for fold in folds} | {ensemble.encoder.weights}
    return sum(entry.bytes for entry in ensemble.manifest.files if entry.name in names)


def _in_float32(ensemble: Ensemble) -> Ensemble:
    """The ensemble, predicted in float32 whatever it was trained in."""
    config = ensemble.manifest.config
    train = config.train.model_copy(update={"precision": "float32"})
    config = config.model_copy(update={"train": train})
    return Ensemble(ensemble.directory, ensemble.manifest.model_copy(update={"config": config}))
