"""The distillation of a run: one small model learns what its ensemble says."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from raytrain.cluster import connect
from raytrain.config.defaults import num_epochs
from raytrain.config.load import as_overrides, override_values
from raytrain.config.schema import Config
from raytrain.corpus.unlabelled import count_texts
from raytrain.crossval.directory import hash_inputs, identify
from raytrain.crossval.driver import announce
from raytrain.crossval.plan import Plan, load_plan
from raytrain.crossval.prepare import PreparedRun
from raytrain.ensemble.artifact import Ensemble, load_ensemble
from raytrain.ensemble.files import known_id_column
from raytrain.errors import ConfigError
from raytrain.files.reading import Reading
from raytrain.files.told import reading_lines
from raytrain.folds.spec import FoldData
from raytrain.folds.tracking import check_tracking
from raytrain.fusion.rule import FusionRule
from raytrain.messages import logging_console
from raytrain.pretrained.start import hash_input
from raytrain.refit.finished import FinishedRun, change_config, keys_unread_by, read_finished, without_test
from raytrain.refit.model import OneModel, read_model
from raytrain.refit.place import Place, take_place
from raytrain.refit.teacher import Taught, ask_ensemble, read_oof
from raytrain.refit.train import build_specs_of_all, prepare_rows, result_lines, single_rule, train_artifact
from raytrain.splits.folds import learn_all
from raytrain.stages import Stages
from raytrain.storage.files import json_bytes, sha256
from raytrain.tasks import reads_encoder

_BY_FLAGS = Reading(by_flags=True)
CHANGEABLE = ("train.", "seed", "model.", "encoder.", "words.", "distill.", "data.test")


def distill_run(
    run: str,
    texts: str | None = None,
    columns: Sequence[str] | None = None,
    output: str | None = None,
    overrides: Sequence[str] = (),
    console: Console | None = None,
    reading: Reading = _BY_FLAGS,
    **values: Any,
) -> OneModel:
    """Teaches one model a finished run's out-of-fold probabilities, and its ensemble's of other texts.

    Args:
        run: The run's directory or URI.
        texts: A file of texts without labels; None: the labelled ones alone.
        columns: Its text columns; None: as trained.
        output: Where the artifact is to lie; None: `distilled` in the run's directory.
        overrides: `key.path=value` over the student's config.
        console: Where progress is drawn; None logs each line to the logger `raytrain`.
        reading: What is said of the file of texts.
        **values: The same as overrides from Python, laid over them; two underscores stand for the dot.

    Returns:
        The student; where its artifact was there already nothing is trained.

    Raises:
        InputError: Run, config, texts, encoder or cluster cannot be used; nothing was trained.
        FoldError: The student failed for good.
        TimeBudgetError: It was used up before the end.

    Example:
        >>> import raytrain
        >>> student = raytrain.distill_run("runs/mine", texts="unlabelled.csv")  # doctest: +SKIP
        >>> student.artifact, student.metrics["taught"]["unlabelled_texts"]  # doctest: +SKIP
        ('runs/mine/distilled', 20000)
    """
    if columns and texts is None:
        expected = "expected a file of texts to read them from, found none"
        raise ConfigError(f"columns={list(columns)}: {expected}", ["name it by texts, or leave columns out"])
    console, finished = console or logging_console(), read_finished(run)
    config = student_config(finished, [*overrides, *as_overrides(values)], texts)
    own_columns = list(columns or config.data.text_columns)
    ensemble = load_ensemble(finished.ensemble)
    budget = config.cluster.time_budget
    stages = Stages(console, None if budget is None else time.time() + budget)
    with take_place(output or f"{finished.directory}/distilled", config) as place:
        if texts is not None:
            count_texts(texts, own_columns, known_id_column(config.data.id, texts, reading), reading)
            for line in reading_lines(texts, reading):
                stages.say(f"{texts}: {line}")
        prepared = prepare_rows(finished, config, False, stages)
        inputs = student_inputs(config, ensemble, prepared, texts, own_columns, reading)
        prepared = replace(prepared, hashes=inputs)
        rule = _student_rule(ensemble, config)
        if place.is_made(prepared.hashes, rule):
            console.print(f"{place.artifact} is there; nothing to train", highlight=False, markup=False)
            return read_model(place.artifact)
        check_tracking(config)
        connect(config.cluster.address)
        oof, taught = read_oof(ensemble, prepared.corpus, finished.dropped), None
        if texts is not None:
            name = f"teacher-{identify(config, prepared.hashes)[:16]}.parquet"
            taught = ask_ensemble(ensemble, texts, own_columns, place.training, name, stages, reading)
        summary = _teach(finished, config, prepared, oof, taught, rule, place, stages)
    for line in result_lines(summary):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return OneModel(str(place.artifact), summary)


def student_config(run: FinishedRun, overrides: Sequence[str], texts: str | None) -> Config:
    """The run's config, but for a small encoder and one architecture, and overrides over it.

    Raises:
        ConfigError: They are not of a student.
    """
    if run.config.task != "classify":
        raise ConfigError(
            f"{run.directory}: expected a run of task=classify, found task={run.config.task}",
            ["a tagger is not distilled; refit makes one model of its run"],
        )
    networks = [name for name in run.config.model.architectures if reads_encoder(name)]
    if not networks and "model.architecture" not in override_values(overrides):
        raise ConfigError(
            "model.architecture: the run has tfidf alone, which cannot learn a teacher's probabilities",
            ["say which network is to learn them, e.g. model.architecture=textcnn"],
        )
    own = ["encoder.checkpoint=mini", "encoder.pretrained=true", "train.pseudo_labels=null"]
    # Of another encoder and of its size.
    own += [f"{key}=null" for key in ("train.learning_rate", "train.encoder_learning_rate")]
    if networks:
        own.append(f"model.architecture={networks[0]}")
    own += as_overrides(keys_unread_by([*own, *overrides]))
    config = without_test(change_config(run, [*own, *overrides], CHANGEABLE))
    wrong = {
        "model.architecture: expected one network; tfidf cannot learn a teacher's probabilities": (
            not all(reads_encoder(name) for name in config.model.architectures)
        ),
        f"model.architecture: expected one; found {', '.join(config.model.architectures)}": (
            len(config.model.architectures) > 1
        ),
        "train.pseudo_labels: expected null: the teacher labels texts, --texts FILE names them": (
            config.train.pseudo_labels is not None
        ),
        "words.keywords: expected null with --texts; say words.keywords=null": (
            texts is not None and config.words.keywords is not None
        ),
    }
    problems = [problem for problem, is_so in wrong.items() if is_so]
    if problems:
        raise ConfigError("the student cannot be trained so", problems)
    return config


def student_inputs(
    config: Config,
    ensemble: Ensemble,
    prepared: PreparedRun,
    texts: str | None,
    columns: list[str],
    reading: Reading = _BY_FLAGS,
) -> dict[str, str]:
    """What a student is made of, by name: of encoder and words its own, where they are not the run's.

    Args:
        config: Of the student.
        ensemble: The teacher.
        prepared: With the hashes of the run.
        texts: The file of texts without labels, if any.
        columns: Its text columns.
        reading: What is said of it.
    """
    inputs = prepared.hashes | hash_inputs(config, prepared.encoder)
    inputs["the run's ensemble"] = sha256(json_bytes([file.model_dump() for file in ensemble.manifest.files]))
    if texts is not None:
        inputs["--texts"] = f"{hash_input('--texts', Path(texts))} {' '.join(columns)}"
        if reading != _BY_FLAGS:  # what was made before files could be read otherwise stays
            inputs["--texts"] += f" {[reading.encoding, reading.quoting, reading.columns]}"
    return inputs | {f"distill.{key}": str(value) for key, value in config.distill.model_dump().items()}


def _student_rule(ensemble: Ensemble, config: Config) -> FusionRule | None:
    """How the ensemble decides; what the student is taught is fused and tempered already."""
    rule = ensemble.manifest.rule
    rule = None if rule is None else replace(rule, stack=None, temperature=1.0)
    return single_rule(rule, config.model.architectures)


def _teach(
    run: FinishedRun,
    config: Config,
    prepared: PreparedRun,
    oof: np.ndarray,
    taught: Taught | None,
    rule: FusionRule | None,
    place: Place,
    stages: Stages,
) -> dict[str, Any]:
    """Trains the student, and writes its artifact."""
    plan = load_plan(place.training, config, prepared, stages, None if taught is None else taught.texts)
    announce(plan, stages.console)
    [architecture] = config.model.architectures
    epochs = num_epochs(config, architecture, plan.pretrained, plan.shared.features.num_rows)
    data = taught_data(plan, oof if taught is None else np.concatenate([oof, taught.proba]))
    specs = build_specs_of_all(plan, data, {architecture: epochs}, **config.distill.model_dump())
    counts = {
        "labelled_rows": len(oof),
        "with_out_of_fold": int(np.isfinite(oof).all(axis=1).sum()),
        "unlabelled_texts": 0 if taught is None else len(taught.proba),
    }
    facts = {
        "made_by": "distill",
        "folds": run.scores(run.config.model.architectures),
        "taught": counts | config.distill.model_dump(),
    }
    told = ", ".join(f"{count:,} {key.replace('_', ' ')}" for key, count in counts.items())
    stages.say(f"teacher: {run.ensemble} ({told})")
    return train_artifact(plan, specs, place, facts, rule, stages)


def taught_data(plan: Plan, teacher: np.ndarray) -> FoldData:
    """What a student reads: all texts are learned, those without a label, too."""
    data = plan.fold_data()
    return replace(data, folds=learn_all(len(teacher)), teacher=teacher.astype(np.float32))
