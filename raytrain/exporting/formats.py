"""An ensemble's graph in the formats that others run. Its functions import TensorFlow or ONNX's libraries."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from raytrain.errors import RaytrainError
from raytrain.storage.files import files_below

if TYPE_CHECKING:
    from raytrain.exporting.graph import EnsembleGraph

ONNX, INT8, SAVED_MODEL = "model.onnx", "model.int8.onnx", "saved_model"
OPSET = 17  # of 2022: every onnxruntime since 1.12 reads it
INT8_OPERATIONS = ("MatMul", "Gemm", "Gather")  # products by weights, and embeddings
Run = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def write_onnx(graph: "EnsembleGraph", path: Path) -> None:
    """Writes the graph as one ONNX file, its weights within.

    Raises:
        RaytrainError: tf2onnx cannot convert it.
    """
    with hushed():
        import tensorflow as tf
        import tf2onnx

        function = graph.trace()
        asked = SimpleNamespace(get_concrete_function=lambda *_: function)  # all that is asked of tf.function
        try:
            model, _ = tf2onnx.convert.from_function(asked, [*graph.specs.values()], opset=OPSET)
        except (ValueError, RuntimeError, NotImplementedError, KeyError, tf.errors.OpError) as error:
            raise RaytrainError(f"tf2onnx cannot convert the ensemble's graph: {error}") from error
    model.doc_string, model.graph.doc_string = "", ""
    path.write_bytes(model.SerializeToString())


def write_int8(model: Path, path: Path) -> None:
    """Writes a model of `write_onnx` anew, its matrices in integers of eight bits.

    What they are multiplied with is made so, too, while it runs, by its own range (dynamic quantization).
    """
    with hushed():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=[*INT8_OPERATIONS],
            per_channel=True,
            reduce_range=True,  # without VNNI sums of eight bits overflow
            weight_type=QuantType.QInt8,
        )


def write_saved_model(graph: "EnsembleGraph", path: Path) -> None:
    """Writes the graph as a SavedModel with the signature `serving_default`."""
    with hushed():
        import tensorflow as tf

        root = tf.Module()
        root.kept = graph.variables  # what the function reads must be found from here
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(root, str(path), signatures=graph.trace(), options=options)


def open_onnx(path: Path, threads: int = 0) -> Run:
    """What runs an ONNX file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(["proba"], dict(inputs))[0]


def open_saved_model(path: Path) -> Run:
    """What runs a SavedModel."""
    with hushed():
        import tensorflow as tf

        model = tf.saved_model.load(str(path))  # kept by the closure: its signature does not hold it
    signature = model.signatures["serving_default"]

    def run(inputs: Mapping[str, np.ndarray], kept: Any = model) -> np.ndarray:
        return signature(**{name: tf.constant(values) for name, values in inputs.items()})["proba"].numpy()

    return run


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Silences what TensorFlow's, tf2onnx's and onnxruntime's loggers say below an error."""
    names = ("", "tf2onnx", "absl", "tensorflow", "root")
    before = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all below a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in files_below(path))
