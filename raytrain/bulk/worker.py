"""A process of Ray Data that holds the ensemble and predicts pieces."""

import tempfile
from pathlib import Path

import pyarrow as pa

from raytrain.bulk.pieces import Asked, tables_of
from raytrain.devices import hushed_stderr, set_up_tensorflow
from raytrain.ensemble.artifact import load_ensemble, manifest_digest
from raytrain.ensemble.files import output_of
from raytrain.ensemble.load import build_predictor
from raytrain.errors import ArtifactError


class PiecePredictor:
    """Predicts pieces into files; TensorFlow is imported here.

    Args:
        asked: What is asked.
        threads: CPUs that it computes on.
        gpu_share: Share of a card that it owns, or None.

    Raises:
        ArtifactError: It cannot be read, or is another than was asked for: one process may begin hours after
            the others.
    """

    def __init__(self, asked: Asked, threads: int, gpu_share: float | None):
        self._asked = asked
        ensemble = load_ensemble(asked.ensemble)
        if manifest_digest(ensemble.directory) != asked.digest:
            raise ArtifactError(
                f"{asked.ensemble} has changed since this prediction began; what is predicted is kept: take "
                "the ensemble it began with, or another output"
            )
        with hushed_stderr():
            if ensemble.has_networks:
                set_up_tensorflow(threads, gpu_share, "float32", side_by_side=not gpu_share)
            predictor = build_predictor(ensemble, None)
        self._output = output_of(ensemble, predictor, asked.reject)

    def __call__(self, pieces: pa.Table) -> pa.Table:
        """Predicts pieces; a file of predictions is there whole or not at all.

        Args:
            pieces: Of `pieces.cut_file`.

        Returns:
            The same without their texts, and num_rejected: how many rows are left to a person; null where
            they were predicted before.
        """
        rejected: list[int | None] = []
        for name, data in zip(pieces["output"].to_pylist(), pieces["data"].to_pylist(), strict=True):
            before = self._output.num_rejected
            if data:
                self._predict(name, data)
            rejected.append(self._output.num_rejected - before if data else None)
        return pieces.drop_columns(["data"]).append_column("num_rejected", pa.array(rejected, pa.int64()))

    def _predict(self, name: str, data: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="raytrain-") as folder:
            path = Path(folder) / f"piece{self._asked.suffix}"
            with self._output.open(path) as write:
                for table in tables_of(data):
                    write(table)
            self._asked.output.write_bytes(name, path.read_bytes())
