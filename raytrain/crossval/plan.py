"""One run, ready to train: what all folds share, and what each is told."""

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from raytrain.cluster import WITHOUT_GPU, on_this_node
from raytrain.config.defaults import (
    EncoderStart,
    encoder_start,
    trains_encoder,
)
from raytrain.config.schema import Config
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.unlabelled import Unlabelled
from raytrain.crossval.adapt import adapt_encoder
from raytrain.crossval.encode import read_shared
from raytrain.crossval.prepare import PreparedRun
from raytrain.devices import quick_imports
from raytrain.folds.spec import FoldData, Shared
from raytrain.hidden_states.encode import EncoderSource
from raytrain.ngrams.tfidf import join_texts
from raytrain.pretrained.directory import EncoderFiles
from raytrain.splits.duplicates import Duplicates
from raytrain.splits.folds import Folds
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.tasks import reads_encoder
from raytrain.text.rows import TextRows
from raytrain.text.windows import Windows, tag_windows


@dataclass(frozen=True)
class Plan:
    """One run, ready to train.

    Attributes:
        run: Its directory.
        folds: Which rows each fold is judged by and learns from.
        class_weight: Weight per label index, or None.
        hashes: Config key to hash of its input file.
        encoder_weights: ObjectRef of the encoder's arrays by name, or None where each fold draws its own.
        encoder_facts: Their `digest`, and what else `load_encoder_weights` tells.
        duplicates: Those that were found, or None where none were looked for.
    """

    run: Directory
    config: Config
    corpus: Corpus
    folds: Folds
    shared: Shared
    class_weight: tuple[float, ...] | None
    hashes: dict[str, str]
    encoder_weights: ray.ObjectRef | None
    encoder_facts: dict[str, Any]
    duplicates: Duplicates | None = None

    @functools.cached_property
    def targets(self) -> Any:
        """What is to be learned: (num_texts,) label indices, or the `TaggedWindows` of the texts."""
        rows = self.shared.rows
        if not isinstance(rows, Windows):
            return self.corpus.table["label"].to_numpy()
        return tag_windows(rows, self.corpus.tags[0], [str(tag) for tag in self.corpus.labels])

    @functools.cached_property
    def texts(self) -> list[str]:
        """(num_texts,) texts as n-grams are counted in them; of a pair, both joined."""
        return join_texts([self.corpus.table[name].to_pylist() for name in self.corpus.text_names])

    @property
    def start(self) -> EncoderStart:
        return encoder_start(self.shared.encoder.config, self.shared.encoder.weights is not None)

    @property
    def pretrained(self) -> bool:
        return self.start.pretrained

    @property
    def num_train_rows(self) -> int:
        """About how many rows of the features a fold trains on."""
        shared, trained = self.shared, self.folds.train_masks()
        labelled = shared.features.num_rows - shared.num_unlabelled
        if shared.rows is not None:  # whatever windows texts without a label have
            labelled = int((shared.rows.rows < self.corpus.num_rows).sum())
        return labelled * int(trained.sum()) // trained.size

    @property
    def encoder_source(self) -> EncoderSource | None:
        """The frozen encoder, where its weights are shared."""
        encoder, precision = self.shared.encoder, self.config.train.precision
        if self.encoder_weights is None:
            return None
        digest = self.encoder_facts["digest"]
        return EncoderSource(encoder.kind, encoder.config, self.encoder_weights, digest, precision)

    def fold_data(self) -> FoldData:
        """What all folds read, for the object store."""
        shared, targets, folds = self.shared, self.targets, self.folds
        if shared.num_unlabelled:
            targets = np.pad(targets, (0, shared.num_unlabelled), constant_values=-1)
            folds = folds.with_unlabelled(shared.num_unlabelled)
        with_texts = not all(reads_encoder(name) for name in self.config.model.architectures)
        return FoldData(
            features=shared.features,
            targets=targets,
            ids=self.corpus.table["id"].combine_chunks(),
            embedding=shared.embedding,
            folds=folds,
            held_words=shared.keywords.held if shared.keywords is not None else None,
            texts=pa.array(self.texts, pa.large_string()) if with_texts else None,
            rows=TextRows(shared.rows.rows) if shared.rows is not None else None,
        )


def load_plan(
    run: Directory,
    config: Config,
    prepared: PreparedRun,
    stages: Stages,
    unlabelled: Unlabelled | None = None,
) -> Plan:
    """Encodes the corpus, and meanwhile loads the encoder on Ray; adapts it first where the config says so.

    Args:
        run: Its directory.
        config: Its config.
        prepared: What it is made of.
        stages: Where progress is told.
        unlabelled: As of `read_shared`.

    Raises:
        InputError: The encoder's weights, the user dictionary or the word vectors cannot be used.
        PretrainError: The encoder could not be adapted.
        TimeBudgetError: Before all is encoded.
    """
    corpus = prepared.corpus
    encoder = adapt_encoder(run, config, corpus, prepared.encoder, stages)
    weights, answer = _load_encoder(config, encoder)
    shared = read_shared(config, corpus, encoder, prepared.dictionary, stages, unlabelled)
    facts: dict[str, Any] = {"digest": "", "layout": None}
    if answer is not None:
        with stages.stage("loading the encoder") as stage:
            facts = stage.wait(answer)
    class_weight, hashes, found = prepared.class_weight, prepared.hashes, prepared.duplicates
    return Plan(run, config, corpus, prepared.folds, shared, class_weight, hashes, weights, facts, found)


def _load_encoder(config: Config, encoder: EncoderFiles) -> tuple[ray.ObjectRef | None, ray.ObjectRef | None]:
    """The weights that folds start from alike, pretrained or untrained and frozen, and facts about them."""
    pretrained = encoder.weights is not None
    readers = [name for name in config.model.architectures if reads_encoder(name)]
    if not pretrained and all(trains_encoder(config, name, False) for name in readers):
        return None, None
    load = load_encoder_weights.options(scheduling_strategy=on_this_node(), runtime_env=WITHOUT_GPU)
    answer: Any = load.remote(encoder.kind, encoder.config, encoder.weights, config.seed)
    weights, facts = answer
    return weights, facts


# max_calls: the process would keep a second copy of the encoder for as long as it idles.
@ray.remote(num_cpus=0, max_retries=1, num_returns=2, max_calls=1)
def load_encoder_weights(
    kind: str, config: dict[str, Any], path: str | None, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads an encoder's checkpoint, or draws untrained weights that all folds share frozen.

    Returns:
        Arrays by the names of `network.build.encoder_variables`; and their `digest`, the checkpoint's
        `layout` (None where untrained), and the names in it that no encoder reads as `unread`.
    """
    with quick_imports():
        from raytrain.network.encoders import build_transformer
        from raytrain.network.layers import DropoutSeed
        from raytrain.network.weights import encoder_variables, load_weights, read_variables
        from raytrain.pretrained.weights import open_weights

    transformer = build_transformer(kind, config, seed, DropoutSeed())
    layout: str | None = None
    unread: list[str] = []
    if path is not None:
        opened = open_weights(kind, path)
        layout, unread = opened.layout, load_weights(transformer, opened)
    weights = read_variables(encoder_variables(transformer.model))
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].tobytes())
    return weights, {"digest": digest.hexdigest(), "layout": layout, "unread": unread}
