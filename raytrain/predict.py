"""Prediction from an ensemble artifact. Imports TensorFlow."""

import json
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from raytrain.batches import FeatureRows
from raytrain.ensemble import Ensemble
from raytrain.errors import ArtifactError
from raytrain.features import build_features, encode_texts
from raytrain.metrics import proba_from_logits
from raytrain.models import assign_variables, build_model, encoder_variables, head_variables
from raytrain.training import predict_logits

keras = tf.keras


class Predictor:
    """The fold models of an ensemble, ready to predict.

    One model per architecture is built; the folds' weights are laid in one after another, so that
    memory holds one model however many folds there are.

    Args:
        ensemble: Of `ensemble.load_ensemble`.
        batch_size: Texts per forward pass.
    """

    def __init__(self, ensemble: Ensemble, batch_size: int = 64):
        manifest = ensemble.manifest
        self.labels = ensemble.labels
        self._ensemble, self._batch_size = ensemble, batch_size
        self._vocab = ensemble.read_text("encoder/vocab.txt").removesuffix("\n").split("\n")
        self._maxlen = int(manifest["config"]["encoder"]["maxlen"])
        words = manifest["words"]
        self._words = json.loads(ensemble.read(words["vocabulary"])) if words else None
        self._user_dict = ensemble.read_text(words["user_dict"]) if words and words["user_dict"] else None
        self._models = {name: self._build(name) for name in manifest["architectures"]}

    def _build(self, architecture: str) -> keras.Model:
        manifest = self._ensemble.manifest
        encoder, arguments = manifest["encoder"], manifest["architectures"][architecture]["model"]
        model = build_model(
            architecture,
            encoder["kind"],
            json.loads(self._ensemble.read(encoder["config"])),
            arguments["num_classes"],
            tuple(arguments["embedding"]),
            arguments["train_encoder"],
            arguments["dropout"],
            seed=0,
        )
        if not arguments["train_encoder"]:
            assign_variables(encoder_variables(model), self._weights(encoder["weights"]), encoder["weights"])
        return model

    def _weights(self, name: str) -> dict[str, np.ndarray]:
        try:
            return load_safetensors(self._ensemble.read(name))
        except SafetensorError as error:
            raise ArtifactError(f"{name}: not a safetensors file: {error}") from error

    def predict_proba(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Averages the folds' probabilities, then the architectures'.

        Args:
            texts: The texts.
            pairs: The second texts, where the ensemble was trained on pairs.

        Returns:
            (len(texts), num_classes), columns in the order of `labels`.
        """
        if not texts:
            return np.zeros((0, len(self.labels)))
        encoded = encode_texts(
            texts, pairs, self._vocab, self._maxlen, self._words is not None, self._user_dict
        )
        features = FeatureRows(build_features(encoded, self._words or []))
        rows = np.arange(len(texts))
        by_architecture = []
        for name, model in self._models.items():
            folds = self._ensemble.manifest["architectures"][name]["folds"]
            proba = np.zeros((len(texts), len(self.labels)))
            for fold in folds:
                self._lay_in(name, model, fold["file"])
                proba += proba_from_logits(predict_logits(model, features, rows, self._batch_size))
            by_architecture.append(proba / len(folds))
        return np.mean(by_architecture, axis=0)

    def _lay_in(self, architecture: str, model: keras.Model, name: str) -> None:
        variables = head_variables(model)
        if self._ensemble.manifest["architectures"][architecture]["model"]["train_encoder"]:
            variables |= encoder_variables(model)
        assign_variables(variables, self._weights(name), name)
