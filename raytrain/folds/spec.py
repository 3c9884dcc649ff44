"""What the folds of a run share, and what each of them is told."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.actor import ActorHandle

from raytrain.hidden_states.cache import HiddenStates
from raytrain.keywords.held import HeldWords, KeywordInputs
from raytrain.pretrained.directory import EncoderFiles
from raytrain.splits.folds import UNLABELLED, Folds
from raytrain.tasks import Pooling, reads_encoder
from raytrain.text.rows import TextRows
from raytrain.training.settings import TrainSettings


@dataclass(frozen=True)
class Shared:
    """What the folds and the artifact share.

    Attributes:
        encoder: The encoder's files.
        features: Of `text.encode.build_features`.
        user_dict: Text of the jieba dictionary, kept keywords included, or None.
        vocabulary: The words; None where no architecture reads words.
        embedding: First value of the word embedding, or None.
        coverage: Words by where their vector came from.
        characters: Single characters' pretrained vectors, where there are any: for words that only texts
            to predict will hold.
        keywords: Where the texts' keywords stand; None where no head counts them.
        rows: The text that each row of the features is of, for taggers the `Windows` that are these rows;
            None where each row is a text.
        num_unlabelled: Texts among them, behind all others, that have no label.
    """

    encoder: EncoderFiles
    features: pa.Table
    user_dict: str | None
    vocabulary: list[str] | None
    embedding: np.ndarray | None
    coverage: dict[str, int]
    characters: dict[str, np.ndarray] | None = None
    keywords: KeywordInputs | None = None
    rows: TextRows | None = None
    num_unlabelled: int = 0


@dataclass(frozen=True)
class FoldData:
    """What every fold reads, once in the object store.

    Attributes:
        features: (num_rows) of `text.encode.build_features`.
        targets: (num_texts,) label indices, -1 of texts without a label; or the texts' `TaggedWindows`.
        ids: (num_texts,) the texts' ids.
        embedding: First value of the word embedding, or None.
        folds: Which texts each fold is judged by and learns from; texts without a label are in none.
        held_words: Which keywords each text holds; None where no head counts them.
        texts: (num_texts,) the texts, of pairs both joined; None where no architecture counts n-grams.
        rows: The text that each row of the features is of; None where each row is a text.
        teacher: (num_texts, num_classes) probabilities that a student learns, NaN of texts of which the
            teacher says nothing; None where there is no teacher.
    """

    features: pa.Table
    targets: Any
    ids: pa.Array
    embedding: np.ndarray | None
    folds: Folds
    held_words: HeldWords | None = None
    texts: pa.Array | None = None
    rows: TextRows | None = None
    teacher: np.ndarray | None = None


@dataclass(frozen=True)
class ModelSettings:
    """What a fold's model is built from, without the seed; as the arguments of `network.build.build_model`.

    Attributes:
        architecture: The head.
        kind: Of the encoder, a key of `kinds.KINDS`.
        config: The encoder's, in Google's names.
        num_labels: Labels of a classifier, tags of a tagger.
        embedding: (rows, columns) of the word embedding; any where the head reads no words.
        train_encoder: Whether the encoder learns.
        dropout: In the head.
        num_keyword_classes: Classes that kept keywords are counted for; 0 where the head counts none.
        pooling: What `finetune` reads of the encoder.
        multi_sample_dropout: Dropouts under which the last layers see each text in training.
    """

    architecture: str
    kind: str
    config: dict[str, Any]
    num_labels: int
    embedding: tuple[int, int]
    train_encoder: bool
    dropout: float
    num_keyword_classes: int = 0
    pooling: Pooling = "first"
    multi_sample_dropout: int = 1

    @property
    def freezes_encoder(self) -> bool:
        """Whether it reads the output of an encoder that does not learn."""
        return reads_encoder(self.architecture) and not self.train_encoder


# How long a pass takes beside one of an encoder that trains, on CPUs: where the encoder only runs, where its
# output is at hand, and for all of a fold of n-grams.
_FROZEN, _HEAD, _NGRAMS = 0.3, 0.1, 0.05
_STEPS = {None: 1, "fgm": 2, "pgd": 4}  # passes for one, by `train.adversarial`


@dataclass(frozen=True)
class FoldSpec:
    """All that a worker needs to train one fold.

    Attributes:
        name: `<architecture>/r<repeat>-fold-<fold>`.
        location: The fold's directory.
        identity: Hash of config and corpus; a committed result of another identity is not this fold's.
        settings: Hyperparameters.
        model: What its model is built from.
        data: ObjectRef of the `FoldData` that all folds read.
        encoder_weights: ObjectRef of arrays by name, or None for an encoder that starts untrained.
        hidden_states: The frozen encoder's output, or None where the model runs its encoder itself.
        keywords: (num_words,) the class each of data's `held_words` is kept for, -1 where it is not; None
            where the head counts none.
        precision: As in `devices.set_up_tensorflow`.
        progress: The actor that takes what the fold tells, or None.
        threads: CPUs that a worker owns.
        gpu_share: Share of a card that it owns, or None.
        accumulation: Pieces of a batch, where memory is short.
        deadline: Unix time at which the fold stops where it is, or None.
        task: `classify` or `tag`.
    """

    name: str
    architecture: str
    fold: int
    repeat: int
    seed: int
    location: str
    identity: str
    settings: TrainSettings
    model: ModelSettings
    data: ray.ObjectRef
    encoder_weights: ray.ObjectRef | None
    precision: str
    hidden_states: HiddenStates | None = None
    keywords: np.ndarray | None = None
    progress: ActorHandle | None = None
    threads: int = 1
    gpu_share: float | None = None
    accumulation: int = 1
    deadline: float | None = None
    task: str = "classify"

    @property
    def is_network(self) -> bool:
        """Whether TensorFlow trains it."""
        return reads_encoder(self.architecture)

    @property
    def work(self) -> float:
        """About how long it takes beside other folds of the run."""
        if not self.is_network:
            return _NGRAMS
        frozen = _FROZEN if self.hidden_states is None else _HEAD
        of_a_pass = 1.0 if self.model.train_encoder else frozen
        again = (2 if self.settings.r_drop else 1) * (2 if self.settings.pseudo_labels else 1)
        return self.settings.epochs * of_a_pass * again * _STEPS[self.settings.adversarial]

    @property
    def run(self) -> str:
        """The run's directory."""
        return self.location.removesuffix(f"/folds/{self.name}")

    def again(self, number: int) -> "FoldSpec":
        """The fold as it is begun for the `number`th time again: with a seed that follows from its own."""
        [seed] = np.random.SeedSequence([self.seed, number]).generate_state(1) >> 1
        return replace(self, seed=int(seed))

    def rows(self, data: FoldData) -> tuple[np.ndarray, np.ndarray]:
        """What to learn from, and what to predict out of fold.

        Args:
            data: What `data` refers to.

        Returns:
            Two of indices: of the features' rows for a network, all of a text in the same; else of texts.
        """
        learned = data.folds.is_train(self.repeat, self.fold)
        judged = data.folds.is_valid(self.repeat, self.fold)
        if self.is_network and data.rows is not None:
            learned, judged = learned[data.rows.rows], judged[data.rows.rows]
        return np.flatnonzero(learned), np.flatnonzero(judged)

    def unlabelled_rows(self, data: FoldData) -> np.ndarray:
        """Indices of the features' rows whose texts have no label."""
        assigned = data.folds.valid[self.repeat]
        if data.rows is not None:
            assigned = assigned[data.rows.rows]
        return np.flatnonzero(assigned == UNLABELLED)


def fold_name(repeat: int, fold: int) -> str:
    return f"r{repeat}-fold-{fold:02d}"
