"""What is to be said of how a file was read, that a person may see when it was read wrongly."""

from pathlib import Path

from raytrain.files.bio import is_bio, places_line
from raytrain.files.detection import detect_encoding, encoding_line
from raytrain.files.encodings import open_lines, readable
from raytrain.files.quoting import begins_quoted
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.tables import DELIMITERS, find_quoting, format_of, has_fields, holds_quotes


def reading_lines(path: str | Path, reading: Reading = AS_FOUND) -> list[str]:
    """How a readable file was read, a line each; none where there was nothing to find out.

    Args:
        path: A file of rows, or `.bio`.
        reading: What is said of it.

    Raises:
        CorpusError: The file cannot be read.
    """
    found = [encoding_line(path, reading), places_line(path, reading), _quoting_line(path, reading)]
    return [line for line in found if line is not None]


def _quoting_line(path: str | Path, reading: Reading) -> str | None:
    delimiter = None if is_bio(path) else DELIMITERS.get(format_of(path))
    if (
        delimiter is None
        or reading.quoting != "auto"
        or (format_of(path) == "txt" and not has_fields(reading))
    ):
        return None
    with readable(path):
        encoding = detect_encoding(path, [], reading) if holds_quotes(path) else None
        if encoding is None:
            return None
        with open_lines(path, encoding) as lines:
            if not begins_quoted(lines, delimiter):
                return None
        doubtful: list[int] = []
        is_quoted = find_quoting(path, encoding, [], reading, doubtful)
    none, csv = reading.option("quoting", "none"), reading.option("quoting", "csv")
    if not is_quoted:
        return f"quotes are read as characters of texts; {csv} takes them off"
    if doubtful:
        number = f"{len(doubtful):,} row{'s' * (len(doubtful) > 1)}, the first in line {doubtful[0]}"
        return (
            f"quotes hold several lines in {number}, each with the fields of a row; {none} reads them as rows"
        )
    return f"quotes around fields are taken off; {none} keeps them" if delimiter == "\t" else None
