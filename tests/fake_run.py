"""The directory of a run that nobody trained: what its folds would have said is drawn at random."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tiny_run import make_rows, make_tagged, silent_console, write_bio, write_csv

from raytrain.config.load import load_config
from raytrain.config.schema import Config
from raytrain.corpus.tags import tag_names, type_names
from raytrain.crossval.prepare import read_texts
from raytrain.scores.oof import oof_table, score_baseline, score_folds, score_oof
from raytrain.scores.spans import count_tags, score_tags, score_types, tag_intervals
from raytrain.splits.folds import Folds, write_folds
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes, parquet_bytes
from raytrain.tasks import TASK_METRICS

NUM_FOLDS, EPOCHS = 3, 4
BASELINES = {"majority": 0.0, "tfidf_logistic": 1.0}


def write_run(
    directory: Path,
    rows: list[dict[str, str]] | None = None,
    architectures: tuple[str, ...] = ("textcnn",),
    skill: float = 2.0,
    groups: np.ndarray | None = None,
    **overrides: Any,
) -> Path:
    """A classifier's run below a directory.

    Args:
        directory: Where the corpus and the run are written.
        rows: Of the corpus, with an id, a text and a label each.
        architectures: That were trained.
        skill: How far the logit of the true class is above the others, in standard deviations.
        groups: Of rows that belong together, as in `splits.folds.Folds`.
        overrides: Of the config, two underscores for the dot.

    Returns:
        The run's directory.
    """
    own = make_rows(60) if rows is None else rows
    directory.mkdir(parents=True, exist_ok=True)
    corpus = write_csv(directory / "corpus.csv", own)
    names = list(architectures)
    values = {
        "name": "fake",
        "storage": str(directory / "runs"),
        "data__path": str(corpus),
        "data__id": "id",
        "folds__num_folds": NUM_FOLDS,
        "model__architecture": names if len(names) > 1 else names[0],
    }
    config = load_config(None, **(values | overrides))
    labels = sorted({row["label"] for row in own})
    truth = np.array([labels.index(row["label"]) for row in own])
    folds = np.arange(len(own)) // len(labels) % NUM_FOLDS
    rng = np.random.default_rng(0)
    oof = {name: _draw(rng, truth, len(labels), skill) for name in names}
    baselines = {name: _draw(rng, truth, len(labels), part) for name, part in BASELINES.items()}
    whole = np.mean(list(oof.values()), axis=0)
    summary = _summary(config, labels, truth, folds, oof, whole)
    summary["baselines"] = {
        name: score_baseline(truth, folds, proba, 0) for name, proba in baselines.items() if config.baseline
    }
    ids = pa.array([row["id"] for row in own])
    run = _write(config, summary, oof_table(ids, folds[None], labels, truth, oof, whole))
    run.write_bytes("folds.parquet", write_folds(Folds(folds[None].astype(np.int32), groups), ids))
    for fold in range(NUM_FOLDS):
        here = {name: proba[folds == fold] for name, proba in baselines.items()}
        columns = {
            name: pa.FixedSizeListArray.from_arrays(proba.ravel(), len(labels))
            for name, proba in here.items()
        }
        run.write_bytes(f"baselines/fold-{fold:02d}.parquet", parquet_bytes(pa.table(columns)))
    return Path(str(run))


def _draw(rng: np.random.Generator, truth: np.ndarray, num_classes: int, skill: float) -> np.ndarray:
    logits = rng.normal(size=(len(truth), num_classes))
    logits[np.arange(len(truth)), truth] += skill
    proba = np.exp(logits)
    return proba / proba.sum(axis=1, keepdims=True)


def _summary(
    config: Config,
    labels: list[str],
    truth: np.ndarray,
    folds: np.ndarray,
    oof: dict[str, np.ndarray],
    whole: np.ndarray,
) -> dict[str, Any]:
    architectures = {}
    for name, proba in oof.items():
        scores = [
            score_oof(truth[folds == fold], proba[folds == fold], 0)["oof"] for fold in range(NUM_FOLDS)
        ]
        architectures[name] = {**_folds(name, scores, "classify"), **score_oof(truth, proba, 0)}
    return {
        **_facts(config, labels, len(truth)),
        "architectures": architectures,
        "ensemble": score_oof(truth, whole, 0),
    }


def _folds(name: str, scores: list[dict[str, float]], task: str) -> dict[str, Any]:
    entries = [
        {
            "name": f"{name}/r0-fold-{fold:02d}",
            "metrics": own,
            "epochs": EPOCHS,
            "seconds": 7.5,
            "dead": False,
        }
        for fold, own in enumerate(scores)
    ]
    return {"folds": entries, **score_folds(scores, TASK_METRICS[task])}


def _facts(config: Config, labels: list[str], num_rows: int) -> dict[str, Any]:
    duplicates = {"policy": "group", "rows": 4, "groups": 2, "groups_of_several_labels": 1}
    return {
        "name": config.name,
        "task": config.task,
        "rows": num_rows,
        "labels": labels,
        "duplicates": duplicates,
        "select": config.train.select,
        "baselines": {},
        "missing": [],
        "stopped_early": [],
        "dead": [],
        "dropped": [],
        "encoder_seconds": 3.0,
        "seconds": 75.0,
    }


def _write(config: Config, summary: dict[str, Any], oof: pa.Table) -> Directory:
    run = Directory(config.storage) / config.name
    corpus = read_texts(config, Stages(silent_console()))
    run.write_bytes("config.yaml", config.to_yaml().encode())
    facts = {**corpus.summary(), "dropped": {"empty_text": 2}, "inputs": {"data.path": corpus.sha256}}
    run.write_bytes("corpus.json", json_bytes(facts))
    run.write_bytes("summary.json", json_bytes(summary))
    packages = {"python": "3.11.7", "raytrain": "0.1.0"}
    manifest = {"created": "2026-01-01T00:00:00+00:00", "packages": packages}
    run.write_bytes("ensemble/manifest.json", json_bytes(manifest))
    run.write_bytes("ensemble/oof.parquet", parquet_bytes(oof))
    for architecture, entry in summary["architectures"].items():
        for fold, one in enumerate(entry["folds"]):
            record = {
                **one,
                "architecture": architecture,
                "fold": fold,
                "device": "a processor",
                "restarts": 0,
            }
            record["history"] = _history(one["metrics"])
            run.write_bytes(f"folds/{one['name']}/result/result.json", json_bytes(record))
    return run


def _history(metrics: dict[str, float]) -> list[dict[str, float]]:
    return [{"epoch": epoch, "loss": 1 / epoch, **metrics} for epoch in range(1, EPOCHS + 1)]


def write_tag_run(directory: Path, texts: list[Any] | None = None, **overrides: Any) -> Path:
    """A tagger's run, whose folds miss, invent and confuse some spans."""
    own = make_tagged(30) if texts is None else texts
    corpus = write_bio(directory / "files.bio", own)
    values = {
        "name": "fake",
        "storage": str(directory / "runs"),
        "task": "tag",
        "data__path": str(corpus),
        "folds__num_folds": NUM_FOLDS,
    }
    config = load_config(None, **(values | overrides))
    names = tag_names({kind for _, spans in own for _, _, kind in spans})
    there = [_tags(text, spans) for text, spans in own]
    found = [_mistaken(tags, number, names) for number, tags in enumerate(there)]
    entry = _score_tags(there, found, names)
    architectures = {"bilstm_crf": {**_folds("bilstm_crf", [entry["oof"]] * NUM_FOLDS, "tag"), **entry}}
    summary = {**_facts(config, names, len(own)), "architectures": architectures, "ensemble": entry}
    columns = {
        "id": pa.array(range(len(own)), pa.int64()),
        "fold": pa.array([number % NUM_FOLDS for number in range(len(own))], pa.int32()),
        "tags": pa.array(there),
        "predicted": pa.array(found),
        "confidence": pa.array([[0.9] * len(tags) for tags in there]),
    }
    return Path(str(_write(config, summary, pa.table(columns))))


def _tags(text: str, spans: list[tuple[int, int, str]]) -> list[str]:
    tags = ["O"] * len(text)
    for start, end, kind in spans:
        tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return tags


def _mistaken(tags: list[str], number: int, names: list[str]) -> list[str]:
    """Every third text as it is; of the others the first span missed, or of another type."""
    first, second = type_names(names)[0], type_names(names)[-1]
    if number % 3 == 1:
        begin = next(place for place, tag in enumerate(tags) if tag.startswith("B-"))
        stop = next((p for p in range(begin + 1, len(tags)) if not tags[p].startswith("I-")), len(tags))
        return [*tags[:begin], *["O"] * (stop - begin), *tags[stop:]]
    swapped = {f"{prefix}-{first}": f"{prefix}-{second}" for prefix in "BI"}
    return [swapped.get(tag, tag) for tag in tags] if number % 3 == 2 else tags


def _score_tags(there: list[list[str]], found: list[list[str]], names: list[str]) -> dict[str, Any]:
    flat = [np.array([names.index(tag) for row in rows for tag in row]) for rows in (there, found)]
    sizes = np.array([len(row) for row in there])
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    counts = count_tags(*flat, bounds, len(names) // 2, np.zeros(len(sizes)), sizes)
    intervals = {name: list(ends) for name, ends in tag_intervals(counts, 0).items()}
    types = score_types(counts, type_names(names))
    return {"rows": len(sizes), "oof": score_tags(counts), "interval": intervals, "types": types}


def change_summary(run: Path, **changes: Any) -> None:
    """Lays other values over summary.json."""
    path = run / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(summary | changes, ensure_ascii=False), encoding="utf-8")
