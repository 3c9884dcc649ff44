"""How a text file encodes its characters."""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path

from raytrain.files.charsets import (
    CHARSETS,
    is_of_hong_kong,
    is_western,
    likeliest_charsets,
    odd_characters,
)
from raytrain.files.encodings import CHUNK_BYTES, SHOWN_LINES, Problem, open_bytes, readable
from raytrain.files.marks import marked_encoding, unmarked_utf16
from raytrain.files.reading import AS_FOUND, Reading

LEAST_UTF8_LINES = 2  # beside others, which are not of a file's other encoding by accident
LEAST_UTF8_SHARE = 0.01
PADDED_SHARE = 0.2  # of bytes that are zero
_FOREIGN = {  # what files of other kinds begin with
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a zip archive, as .xlsx and .docx are",
    b"\xd0\xcf\x11\xe0": "a file of an older Office, as .xls and .doc are",
    b"{\\rtf": "RTF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x1f\x8b": "what gzip compressed, whose name ends in .gz",
    b"\xfd7zXZ": "what xz compressed, whose name ends in .xz",
    b"(\xb5/\xfd": "what zstd compressed, whose name ends in .zst",
}
_PARQUET = b"PAR1"  # at the beginning and at the end


def detect_encoding(path: str | Path, problems: list[Problem], reading: Reading = AS_FOUND) -> str | None:
    """Finds how a text file is encoded: as is said, or UTF-8, UTF-16, or what else its characters speak for.

    A file that is not UTF-8 throughout is still UTF-8 with bad bytes, not GB18030, where most of its
    lines with non-ASCII bytes are: otherwise one bad byte would turn every text into other characters.

    Args:
        path: The file, plain or compressed.
        problems: Takes one problem for each line that cannot be decoded.
        reading: What is said of the file.

    Returns:
        A codec's name, or None where the file as a whole cannot be decoded.
    """
    if reading.codec is not None:
        return _as_said(path, problems, reading)
    with open_bytes(path) as stream:
        beginning = stream.read(CHUNK_BYTES)
    if foreign := _foreign(path, beginning):
        problems.append(_problem(f"expected text, found {foreign}; save its rows as .csv in UTF-8"))
        return None
    if marked := marked_encoding(beginning):
        if _decodes(path, marked):
            return marked
        name = name_of(marked)
        message = f"expected {name}, as its byte order mark says, found bytes that are not; save it as UTF-8"
        problems.append(_problem(message))
        return None
    if (order := _padded_utf16(beginning)) and _decodes(path, order):
        return order
    if _decodes(path, "utf-8"):
        return "utf-8-sig"
    if (order := unmarked_utf16(beginning)) and _decodes(path, order):
        return order
    lines = _Utf8Lines(path)
    if lines.are_most:
        problems += _undecodable_lines(path, "utf-8", "UTF-8 as in most lines")
        return "utf-8-sig"
    if lines.are_several:
        problems.append(
            _problem(
                f"expected one encoding, found two: line {lines.first} is UTF-8, line {lines.first_other} is "
                "not; save each of the files that were joined as UTF-8, and join them anew"
            )
        )
        return None
    return _charset(path, problems, reading)


def encoding_of_beginning(beginning: bytes) -> str:
    """As `detect_encoding` finds for a sound file, but from its first part alone."""
    if encoding := marked_encoding(beginning) or _padded_utf16(beginning):
        return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)  # its last character may be cut
    except UnicodeDecodeError:
        return unmarked_utf16(beginning) or likeliest_charsets(beginning)[0]
    return "utf-8-sig"


def encoding_line(path: str | Path, reading: Reading = AS_FOUND) -> str | None:
    """What is to be said of how a readable text file is encoded; None of UTF-8, Parquet and what was said."""
    if Path(path).suffix.lower() == ".parquet" or reading.encoding is not None:
        return None
    with readable(path):
        encoding = detect_encoding(path, [])
    if encoding in (None, "utf-8-sig"):
        return None
    remedy = f"say so with {reading.option('encoding', 'NAME')}, or save the file as UTF-8"
    return f"read as {name_of(encoding)}, by its characters; if they are wrong, {remedy}"


def name_of(encoding: str) -> str:
    return CHARSETS[encoding].name if encoding in CHARSETS else encoding.upper()


def _problem(message: str) -> Problem:
    return Problem("encoding", None, None, message)


def _is_padded(data: bytes) -> bool:
    """Whether so many bytes are zeros as in ASCII's UTF-16, which is valid UTF-8, too."""
    return data.count(b"\0") > PADDED_SHARE * len(data)


def _padded_utf16(beginning: bytes) -> str | None:
    """UTF-16's byte order, where a file may be valid UTF-8, too, but its zeros are none of that."""
    if b"\0" not in beginning:
        return None
    return unmarked_utf16(beginning, by_hanzi=not _is_padded(beginning))


def _foreign(path: str | Path, beginning: bytes) -> str | None:
    if beginning.startswith(_PARQUET) and _ending(path, len(_PARQUET)) == _PARQUET:
        return "Parquet, whose name ends in .parquet"
    return next((name for mark, name in _FOREIGN.items() if beginning.startswith(mark)), None)


def _as_said(path: str | Path, problems: list[Problem], reading: Reading) -> str | None:
    codec = str(reading.codec)
    if _decodes(path, codec):
        return codec
    said = reading.option("encoding", str(reading.encoding))
    remedy = "leave that out and the encoding is found out, or save the file as UTF-8"
    if codec in ("utf-16", "utf-32"):
        little, big = (reading.option("encoding", f"{codec}-{order}") for order in ("le", "be"))
        remedy += f"; one without a byte order mark is {little} or {big}"
    message = f"expected {reading.encoding}, as {said} says, found bytes that are not; {remedy}"
    problems.append(_problem(message))
    return None


def _charset(path: str | Path, problems: list[Problem], reading: Reading) -> str | None:
    """The charset of East Asia that a file's characters speak for; None where it is none, or in doubt."""
    lines = _telling_lines(path)
    likely = likeliest_charsets(lines)
    decoded = [codec for codec in likely if _decodes(path, codec)]
    texts = {codec: codecs.getincrementaldecoder(codec)("replace").decode(lines) for codec in decoded}
    western = [codec for codec, text in texts.items() if is_western(text, codec)]
    sound = [c for c, text in texts.items() if c not in western and not odd_characters(text, c)]
    if len(sound) == 1 and not _has_padded_lines(path):
        return sound[0]
    say = reading.option("encoding", "NAME")
    if len(sound) > 1:
        names = " and ".join(name_of(codec) for codec in sound)
        options = " or ".join(reading.option("encoding", codec) for codec in sound)
        message = f"found {names} as likely; say which with {options}, or save it as UTF-8"
        problems.append(_problem(f"expected text whose encoding can be told, {message}"))
    elif sound:
        remedy = f"if it is text, say {say}, or save it as UTF-8"
        problems.append(_problem(f"expected text, found the byte 0x00 in it; {remedy}"))
    elif western:
        found = "found letters as of Western Europe, whose encodings are not told apart"
        example = reading.option("encoding", "latin-1")
        problems.append(
            _problem(f"expected UTF-8, {found}; say which with {example} or the like, or save it as UTF-8")
        )
    elif is_of_hong_kong(lines) and _decodes(path, "big5hkscs"):
        remedy = f"say {reading.option('encoding', 'big5hkscs')}, or save it as UTF-8"
        problems.append(_problem(f"expected Big5, found characters that only Hong Kong's has; {remedy}"))
    elif texts:
        codec, text = next(iter(texts.items()))
        shown = ", ".join(f"U+{ord(char):04X}" for char in odd_characters(text, codec)[:3])
        found = f"found what would be {name_of(codec)} with characters that no text has ({shown})"
        remedy = f"say it with {say}, or save it as UTF-8"
        problems.append(_problem(f"expected text whose encoding can be told, {found}; {remedy}"))
    elif likely == ["gb18030"] or len(likely) > 1:
        problems += _undecodable_lines(path, "gb18030", "UTF-8, GB18030, or UTF-16 with a byte order mark")
    else:
        problems += _undecodable_lines(path, likely[0], f"{name_of(likely[0])} as in most characters")
    return None


def _decodes(path: str | Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with open_bytes(path) as stream:
        try:
            while chunk := stream.read(CHUNK_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeError:  # UTF-16 that lacks its mark raises no more exact one
            return False
    return True


def _ending(path: str | Path, size: int) -> bytes:
    ending = b""
    with open_bytes(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            ending = (ending + chunk)[-size:]
    return ending


def _has_padded_lines(path: str | Path) -> bool:
    """Whether a line is of UTF-16 or of no text; a zero here and there is a slip, which UTF-8 has, too."""
    return any(_is_padded(line) for _, line in _lines_of_bytes(path))


def _lines_of_bytes(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines with their ends; no charset has a line end within a character."""
    with io.TextIOWrapper(open_bytes(path), "latin-1", newline="") as stream:
        for row, line in enumerate(stream, 1):
            yield row, line.encode("latin-1")


class _Utf8Lines:
    """Which lines beyond ASCII are UTF-8.

    Attributes:
        are_most: Whether most are, or nearly.
        are_several: Whether some have several characters of East Asia and no bad byte, which is no accident.
        first: Of these.
        first_other: The first line that is not UTF-8.
    """

    def __init__(self, path: str | Path):
        votes = num_lines = num_sound = self.first = self.first_other = 0
        for row, line in _lines_of_bytes(path):
            if line.isascii():
                continue
            num_lines += 1
            text = line.decode("utf-8", "ignore")
            wide = text.encode("ascii", "ignore")
            num_bad = len(line) - len(text.encode())
            votes += 1 if len(text) - len(wide) > num_bad else -1
            if num_bad:
                self.first_other = self.first_other or row
            elif len(text) - len(wide) > 1 and min(char for char in text if not char.isascii()) > "\u0800":
                num_sound, self.first = num_sound + 1, self.first or row
        self.are_most = votes > 0
        self.are_several = num_sound >= max(LEAST_UTF8_LINES, LEAST_UTF8_SHARE * num_lines)


def _telling_lines(path: str | Path) -> bytes:
    """The first lines that are more than ASCII, up to a chunk of them: no charset differs in the others."""
    found = bytearray()
    with open_bytes(path) as stream:
        for line in stream:
            if not line.isascii():
                found += line
            if len(found) >= CHUNK_BYTES:
                break
    return bytes(found[:CHUNK_BYTES])


def _undecodable_lines(path: str | Path, encoding: str, expected: str) -> list[Problem]:
    problems = []
    num_lines = 0
    for row, line in _lines_of_bytes(path):
        try:
            line.decode(encoding)
        except UnicodeDecodeError as error:
            num_lines += 1
            if num_lines <= SHOWN_LINES:
                found = f"the byte 0x{line[error.start]:02X} at byte {error.start + 1} of the line"
                message = f"expected {expected}, found {found}; save the file as UTF-8"
                problems.append(Problem("encoding", row, None, message))
    if num_lines > SHOWN_LINES:
        message = f"{num_lines - SHOWN_LINES:,} more lines are not {expected}; save the file as UTF-8"
        problems.append(_problem(message))
    return problems
