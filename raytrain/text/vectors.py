"""Pretrained vectors of words: files of word2vec and GloVe, and the word embedding that they begin."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from raytrain.errors import SHOWN_PROBLEMS, CorpusError, printable
from raytrain.files.encodings import CHUNK_BYTES, READ_ERRORS, open_bytes

MOST_DIM = 1 << 16
LONGEST_LINE = 1 << 22  # bytes; MOST_DIM numbers and a word fit
CHECKED_BYTES = 1 << 25  # looked through before a run starts: a second's work
_EXPECTED = "expected a first line `number-of-words dimension`, or none, then a word and its vector a line"
_ARCHIVES = {b"PK\x03\x04": "a zip archive", b"7z\xbc\xaf": "a 7z archive", b"Rar!": "a rar archive"}
_NUMBER = re.compile(rb"-?[0-9]*\.[0-9]+(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(rb"-?[0-9]+")
_TOO_MANY = "line {}: expected {} numbers behind the word, found more"
_LEAST, _MOST = 1e-30, 1e30  # beyond which numbers are of another type, not of a vector
_MARK = b"\xef\xbb\xbf"
_NOT_UTF8 = "expected words in UTF-8, found {:,} of {:,} that are not; save the file as UTF-8"


@dataclass(frozen=True)
class Vectors:
    """Pretrained vectors of just the words asked for, and of single characters.

    Attributes:
        dim: Size of a vector.
        by_word: Word to (dim,) float32.
    """

    dim: int
    by_word: dict[str, np.ndarray]

    @property
    def characters(self) -> dict[str, np.ndarray]:
        """Those of single characters: what there is to say of a word that no text of the corpus holds."""
        return {word: vector for word, vector in self.by_word.items() if len(word) == 1}

    def words_covered(self, words: Iterable[str]) -> list[str]:
        """Those of the words that have a vector, of their own or of a character of theirs."""
        return [word for word in words if word in self.by_word or any(char in self.by_word for char in word)]


@dataclass(frozen=True)
class _Entry:
    """One word of a file: its place for messages, its bytes, and its vector's, not yet read as numbers."""

    place: str
    word: bytes
    vector: bytes


@dataclass(frozen=True)
class _VectorFile:
    """A file of vectors whose beginning has been read.

    Attributes:
        dim: Size of a vector.
        count: Number of words that the first line tells; None where there is no such line.
        first: What has been read of the words already: of text the first line.
    """

    stream: BinaryIO
    is_binary: bool
    dim: int
    count: int | None
    first: bytes = b""

    def entries(self) -> Iterator[_Entry]:
        """Goes through the words in order. Raises ValueError where the file cannot be cut into words."""
        return self._of_bytes() if self.is_binary else self._of_lines()

    def vector_of(self, entry: _Entry) -> np.ndarray:
        """(dim,) float32. Raises ValueError that says what was found."""
        if self.is_binary:
            vector = np.frombuffer(entry.vector, "<f4").astype(np.float32)
            sizes = np.abs(vector[vector != 0])
            if len(sizes) and ((sizes < _LEAST) | (sizes > _MOST)).all():
                raise ValueError(
                    f"{vector[vector != 0][0]:g}; the file is text, or of another type of numbers"
                )
        else:
            parts = entry.vector.rsplit(None, self.dim)[-self.dim :]
            try:
                numbers = [float(part) for part in parts]
            except ValueError as error:
                raise ValueError(f"{printable(str(error).rpartition(': ')[2], 40)} among them") from None
            if len(numbers) < self.dim:
                raise ValueError(f"{len(numbers)}")
            with np.errstate(over="ignore"):
                vector = np.array(numbers, np.float32)
        if not np.isfinite(vector).all():
            raise ValueError(f"{vector[~np.isfinite(vector)][0]}; leave the word out")
        return vector

    def _of_lines(self) -> Iterator[_Entry]:
        number = 0 if self.count is None else 1
        is_whole, ambiguous = True, 0  # whether all numbers so far are integers, and a line with more of them
        line = self.first or self.stream.readline(LONGEST_LINE)
        if re.fullmatch(rb"\S+(\s+[0-9]+:[-+.0-9eE]+)+\s*", line):
            raise ValueError("found pairs index:value: sparse vectors cannot be read, take dense ones")
        while line:
            number += 1
            if len(line) == LONGEST_LINE:
                raise ValueError(f"line {number}: longer than {LONGEST_LINE:,} bytes")
            head = line.split(None, 1)
            if head and line[:1].isspace():
                yield _Entry(f"line {number}", line[:1], line)  # a blank is a word, too
            elif head:
                word, vector = self._cut(head, number)
                is_whole = is_whole and _are_integers(vector)
                if is_whole and not ambiguous and _are_integers(word.partition(b" ")[2]):
                    ambiguous = number
                yield _Entry(f"line {number}", word, vector)
            line = self.stream.readline(LONGEST_LINE)
        if is_whole and ambiguous:
            raise ValueError(_TOO_MANY.format(ambiguous, self.dim))

    def _cut(self, head: Sequence[bytes], number: int) -> tuple[bytes, bytes]:
        """A line's word, which may hold blanks, and the numbers behind it."""
        rest = head[1] if len(head) > 1 else b""
        if rest.count(b" ") + rest.count(b"\t") < self.dim:
            return head[0], rest
        parts = rest.rsplit(None, self.dim)
        if len(parts) <= self.dim:
            return head[0], rest
        if _NUMBER.fullmatch(parts[0].rsplit(None, 1)[-1]):
            raise ValueError(_TOO_MANY.format(number, self.dim))
        return head[0] + b" " + parts[0], rest[len(parts[0]) :]

    def _of_bytes(self) -> Iterator[_Entry]:
        size, buffer, at, number = 4 * self.dim, self.first, 0, 0
        while number != self.count:
            end = buffer.find(b" ", at)
            if end >= 0 and len(buffer) - end - 1 >= size:
                number += 1
                yield _Entry(f"word {number}", buffer[at:end].strip(b"\n"), buffer[end + 1 : end + 1 + size])
                at = end + 1 + size
                continue
            if end < 0 and len(buffer) - at > CHUNK_BYTES:
                raise ValueError(f"word {number + 1}: expected a word and a blank, found none")
            chunk = self.stream.read(CHUNK_BYTES)
            if not chunk:
                return
            buffer, at = buffer[at:] + chunk, 0


def _begin(path: str, stream: BinaryIO) -> _VectorFile:
    """Reads what a file begins with. Raises ValueError where it holds no vectors."""
    line = stream.readline(LONGEST_LINE)
    start = line + stream.read(512) if len(line) < 512 and b"\0" in line else line
    kind = next((kind for magic, kind in _ARCHIVES.items() if start.startswith(magic)), None)
    if start[257:262] == b"ustar" or Path(path).suffix.lower() in (".tar", ".tgz"):
        kind = "a tar archive"
    if kind is not None:
        raise ValueError(f"found {kind}: unpack it and name the file of vectors in it")
    is_binary, line = ".bin" in Path(path).suffixes, line.removeprefix(_MARK)
    if match := re.fullmatch(rb"\s*([0-9]{1,12})\s+([0-9]{1,9})\s*", line):
        count, dim = map(int, match.groups())
        if not 0 < dim <= MOST_DIM:
            raise ValueError(f"expected a dimension from 1 to {MOST_DIM:,}, found {dim:,}")
        first = stream.readline(64 * (dim + 4)) if is_binary else b""
        return _VectorFile(stream, is_binary and not _is_text(first, dim), dim, count, first)
    fields = line.split()
    if is_binary or len(fields) < 3 or not all(map(_is_number, fields[1:])):
        raise ValueError(f"found {printable(line.decode(errors='replace').strip(), 60) or 'an empty line'}")
    return _VectorFile(stream, False, len(fields) - 1, None, line)


def _is_text(line: bytes, dim: int) -> bool:
    """Whether a first record is a word and numbers that are written out, whatever the file's name says."""
    fields = line.split()
    return len(fields) > dim and all(map(_is_number, fields[-dim:]))


def _are_integers(numbers: bytes) -> bool:
    fields = numbers.split()
    return bool(fields) and all(map(_INTEGER.fullmatch, fields))


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _scan(
    path: str, is_wanted: Callable[[bytes], bool], most_bytes: int | None
) -> tuple[int, dict[str, np.ndarray]]:
    """Reads the vectors of the words that are wanted; of a word that stands there twice, the first.

    Args:
        path: The file.
        is_wanted: Of a word's bytes.
        most_bytes: Where to stop; None goes to the end.

    Returns:
        The size of a vector, and (dim,) float32 of each wanted word that is there.

    Raises:
        CorpusError: As of `read_vectors`.
    """
    problems, found, total, done, num_broken = [], {}, 0, 0, 0
    try:
        with open_bytes(path) as stream:
            file = _begin(path, stream)
            for entry in file.entries():
                total, done = total + 1, done + len(entry.vector)
                word = entry.word.decode(errors="replace") if is_wanted(entry.word) else None
                num_broken += word is not None and "\ufffd" in word and b"\xef\xbf\xbd" not in entry.word
                if word is not None and word not in found:
                    try:
                        found[word] = file.vector_of(entry)
                    except ValueError as error:
                        told = f"expected {file.dim} finite numbers, found {error}"
                        problems.append(f"{entry.place}, {printable(word, 40)}: {told}")
                if len(problems) == SHOWN_PROBLEMS or (most_bytes is not None and done >= most_bytes):
                    break
            else:
                if file.count is not None and total < file.count:
                    told = f"its first line says {file.count:,} words, and it ends after {total:,}"
                    problems.append(f"{told}: fetch it whole, or correct the first line")
    except ValueError as error:
        problems += [str(error), _EXPECTED]
    except READ_ERRORS as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise CorpusError(f"words.vectors: cannot read {path}: {reason}") from error
    if 2 * num_broken > total:  # some words cut within a character are in many a file
        problems.append(_NOT_UTF8.format(num_broken, total))
    if problems:
        raise CorpusError(f"words.vectors: {path} cannot be used", problems)
    return file.dim, found


def check_vectors(path: str) -> None:
    """Looks through the beginning of a file, before anything slow. Raises CorpusError as `read_vectors`."""
    _scan(path, lambda word: True, CHECKED_BYTES)


def read_vectors(path: str, words: Iterable[str]) -> Vectors:
    """Reads a file of word2vec (text, or binary where the name holds `.bin`) or GloVe, also compressed.

    Args:
        path: The file.
        words: Words wanted; vectors of single characters are kept as well, whether theirs or not.

    Raises:
        CorpusError: The file cannot be read, is none of vectors or ends too early; a wanted word's vector
            is not of finite numbers, with its line; or it shares no word with the corpus.
    """
    wanted = set(words)
    asked = {word.encode(errors="replace") for word in wanted}
    dim, found = _scan(
        path, lambda word: word in asked or (len(word) <= 4 and len(word.decode(errors="replace")) == 1), None
    )
    if not any(word in found or any(char in found for char in word) for word in wanted):
        raise CorpusError(f"words.vectors: {path} holds no word or character of the corpus")
    return Vectors(dim, found)


def vector_of(word: str, known: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """A word's own vector, else the mean of its characters'; None where there are none."""
    if word in known:
        return known[word]
    characters = [known[char] for char in word if char in known]
    return np.mean(characters, axis=0) if characters else None
