"""An encoder, ready to make vectors in this process."""

from typing import TYPE_CHECKING

from raytrain.devices import (
    grow_card_memory,
    hushed_stderr,
    predict_side_by_side,
    quick_imports,
    set_precision,
)
from raytrain.ensemble.load import check_keras
from raytrain.pretrained.directory import EncoderFiles
from raytrain.vectors.settings import Pooling

if TYPE_CHECKING:
    from raytrain.vectors.encoder import EncoderVectors


def load_encoder(
    encoder: EncoderFiles,
    maxlen: int,
    pooling: Pooling = "mean",
    windows: int = 1,
    batch_size: int | None = None,
    precision: str = "auto",
) -> "EncoderVectors":
    """Builds an encoder of this process alone. Imports TensorFlow, which takes seconds.

    Args:
        encoder: Of `pretrained.start.find_start`.
        maxlen: As of `vectors.encoder.EncoderVectors`, and so the next.
        pooling: What is read of the last layer.
        windows: Most windows of a text.
        batch_size: Texts per forward pass.
        precision: As of `devices.set_precision`.

    Raises:
        CheckpointError: Its weights cannot be read.
        RaytrainError: Keras 3 is in use in this process.
    """
    check_keras()
    with hushed_stderr():
        with quick_imports():
            from raytrain.vectors.encoder import EncoderVectors
        predict_side_by_side()
        grow_card_memory()
        set_precision(precision)
        return EncoderVectors(encoder, maxlen, pooling, windows, batch_size)
