"""An ensemble artifact, ready to predict in this process."""

import sys
from typing import TYPE_CHECKING, Union

from raytrain.devices import grow_card_memory, in_precision, quick_imports
from raytrain.ensemble.artifact import Ensemble, load_ensemble
from raytrain.errors import RaytrainError

if TYPE_CHECKING:
    from raytrain.ensemble.models import Predictor, Tagger
    from raytrain.ensemble.ngrams import NgramPredictor


def load(ensemble: str, batch_size: int | None = None) -> Union["Predictor", "Tagger", "NgramPredictor"]:
    """Opens an artifact. Imports TensorFlow, which takes seconds, unless all its models are tfidf.

    Args:
        ensemble: Its directory, or its URI.
        batch_size: Texts per forward pass; None takes as many as suit the device.

    Returns:
        Of a classifier a Predictor or an NgramPredictor, of a tagger a Tagger; all have `labels` and
        `predict(texts)`, the first two `predict_proba(texts)` too. They may be used from several threads.

    Raises:
        InputError: There is no artifact, or it is damaged.
        RaytrainError: Keras 3 is in use in this process.

    Example:
        >>> import raytrain
        >>> predictor = raytrain.load("runs/mine/ensemble")  # doctest: +SKIP
        >>> predictor.predict(["网传明天停水，快转给家人"])  # doctest: +SKIP
        ['rumour']
    """
    return build_predictor(load_ensemble(ensemble), batch_size)


def build_predictor(
    ensemble: Ensemble, batch_size: int | None
) -> Union["Predictor", "Tagger", "NgramPredictor"]:
    """As `load`, of an artifact that is open already."""
    if not ensemble.has_networks:
        from raytrain.ensemble.ngrams import NgramPredictor

        return NgramPredictor(ensemble)
    check_keras()
    with quick_imports():
        from raytrain.ensemble.models import Predictor, Tagger
    grow_card_memory()
    with in_precision(ensemble.manifest.config.train.precision):
        return (Tagger if ensemble.task == "tag" else Predictor)(ensemble, batch_size)


def check_keras() -> None:
    """Refuses a process in which TensorFlow has settled on Keras 3 already.

    Raises:
        RaytrainError: With what to do.
    """
    if "tensorflow" not in sys.modules:
        return
    import tensorflow as tf

    if not tf.keras.Model.__module__.startswith("tf_keras"):
        raise RaytrainError(
            "raytrain's models need Keras 2 (tf-keras), and TensorFlow uses Keras 3 in this process; import "
            "raytrain before anything imports TensorFlow, or set TF_USE_LEGACY_KERAS=1 before Python starts"
        )
