"""Files of word vectors, looked at before anything slow: what one is, and which of its lines are wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from raytrain.errors import CorpusError
from raytrain.files.encodings import open_bytes, readable

BEGINNING_BYTES = 16 << 20  # of a file that are looked through before a run; seldom more than a second
MOST_PROBLEMS = 20  # a file of another format is wrong in every line
_LONGEST_LINE, _LONGEST_WORD = 1 << 22, 1 << 12
_MOST = float(np.finfo(np.float32).max)
_FEWER = "leave such lines out, and say so many less in the first line"
_UNPACK = "unpack it, and name the file of vectors that lies in it"
_SAVE = "save its vectors in word2vec format (gensim: save_word2vec_format)"
_DENSE = "take dense ones, such as of skip-gram (SGNS)"
# First bytes, at their place, of what people take for a file of vectors: what it is, and what to do.
_OTHERS = (
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"PK\x03\x04", "a zip archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (0, b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (0, b"\x1f\x8b", "compressed by gzip", "unpack it, or let its name end in .gz"),
    (0, b"BZh", "compressed by bzip2", "unpack it, or let its name end in .bz2"),
    (0, b"\xfd7zXZ", "compressed by xz", "unpack it, or let its name end in .xz"),
    (0, b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "unpack it, or let its name end in .zst"),
    (0, b"\x80", "a Python pickle, as gensim's save writes it", _SAVE),
    (0, b"\x93NUMPY", "a NumPy array", _SAVE),
    (0, b"\x89HDF", "an HDF5 file", _SAVE),
    (0, b"\xba\x16\x4f\x2f", "a model of fastText", "take its .vec, which lies beside the .bin"),
    (0, b"\xff\xfe", "UTF-16", "save it as UTF-8"),
    (0, b"\xfe\xff", "UTF-16", "save it as UTF-8"),
    (0, b"\xef\xbb\xbf", "text with a byte order mark", "save it as UTF-8 without one"),
)


@dataclass(frozen=True)
class VectorFormat:
    """How a file of vectors is written.

    Attributes:
        is_binary: Whether its numbers are float32 and no text.
        count: Words that its first line promises; None where it begins with a word.
        dim: Size of a vector.
    """

    is_binary: bool
    count: int | None
    dim: int


def check_vectors(path: str | Path, most_bytes: int | None = BEGINNING_BYTES) -> VectorFormat:
    """Finds how a file of word vectors is written, and what is wrong in its beginning.

    Args:
        path: The file, plain or compressed; binary where its name holds `.bin`.
        most_bytes: How much of it is looked through; None takes all of it.

    Raises:
        CorpusError: It is missing, something else, or lines are no vectors; with each line's number.
    """
    try:
        with readable(path), open_bytes(path) as stream:
            beginning = stream.read(512)
        _refuse_others(path, beginning)
        with readable(path), open_bytes(path) as stream:
            found = _format_of(path, stream.readline(_LONGEST_LINE))
        looks = _binary_problems if found.is_binary else _text_problems
        with readable(path), open_bytes(path) as stream:
            if found.count is not None:
                stream.readline(_LONGEST_LINE)
            problems = looks(stream, found, most_bytes)
    except CorpusError as error:
        raise CorpusError(f"words.vectors: {error.summary}", error.problems) from error
    if problems:
        raise CorpusError(f"words.vectors: {path} cannot be used", problems)
    return found


def is_binary_by_name(path: str | Path) -> bool:
    """Whether a file's name says that its vectors are binary."""
    return ".bin" in Path(path).suffixes


def _refuse_others(path: str | Path, beginning: bytes) -> None:
    for place, magic, what, advice in _OTHERS:
        if beginning[place:].startswith(magic):
            raise CorpusError(f"{path} is {what}, expected word vectors", [advice])
    if not beginning:
        raise CorpusError(f"{path} is empty, expected word vectors")


def _format_of(path: str | Path, first: bytes) -> VectorFormat:
    """What the first line says, or where there is no header the first vector."""
    is_binary = is_binary_by_name(path)
    fields = first.decode("utf-8", "replace").split()
    if len(fields) == 2 and all(field.isascii() and field.isdigit() and int(field) for field in fields):
        return VectorFormat(is_binary, int(fields[0]), int(fields[1]))
    numbers = first.rstrip().decode("utf-8", "replace").split(" ")[1:]
    if not is_binary and len(numbers) > 1 and _floats(numbers) is not None:
        return VectorFormat(False, None, len(numbers))
    expected = "line 1: expected `number-of-words dimension`, or a word and its vector with blanks between"
    if is_binary:
        expected = "expected a first line `number-of-words dimension`, because its name says binary (.bin)"
    found = first.rstrip().decode("utf-8", "replace")
    advice = "; let a name that ends in .txt say that it is text" if is_binary else ""
    raise CorpusError(f"{path} cannot be used", [f"{expected}; found {found[:50]!r}{advice}"])


def _text_problems(stream: BinaryIO, found: VectorFormat, most_bytes: int | None) -> list[str]:
    """What is wrong with each line of a text file, the first one behind the header."""
    problems: list[str] = []
    num_read = num_words = 0
    is_whole = False
    while (found.count is None or num_words < found.count) and len(problems) < MOST_PROBLEMS:
        if most_bytes is not None and num_read > most_bytes:
            return problems
        line = stream.readline(_LONGEST_LINE)
        if is_whole := not line:
            break
        if b"\0" in line and not num_words:
            return ["expected text, found binary numbers; let its name end in .bin if word2vec wrote it"]
        num_read, num_words = num_read + len(line), num_words + 1
        number = num_words + (found.count is not None)
        problem = _line_problem(line, found.dim)
        if problem is not None and problem.endswith(_DENSE):
            return [f"line {number}: {problem}"]  # as in every line
        problems += [] if problem is None else [f"line {number}: {problem}"]
    if is_whole and found.count is not None:
        problems.append(_too_few(found, num_words))
    return problems


def _too_few(found: VectorFormat, num_words: int) -> str:
    expected = f"expected {found.count:,} words, as the first line says, found {num_words:,}"
    return f"{expected}; get the file anew if it is cut off, else let it begin with `{num_words} {found.dim}`"


def _line_problem(line: bytes, dim: int) -> str | None:
    """Why a line is no word and its vector, and what to do; None where it is."""
    text = line.rstrip().decode("utf-8", "replace")
    word, *fields = text.split(" ")
    values = _floats(fields)
    expected = f"expected a word and {dim} numbers"
    if values is not None and len(values) == dim:
        if all(abs(value) <= _MOST for value in values):
            return None
        bad = next(field for field, value in zip(fields, values, strict=True) if not abs(value) <= _MOST)
        return f"expected finite numbers for the word {word!r:.40}, found {bad:.20}; {_FEWER}"
    if not text:
        return f"{expected}, found nothing; {_FEWER}"
    if "\t" in text and _floats(text.split()[-dim:]) is not None:
        return f"{expected} with blanks between, found tabs; put a blank in place of each"
    if fields and all(":" in field for field in fields):
        sparse = f"found {fields[0]:.30}: a sparse vector, as of PPMI"
        return f"{expected}, {sparse}; {_DENSE}"
    if len(fields) > dim and _floats(fields[-dim:]) is not None:
        word = " ".join([word, *fields[:-dim]])
        return f"{expected}, found the word {word!r:.40} with a blank in it; write _ in its place"
    wrong = next((field for field in fields if _floats([field]) is None), None)
    found = f"{len(fields)} behind {word!r:.40}" if wrong is None else f"{wrong!r:.40} behind {word!r:.40}"
    return f"{expected}, found {found}; {_FEWER}"


def _floats(fields: list[str]) -> list[float] | None:
    try:
        return list(map(float, fields))
    except ValueError:
        return None


def _binary_problems(stream: BinaryIO, found: VectorFormat, most_bytes: int | None) -> list[str]:
    """What is wrong with each word of a binary file."""
    problems: list[str] = []
    num_read, count = 0, found.count or 0
    first = stream.readline(_LONGEST_LINE)
    if _line_problem(first, found.dim) is None:
        return ["expected binary numbers, because its name holds .bin, found text; name it otherwise"]
    for number, (word, data) in enumerate(_records(first, stream, found.dim), start=1):
        if len(data) < 4 * found.dim:
            return [*problems, _too_few(found, number - 1)]
        if not np.isfinite(np.frombuffer(data, np.float32)).all():
            name = word.decode("utf-8", "replace")
            problems.append(f"word {number}: expected finite numbers for the word {name!r:.40}, found others")
        num_read += len(word) + len(data)
        if number == count or len(problems) == MOST_PROBLEMS or num_read > (most_bytes or num_read):
            break
    return problems


def _records(held: bytes, stream: BinaryIO, dim: int) -> Iterator[tuple[bytes, bytes]]:
    """Words and the bytes of their vectors, read from `held` and then on; at last one that is too short."""
    while True:
        while b" " not in held[:_LONGEST_WORD] and (more := stream.read(4 * dim)):
            held += more
        word, _, held = held.partition(b" ")
        held += stream.read(max(0, 4 * dim - len(held)))
        yield word.lstrip(b"\n"), held[: 4 * dim]
        held = held[4 * dim :]
