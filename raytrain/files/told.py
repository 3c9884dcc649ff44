"""What is to be said of how a file was read, that a person may see when it was read wrongly."""

from pathlib import Path

from raytrain.files.bio import is_bio, places_line
from raytrain.files.encodings import detect_encoding, encoding_line, readable
from raytrain.files.quoting import begins_quoted
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.tables import find_quoting, format_of, open_text


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
    if is_bio(path) or format_of(path) != "tsv" or reading.quoting != "auto":
        return None
    with readable(path):
        encoding = detect_encoding(path, [], reading)
        if encoding is None:
            return None
        with open_text(path, encoding) as lines:
            if not begins_quoted(lines, "\t"):
                return None
        if find_quoting(path, encoding, [], reading):
            return f"quotes around fields are taken off; {reading.option('quoting', 'none')} keeps them"
    return f"quotes are read as characters of texts; {reading.option('quoting', 'csv')} takes them off"
