"""All folds of a classifier's ensemble, and what fuses them, as one function. Imports TensorFlow.

Shapes: ids are (rows, length) int32, probabilities (texts, classes) float32; a text has one row, or several
where long texts are read in windows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from raytrain.config.defaults import reads_words
from raytrain.ensemble.artifact import Ensemble
from raytrain.ensemble.fold_models import FoldModels
from raytrain.ensemble.labels import voice_of
from raytrain.exporting.fused import fuse, pool, proba_of
from raytrain.network.formulas import plain_spelling
from raytrain.network.heads import WORD_EMBEDDING
from raytrain.network.weights import assign_variables, find_part, learned_variables

keras = tf.keras

OUTPUT = "proba"


@dataclass(frozen=True)
class Fold:
    """A fold's model.

    Attributes:
        voice: Whose mean it counts in: its architecture's, or of a rule its member's.
        encoder: Its own; None where a frozen one's output is read.
        head: From hidden states, token ids and, where words are read, their vectors to logits.
        embedding: (words, columns) of its words; None where it reads none.
    """

    voice: str
    encoder: keras.Model | None
    head: keras.Model
    embedding: tf.Variable | None


class EnsembleGraph(FoldModels):
    """The ensemble as one function of ids: a frozen encoder stands in it once, whatever the folds.

    Args:
        ensemble: A classifier's, of networks alone, that `exporting.fit.problems_of` has nothing against.
            Keras's policy must be float32.

    Attributes:
        vocab: The encoder's.
        words: The artifact's.
        folds: All folds of all architectures.
    """

    def __init__(self, ensemble: Ensemble):
        super().__init__(ensemble)
        self.vocab, self.words = self._vocab, self._words
        self._config = ensemble.read_json(ensemble.encoder.config)
        self._rule = ensemble.manifest.rule
        self.folds = [fold for name in self._models for fold in self._folds_of(name)]

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """What the function takes, by name."""
        encoders = [self._encoder, *(fold.encoder for fold in self.folds)]
        names = ["token_ids"]
        names += ["segment_ids"] * any(one is not None and len(one.inputs) > 1 for one in encoders)
        names += ["word_ids"] * self.reads_words
        specs = {name: tf.TensorSpec((None, None), tf.int32, name) for name in names}
        if self.lays_new_words:
            columns = int(next(iter(self._words.characters.values())).shape[0])
            specs["new_word_vectors"] = tf.TensorSpec((None, columns), tf.float32, "new_word_vectors")
        if self._reading.windows > 1:
            specs["text_of_row"] = tf.TensorSpec((None,), tf.int32, "text_of_row")
        return specs

    @property
    def reads_words(self) -> bool:
        return any(fold.embedding is not None for fold in self.folds)

    @property
    def lays_new_words(self) -> bool:
        """Whether words that no fold has seen have vectors, of their characters."""
        return self.reads_words and bool(self._words.characters)

    @property
    def variables(self) -> list[tf.Variable]:
        """All that the function reads."""
        models = [self._encoder, *(part for fold in self.folds for part in (fold.encoder, fold.head))]
        found = [variable for model in models if model is not None for variable in model.variables]
        return found + [fold.embedding for fold in self.folds if fold.embedding is not None]

    def trace(self) -> Any:
        """The concrete function of a dict of `specs` to {`OUTPUT`: probabilities}."""
        specs = self.specs

        def run(**inputs):
            with plain_spelling():
                return {OUTPUT: self.proba(inputs)}

        return tf.function(run, autograph=False).get_concrete_function(**specs)

    def proba(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """(texts, classes): what each fold says, averaged and fused as `predict_proba` does."""
        frozen = self._frozen_states(inputs)
        said: dict[str, list[tf.Tensor]] = {}
        for fold in self.folds:
            states = frozen if fold.encoder is None else self._states(fold.encoder, inputs)
            proba = proba_of(self._logits(fold, states, inputs))
            if "text_of_row" in inputs:
                proba = pool(proba, inputs["text_of_row"])
            said.setdefault(fold.voice, []).append(proba)
        voices = {voice: tf.add_n(folds) / len(folds) for voice, folds in said.items()}
        return fuse(voices, self._rule)

    def _frozen_states(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor | None:
        """Rounded to half precision, as folds were trained on them and as `predict` keeps them."""
        if self._encoder is None:
            return None
        states = self._states(self._encoder, inputs)
        # Of two casts that touch, converters take the pair for none.
        rounded = tf.reshape(tf.cast(states, tf.float16), [-1, states.shape[-1]])
        return tf.reshape(tf.cast(rounded, tf.float32), tf.shape(states))

    def _states(self, encoder: keras.Model, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        names = ("token_ids", "segment_ids")[: len(encoder.inputs)]
        return encoder([inputs[name] for name in names], training=False)

    def _logits(self, fold: Fold, states: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        read = {"hidden_states": states, "token_ids": inputs["token_ids"]}
        if fold.embedding is not None:
            table = fold.embedding
            if "new_word_vectors" in inputs:
                table = tf.concat([table, inputs["new_word_vectors"]], axis=0)
            read["words"] = tf.gather(table, inputs["word_ids"])
        return fold.head([read[name] for name in fold.head.input_names_in_order], training=False)

    def _folds_of(self, architecture: str) -> list[Fold]:
        """Each with a model of its own, for all stand in the function side by side."""
        folds = []
        for number, entry in enumerate(self._ensemble.manifest.architectures[architecture].folds):
            model = self._models[architecture] if number == 0 else self._build(architecture, self._config)
            weights = self._with_rows(architecture, entry.file, None)
            assign_variables(learned_variables(model), weights, entry.file)
            voice = voice_of(self._rule, architecture, entry.repeat)
            embedding = tf.Variable(weights[WORD_EMBEDDING]) if reads_words(architecture) else None
            head = _head_of_vectors(find_part(model, "head"), embedding is not None)
            encoder = None if self._is_frozen(architecture) else find_part(model, "encoder")
            folds.append(Fold(voice, encoder, head, embedding))
        return folds


def _head_of_vectors(head: keras.Model, reads_words: bool) -> keras.Model:
    """The head behind its word embedding; `input_names_in_order` tells what it takes."""
    names = ["hidden_states", "token_ids"]
    inputs = [head.input[name] for name in names]
    if reads_words:
        names, inputs = [*names, "words"], [*inputs, head.get_layer("word_embedding").output]
    model = keras.Model(inputs, head.output, name="head")
    model.input_names_in_order = names
    return model
