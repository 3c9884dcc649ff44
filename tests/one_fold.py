"""An ensemble's fold models, each as an ensemble of its own."""

from collections.abc import Iterator

from raytrain.ensemble.artifact import Ensemble
from raytrain.ensemble.manifest import FoldFile


def each_fold_alone(ensemble: Ensemble) -> Iterator[tuple[str, FoldFile, Ensemble]]:
    """Yields the architecture, the fold's entry, and the ensemble of it alone."""
    for architecture, entry in ensemble.manifest.architectures.items():
        for fold in entry.folds:
            own = {architecture: entry.model_copy(update={"folds": [fold]})}
            manifest = ensemble.manifest.model_copy(update={"architectures": own, "fusion": None})
            yield architecture, fold, Ensemble(ensemble.directory, manifest)
