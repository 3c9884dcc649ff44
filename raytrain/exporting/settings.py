"""What an export is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal, get_args

from raytrain.files.reading import AS_FOUND, Reading

Format = Literal["onnx", "savedmodel", "keras-weights"]
FORMATS: tuple[Format, ...] = get_args(Format)
NEEDED = ("tf2onnx", "onnx", "onnxruntime")  # of the extra, for ONNX
NUMERICS = 1e-5  # greatest difference of a float32 probability from predict's


@dataclass(frozen=True)
class CheckFile:
    """Labelled rows by which an export is judged.

    Attributes:
        path: Any file that a corpus may be.
        text_columns: None takes those that the ensemble was trained on.
        label: None takes the training's.
        reading: What is said of the file.
    """

    path: str
    text_columns: Sequence[str] | None = None
    label: str | None = None
    reading: Reading = AS_FOUND

    def __post_init__(self) -> None:
        if isinstance(self.text_columns, str):
            object.__setattr__(self, "text_columns", (self.text_columns,))


@dataclass(frozen=True)
class ExportSettings:
    """How an ensemble is exported.

    Attributes:
        format: Of the model.
        int8: Whether the model is written with matrices of eight bits, too.
        only: The architectures that are taken; () takes all.
        check: By what it is judged; None takes texts of its own, which have no labels.
    """

    format: Format
    int8: bool = False
    only: Sequence[str] = ()
    check: CheckFile | None = field(default=None)

    def __post_init__(self) -> None:
        if isinstance(self.only, str):
            object.__setattr__(self, "only", (self.only,))

    @property
    def has_graph(self) -> bool:
        """Whether a model is written that runs, and not weights alone."""
        return self.format != "keras-weights"


def missing_packages(format: Format) -> list[str]:
    """What is not installed that a format needs."""
    return [name for name in NEEDED if find_spec(name) is None] if format == "onnx" else []
