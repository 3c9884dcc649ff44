"""A reader of pickles that knows tensors and nothing else.

Python's own runs what a pickle names. This one has a few operations, makes plain values, and takes a name
only where it stands in `pickled.MAKERS` or `STORAGES`; every other is refused, and told. An operation makes
one small value, or one of what it takes away from the stack. Only the items of an `OrderedDict` may have been
kept and come again: all dicts together are made of no more of them than the pickle has bytes. So memory
is at most a fixed multiple of what is read, some hundred bytes for each byte, of which there are few million.
"""

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raytrain.tensors.pickled import DICT, MAKERS, STORAGES, Storage, UnpickleError, count_of

MOST_BYTES = 4 << 20  # the pickle of a model of thousands of tensors has some hundred kB
MOST_INTEGER_BYTES = 16  # of a LONG1; torch's magic number has ten
_MARK = object()


@dataclass(frozen=True)
class _Name:
    """One of `pickled.MAKERS` or `STORAGES`."""

    name: str


def load(data: Any, start: int = 0, most: int = MOST_BYTES) -> tuple[Any, int]:
    """Reads one pickle.

    Args:
        data: Bytes, or what can be sliced to bytes.
        start: Where in them it begins.
        most: Bytes that are read.

    Returns:
        Its value, of dicts, lists, tuples, strings, numbers, `Storage` and `View`; and the place behind it.

    Raises:
        UnpickleError: It is none, or holds anything else.
    """
    return _Reader(data, start, most).run()


class _Reader:
    def __init__(self, data: Any, start: int, most: int):
        self.data, self.start, self.place, self.most = data, start, start, most
        self.num_items = 0  # of dicts that were made of lists
        self.storages: dict[str, Storage] = {}
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> tuple[Any, int]:
        while True:
            code = self.take(1).decode("latin-1")
            if code == ".":
                return self.pop(), self.place
            if code not in _OPERATIONS:
                name = next((known.name for known in pickletools.opcodes if known.code == code), repr(code))
                raise UnpickleError(f"{name} is no operation of a file of tensors")
            _OPERATIONS[code](self)

    def take(self, size: int) -> bytes:
        if self.place + size > self.start + self.most and size <= len(self.data):
            raise UnpickleError(f"expected a pickle of {self.most:,} bytes at most; it goes on")
        taken = bytes(self.data[self.place : self.place + size]) if size <= len(self.data) else b""
        if len(taken) != size:
            raise UnpickleError("it ends too early")
        self.place += size
        return taken

    def skip(self, size: int) -> None:
        self.take(size)

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def line(self) -> str:
        end = self.data.find(b"\n", self.place, self.place + 256)
        if end < 0:
            raise UnpickleError("it ends within a name")
        text = self.take(end - self.place)
        self.place += 1
        return _decoded(text)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise UnpickleError("it takes a value where there is none")
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        """What was pushed since the last mark."""
        values = []
        while self.stack and self.stack[-1] is not _MARK:
            values.append(self.stack.pop())
        if not self.stack:
            raise UnpickleError("it takes values where there is no mark")
        self.stack.pop()
        return values[::-1]

    def pop_several(self, count: int) -> tuple[Any, ...]:
        return tuple([self.pop() for _ in range(count)][::-1])

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise UnpickleError(f"expected a {kind.__name__}")
        return self.stack[-1]

    def put(self, index: int) -> None:
        self.push(value := self.pop())
        self.memo[index] = value

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise UnpickleError("it asks for a value that it never kept")
        self.push(self.memo[index])

    def set_items(self, values: list[Any]) -> None:
        target = self.top(dict)
        if len(values) % 2 or not all(isinstance(key, str | int) for key in values[::2]):
            raise UnpickleError("expected a dict of names")
        target.update(zip(values[::2], values[1::2], strict=True))

    def name(self, module: Any, name: Any) -> None:
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "what is no name"
        if full not in MAKERS and full not in STORAGES:
            raise UnpickleError(f"it names {full!a}, which is no part of a tensor; it was not run")
        self.push(_Name(full))

    def reduce(self) -> None:
        arguments, called = self.pop(), self.pop()
        if not isinstance(called, _Name) or called.name not in MAKERS or not isinstance(arguments, tuple):
            raise UnpickleError("it calls what makes no tensor; it was not run")
        if called.name == DICT and arguments and isinstance(arguments[0], list):
            self.num_items += len(arguments[0])
        if self.num_items > self.place - self.start:
            raise UnpickleError("expected each item of a dict once, found a list of them used over and over")
        self.push(MAKERS[called.name](arguments))

    def build(self) -> None:
        """The state of a dict: PyTorch hangs versions of modules there."""
        state = self.pop()
        self.top(dict)
        if not isinstance(state, dict):
            raise UnpickleError("expected a dict as the state of a dict")

    def persistent(self) -> None:
        pid = self.pop()
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise UnpickleError("expected the place of a storage")
        kind, key, size = pid[1], pid[2], pid[4]
        if not isinstance(kind, _Name) or kind.name not in STORAGES or not isinstance(key, str):
            raise UnpickleError("expected the kind and the name of a storage")
        if len(pid) == 6 and pid[5] is not None:
            raise UnpickleError("a view of a storage, as PyTorch before 0.4 wrote it; save it anew")
        storage = Storage(STORAGES[kind.name], key, count_of(size))
        if (first := self.storages.setdefault(key, storage)) != storage:
            told = f"{first.kind} of {first.size:,} numbers, and {storage.kind} of {storage.size:,}"
            raise UnpickleError(f"expected one kind and size of storage {key!a}; found {told}")
        self.push(storage)

    def long(self) -> None:
        size = self.number("<B")
        if size > MOST_INTEGER_BYTES:
            raise UnpickleError(f"an integer of {size} bytes")
        self.push(int.from_bytes(self.take(size), "little", signed=True))

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def append(self, values: list[Any]) -> None:
        self.top(list).extend(values)


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnpickleError("a name that is not UTF-8") from error


# https://docs.python.org/3/library/pickletools.html; what PyTorch writes, by protocols 2 to 5.
_OPERATIONS: dict[str, Callable[[_Reader], None]] = {
    "\x80": lambda r: r.skip(1),  # PROTO
    "\x95": lambda r: r.skip(8),  # FRAME
    "(": lambda r: r.push(_MARK),
    "}": lambda r: r.push({}),
    "]": lambda r: r.push([]),
    ")": lambda r: r.push(()),
    "N": lambda r: r.push(None),
    "\x88": lambda r: r.push(True),
    "\x89": lambda r: r.push(False),
    "K": lambda r: r.push(r.number("<B")),
    "M": lambda r: r.push(r.number("<H")),
    "J": lambda r: r.push(r.number("<i")),
    "G": lambda r: r.push(struct.unpack(">d", r.take(8))[0]),
    "\x8a": _Reader.long,
    "X": lambda r: r.push(_decoded(r.take(r.number("<I")))),
    "\x8c": lambda r: r.push(_decoded(r.take(r.number("<B")))),
    "\x8d": lambda r: r.push(_decoded(r.take(r.number("<Q")))),
    "U": lambda r: r.push(_decoded(r.take(r.number("<B")))),  # strings of Python 2
    "T": lambda r: r.push(_decoded(r.take(r.number("<I")))),
    "q": lambda r: r.put(r.number("<B")),
    "r": lambda r: r.put(r.number("<I")),
    "\x94": lambda r: r.put(len(r.memo)),
    "h": lambda r: r.get(r.number("<B")),
    "j": lambda r: r.get(r.number("<I")),
    "t": lambda r: r.push(tuple(r.pop_marked())),
    "\x85": lambda r: r.push(r.pop_several(1)),
    "\x86": lambda r: r.push(r.pop_several(2)),
    "\x87": lambda r: r.push(r.pop_several(3)),
    "s": lambda r: r.set_items(list(r.pop_several(2))),
    "u": lambda r: r.set_items(r.pop_marked()),
    "a": lambda r: r.append([r.pop()]),
    "e": lambda r: r.append(r.pop_marked()),
    "c": lambda r: r.name(r.line(), r.line()),
    "\x93": _Reader.stack_global,
    "R": _Reader.reduce,
    "b": _Reader.build,
    "Q": _Reader.persistent,
}
