"""Suspects of a run: labels that its folds, which had not seen the rows, say are wrong."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from raytrain.config.schema import Config
from raytrain.config.stored import check_hashes, load_stored
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.duplicates import find_equal
from raytrain.crossval.directory import hash_labels, read_summary
from raytrain.crossval.prepare import read_texts
from raytrain.errors import ArtifactError, ConfigError, CorpusError, InputError
from raytrain.folds.result import read_fold_oof
from raytrain.messages import logging_console, shell_word
from raytrain.scores.oof import assemble_oof, proba_of, read_oof_table
from raytrain.splits.duplicates import Duplicates, treat_duplicates
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.suspects.corrections import count_marked
from raytrain.suspects.ranking import confident_joint, rank_labels
from raytrain.suspects.table import build_table, csv_bytes

SUSPECTS_FILE = "suspects.csv"
MOST_LISTED = 1000  # at a run's end: more than a person looks at


def list_suspects(
    run: str, output: str | None = None, most: int | None = MOST_LISTED, console: Console | None = None
) -> pa.Table:
    """Lists the texts of a finished run whose label is probably wrong, for a person to correct.

    Args:
        run: Its directory or URI.
        output: A CSV file, on this machine or by its URI; None for `suspects.csv` in the run's directory.
        most: How many are listed; None for all.
        console: Where progress is drawn; None logs each line to the logger `raytrain`.

    Returns:
        As of `suspects.table.build_table`.

    Raises:
        InputError: As of `load_suspects`; or a file lies there that a person has filled in, or another one.

    Example:
        >>> import raytrain
        >>> table = raytrain.list_suspects("runs/mine", most=200)  # doctest: +SKIP
        >>> table.select(["id", "label", "says"]).to_pandas()  # doctest: +SKIP
    """
    directory = Directory(run)
    target, name = (directory, SUSPECTS_FILE) if output is None else _split(str(output))
    if must_stay(target, name):
        found = "has new labels that a person filled in, or is another file"
        raise InputError(f"{target}/{name} {found}; give another --output, or move it away")
    table = load_suspects(directory, Stages(console or logging_console()), most)
    target.write_bytes(name, csv_bytes(table))
    return table


def _split(output: str) -> tuple[Directory, str]:
    folder, slash, name = output.rpartition("/")
    return Directory(folder or slash or "."), name


def load_suspects(run: Directory, stages: Stages, most: int | None = MOST_LISTED) -> pa.Table:
    """The suspects of a finished run; its corpus is read again, from where it was.

    Args:
        run: Its directory.
        stages: Where it is told.
        most: How many are listed; None for all.

    Returns:
        As of `suspects.table.build_table`.

    Raises:
        ConfigError: It is a tagger's, or its corpus has another content now.
        ArtifactError: It is no finished run, or something of it is missing or damaged.
        CorpusError: The corpus cannot be read.
    """
    config = load_stored(run)
    if config.task != "classify":
        raise ConfigError(f"{run}: expected a run of task=classify, found task={config.task}")
    summary = read_summary(run)
    if summary is None:
        raise ArtifactError(f"{run} is not finished: run its command again, then look for suspects")
    corpus, duplicates = treat_duplicates(config, _read_corpus(run, config, stages), stages)
    return find_suspects(run, corpus, duplicates, summary, stages, most)[0]


def write_suspects(
    run: Directory, corpus: Corpus, duplicates: Duplicates | None, summary: Mapping[str, Any], stages: Stages
) -> dict[str, Any]:
    """Writes suspects.csv of a run whose ensemble is written; not over what a person has filled in.

    Returns:
        For summary.json: `listed` and `rows`, how many of each reason, the confident `joint`, and whether the
        file was `kept` as a person left it.
    """
    table, told = find_suspects(run, corpus, duplicates, summary, stages, MOST_LISTED)
    kept = must_stay(run)
    if not kept:
        run.write_bytes(SUSPECTS_FILE, csv_bytes(table))
    return {**told, "kept": kept}


def find_suspects(
    run: Directory,
    corpus: Corpus,
    duplicates: Duplicates | None,
    summary: Mapping[str, Any],
    stages: Stages,
    most: int | None,
) -> tuple[pa.Table, dict[str, Any]]:
    """The table of the first suspects; and how many there are in all, by reason.

    Args:
        run: The run's directory, with committed folds and the ensemble.
        corpus: As the folds learned from it.
        duplicates: Its near-duplicates, where any were looked for.
        summary: The run's.
        stages: Where it is told.
        most: How many are listed; None for all.
    """
    with stages.stage("looking for wrong labels"):
        labels, proba = corpus.table["label"].to_numpy(), _read_oof(run, corpus)
        judged = corpus.table["judged"].to_numpy() if "judged" in corpus.table.column_names else None
        votes = _read_votes(run, corpus, summary)
        ranking = rank_labels(labels, proba, votes, _groups(corpus, duplicates), judged)
        table = build_table(corpus, proba, ranking.first(most))
    return table, {
        "rows": corpus.num_rows,
        "suspects": len(ranking.rows),
        "listed": table.num_rows,
        **ranking.count(),
        "joint": confident_joint(labels, proba).tolist(),
    }


def suspects_line(run: Directory, told: Mapping[str, Any]) -> str:
    """One line of what `write_suspects` told."""
    file = f"{run}/{SUSPECTS_FILE}"
    if not told["suspects"]:
        return f"{file}: none of {told['rows']:,} labels looks wrong"
    kinds = {"conflict": "conflict", "all_wrong": "wrong in all models"}
    counts = ", ".join(f"{told[kind]:,} {name}" for kind, name in kinds.items() if told[kind])
    listed = f", the first {told['listed']:,} listed" if told["listed"] < told["suspects"] else ""
    line = f"{file}: {told['suspects']:,} of {told['rows']:,} labels look wrong"
    line += f" ({counts}){listed}" if counts else listed
    if told["kept"]:
        return f"{line}; the file is not written over what was filled in there"
    return f"{line}; {correction_advice(file)}"


def correction_advice(file: str) -> str:
    """What to do with a file of suspects."""
    first, local = ("copy it here, ", SUSPECTS_FILE) if "://" in file else ("", file)
    key = shell_word(f"data.labels={local}")
    return f"{first}fill in new_label and run again under another name with {key}"


def must_stay(directory: Directory, name: str = SUSPECTS_FILE) -> bool:
    """Whether a file is there that must stay: with new labels of a person, or of something else."""
    if not directory.exists(name):
        return False
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / name
        copy.write_bytes(directory.read_bytes(name))
        try:
            return count_marked(copy) > 0
        except CorpusError:
            return True


def _read_corpus(run: Directory, config: Config, stages: Stages) -> Corpus:
    """The corpus that the run was begun with; the texts to predict are not looked at."""
    corpus = read_texts(config.without_test(), stages)
    found = {"data.path": corpus.sha256, **hash_labels(config)}
    try:
        stored = json.loads(run.read_bytes("corpus.json"))["inputs"]
        known = {key: stored[key] for key in found}
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{run}/corpus.json is damaged: {error!r}") from error
    check_hashes(run, known, found)
    return corpus


def _groups(corpus: Corpus, duplicates: Duplicates | None) -> np.ndarray:
    """Near-duplicates where they were looked for and are still there, else equal texts alone."""
    if duplicates is not None and duplicates.policy == "group":
        return duplicates.groups
    return find_equal([corpus.table[name].to_pylist() for name in corpus.text_names])


def _read_oof(run: Directory, corpus: Corpus) -> np.ndarray:
    """(num_rows, num_classes) what the ensemble says out of fold."""
    where = f"{run}/ensemble/oof.parquet"
    try:
        data = (run / "ensemble").read_bytes("oof.parquet")
    except FileNotFoundError as error:
        raise ArtifactError(f"{where} is damaged: {error!r}") from error
    return read_oof_table(where, data, corpus.labels, corpus.table["id"].combine_chunks(), corpus.path)


def _read_votes(run: Directory, corpus: Corpus, summary: Mapping[str, Any]) -> list[np.ndarray]:
    """Of each architecture and repeat (num_rows, num_classes), NaN where no fold was asked, or a dead one."""
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    size = len(corpus.labels)
    for entry in summary["architectures"].values():
        for name in (fold["name"] for fold in entry["folds"] if not fold.get("dead")):
            try:
                table = read_fold_oof(f"{run}/folds/{name}")
                proba, rows = proba_of(table, range(size)), table["row"].to_numpy()
            except (FileNotFoundError, pa.ArrowException, KeyError, ValueError) as error:
                raise ArtifactError(f"{run}/folds/{name}/result is damaged: {error!r}") from error
            parts.setdefault(name.rpartition("-fold-")[0], []).append((rows, proba))
    return [assemble_oof(own, corpus.num_rows, size) for own in parts.values()]
