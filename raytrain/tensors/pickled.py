"""What a pickle of tensors may name, and what is made of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class UnpickleError(ValueError):
    """A pickle holds what no file of tensors does, or ends too early."""


@dataclass(frozen=True)
class Storage:
    """A place of numbers in the file.

    Attributes:
        kind: As in `STORAGES`.
        key: Its name there.
        size: How many numbers.
    """

    kind: str
    key: str
    size: int


@dataclass(frozen=True)
class View:
    """A tensor: numbers of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


# Names of PyTorch's storages, and NumPy's of what lies in them.
STORAGES = {
    "torch.FloatStorage": "float32",
    "torch.DoubleStorage": "float64",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
}
DICT = "collections.OrderedDict"


def count_of(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 48:
        raise UnpickleError("expected a count")
    return value


def _counts(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 8:
        raise UnpickleError("expected a shape")
    return tuple(map(count_of, values))


def _tensor(arguments: tuple[Any, ...]) -> View:
    """Of torch._utils._rebuild_tensor and _v2: storage, offset, shape, strides, and what training wants."""
    if len(arguments) < 4 or not isinstance(arguments[0], Storage):
        raise UnpickleError("expected a tensor's storage and shape")
    storage, offset = arguments[0], count_of(arguments[1])
    shape, strides = _counts(arguments[2]), _counts(arguments[3])
    if len(shape) != len(strides):
        raise UnpickleError("expected as many strides as dimensions")
    size, last = 1, offset
    for length, stride in zip(shape, strides, strict=True):
        size *= length
        last += (length - 1) * stride
    if size and (last >= storage.size or size > storage.size):
        raise UnpickleError(f"a tensor of shape {shape} that its storage of {storage.size} does not hold")
    return View(storage, offset, shape, strides)


def _parameter(arguments: tuple[Any, ...]) -> View:
    if not arguments or not isinstance(arguments[0], View):
        raise UnpickleError("expected a parameter's tensor")
    return arguments[0]


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    pairs = arguments[0] if arguments else []
    if len(arguments) > 1 or not isinstance(pairs, list):
        raise UnpickleError("expected the items of a dict")
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise UnpickleError("expected pairs as the items of a dict")
    if not all(isinstance(pair[0], str | int) for pair in pairs):
        raise UnpickleError("expected a dict of names")
    return dict(pairs)


def _size(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    return _counts(arguments[0] if arguments else ())


MAKERS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    DICT: _ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
}
