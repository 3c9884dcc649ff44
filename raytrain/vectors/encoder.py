"""An encoder that makes vectors of texts. Imports TensorFlow."""

from collections.abc import Sequence

import numpy as np

from raytrain.corpus.given import given_pairs, given_texts
from raytrain.devices import compiles_predictions
from raytrain.errors import CheckpointError
from raytrain.network.build import READS, EncoderWithHead, vector_model
from raytrain.network.encoders import build_transformer
from raytrain.network.heads import build_head
from raytrain.network.inference import predict_logits
from raytrain.network.layers import DropoutSeed
from raytrain.network.weights import load_weights
from raytrain.pretrained.config import unfit_pairs
from raytrain.pretrained.directory import EncoderFiles
from raytrain.pretrained.weights import open_weights
from raytrain.text.batches import FeatureRows
from raytrain.text.encode import build_features, encode_texts
from raytrain.text.rows import TextRows
from raytrain.vectors.settings import Pooling


class EncoderVectors:
    """An encoder as it was pretrained, ready to make vectors.

    Args:
        encoder: Of `pretrained.start.find_start`; without weights it is untrained.
        maxlen: Longest text in tokens; of longer ones the beginning is read, or `windows` of them.
        pooling: What is read of the last layer: the `first` position, or the `mean` over all.
        windows: Most windows of a text; the vector is their mean.
        batch_size: Texts per forward pass; None takes as many as suit the device.

    Attributes:
        dim: Size of a vector.
    """

    def __init__(
        self,
        encoder: EncoderFiles,
        maxlen: int,
        pooling: Pooling = "mean",
        windows: int = 1,
        batch_size: int | None = None,
    ):
        self._vocab, self._maxlen, self._windows, self._batch_size = (
            encoder.vocab,
            maxlen,
            windows,
            batch_size,
        )
        self._compiled = compiles_predictions()
        self.dim = int(encoder.config["hidden_size"])
        self._unfit_pairs = unfit_pairs(encoder.config)
        transformer = build_transformer(encoder.kind, encoder.config, 0, DropoutSeed(), READS[pooling])
        if encoder.weights is not None:
            load_weights(transformer, open_weights(encoder.kind, encoder.weights))
        head = build_head("finetune", self.dim, 2, (None, 1), dropout=0.0, seed=0, pooling=pooling)
        self._model = vector_model(EncoderWithHead(transformer.model, head, name="model"))

    def embed(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """The vector of each text, or of each pair.

        Returns:
            (len(texts), dim) float32.
        """
        texts = given_texts(texts)
        pairs = given_pairs(pairs, len(texts), pairs is not None)
        if pairs is not None and self._unfit_pairs:
            raise CheckpointError("pairs: the encoder cannot read them", self._unfit_pairs)
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        encoded = encode_texts(texts, pairs, self._vocab, self._maxlen, False, windows=self._windows)
        features, rows = FeatureRows(build_features(encoded, [])), np.arange(len(encoded.rows))
        said = predict_logits(self._model, features, rows, self._batch_size, self._compiled)
        return TextRows(encoded.rows).pool(rows, said).astype(np.float32)
