"""Files of any size predicted on Ray, from Python as by the command."""

from collections.abc import Sequence

from raytrain.bulk.driver import Predicted, Workers, ask, predict_all
from raytrain.errors import InputError
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.messages import logging_console
from raytrain.stages import Stages


def predict_files(
    ensemble: str,
    inputs: str,
    output: str,
    format: str | None = None,
    columns: str | Sequence[str] | None = None,
    id_column: str | None = None,
    reject: float | None = None,
    reading: Reading = AS_FOUND,
    replicas: int | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
    stages: Stages | None = None,
) -> Predicted:
    """Predicts files by Ray Data, as `raytrain predict --cluster` does; called again it goes on.

    It uses the Ray that this process is connected to, that of RAY_ADDRESS, or one of its own.

    Args:
        ensemble: The artifact's directory or URI.
        inputs: A file, or a directory of files, or the URI of either.
        output: The directory of predictions, or its URI.
        format: Of them: "parquet", "csv" or "jsonl"; of a tagger "jsonl" or "bio". None takes the first.
        columns: Of the text, or two of a pair; None takes those that the ensemble was trained on.
        id_column: None takes the training's where it is there, else row numbers.
        reject: Rows whose greatest probability is below are left to a person; None leaves none.
        reading: What is said of the files.
        replicas: Processes that predict; None takes as many as have room.
        cpus: Of each.
        gpus: Of each, or a share of one.
        stages: Where progress is told; None logs it to `raytrain`.

    Returns:
        How many files were predicted now and before, and how many rows they hold.

    Raises:
        InputError: There is no artifact or no file, a file cannot be read, or the output holds something
            else, or of inputs that have changed; what was predicted before stays.
        ClusterError: No machine holds a process that predicts.

    Example:
        >>> import raytrain
        >>> told = raytrain.predict_files("runs/mine/ensemble", "posts", "predictions")  # doctest: +SKIP
        >>> told.files, told.rows  # doctest: +SKIP
        (20, 1000000)
    """
    _check(reject, replicas, cpus, gpus)
    suffix = None if format is None else f".{format.lstrip('.')}"
    chosen = None if columns is None else (columns,) if isinstance(columns, str) else tuple(columns)
    asked, names = ask(str(ensemble), str(inputs), str(output), suffix, chosen, id_column, reject, reading)
    workers = Workers(replicas, cpus, gpus)
    return predict_all(asked, names, workers, stages or Stages(logging_console()))


def _check(reject: float | None, replicas: int | None, cpus: float, gpus: float) -> None:
    """Refuses numbers that mean nothing; NaN is none of those that do."""
    problems = []
    if reject is not None and not 0 < reject <= 1:
        problems.append(f"reject: expected a probability above 0 and up to 1, found {reject}")
    if replicas is not None and replicas < 1:
        problems.append(f"replicas: expected 1 or more, found {replicas}")
    if not cpus > 0:
        problems.append(f"cpus: expected more than 0, found {cpus:g}")
    if not gpus >= 0:
        problems.append(f"gpus: expected 0 or more, found {gpus:g}")
    if problems:
        raise InputError("nothing can be predicted so", problems)
