"""Prediction from an ensemble artifact. Imports TensorFlow."""

import json
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from raytrain.batches import FeatureRows
from raytrain.checkpoints import unfit_config
from raytrain.ensemble import Ensemble
from raytrain.errors import ArtifactError
from raytrain.features import build_features, encode_texts
from raytrain.metrics import proba_from_logits
from raytrain.models import assign_variables, build_model, encoder_variables, learned_variables
from raytrain.training import predict_logits

keras = tf.keras

KEPT_BYTES = 4 << 30  # larger ensembles are read anew for every chunk of texts


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
        self._vocab = ensemble.read_text(manifest["encoder"]["vocab"]).removesuffix("\n").split("\n")
        self._maxlen = int(manifest["config"]["encoder"]["maxlen"])
        words = manifest["words"]
        self._words = json.loads(ensemble.read(words["vocabulary"])) if words else None
        self._user_dict = ensemble.read_text(words["user_dict"]) if words and words["user_dict"] else None
        self._kept: dict[str, dict[str, np.ndarray]] = {}
        self._models = {name: self._build(name) for name in manifest["architectures"]}

    def _build(self, architecture: str) -> keras.Model:
        manifest = self._ensemble.manifest
        encoder, arguments = manifest["encoder"], manifest["architectures"][architecture]["model"]
        config = json.loads(self._ensemble.read(encoder["config"]))
        problems = unfit_config(config, self._vocab, self._maxlen)
        if problems:
            raise ArtifactError(f"{encoder['config']} cannot be used", problems)
        model = build_model(
            architecture,
            encoder["kind"],
            config,
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
        """A file's arrays, kept in memory while all files together are not too many."""
        if name in self._kept:
            return self._kept[name]
        try:
            weights = load_safetensors(self._ensemble.read(name))
        except SafetensorError as error:
            raise ArtifactError(f"{name}: not a safetensors file: {error}") from error
        if sum(entry["bytes"] for entry in self._ensemble.manifest["files"]) <= KEPT_BYTES:
            self._kept[name] = weights
        return weights

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
                assign_variables(learned_variables(model), self._weights(fold["file"]), fold["file"])
                proba += proba_from_logits(predict_logits(model, features, rows, self._batch_size))
            by_architecture.append(proba / len(folds))
        return np.mean(by_architecture, axis=0)
