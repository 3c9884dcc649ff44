"""The files of groups: which group each text is in, and what each group is."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raytrain.files.spreadsheets import protect_cell
from raytrain.groups.find import Found
from raytrain.groups.tell import Group
from raytrain.storage.files import whole_or_not
from raytrain.suspects.table import shown_text

HEADER = ("id", "group", "name", "likeness", "place", "text")
TABLE_HEADER = ("group", "size", "words", "typical", "odd")


def table_path(output: str | Path) -> Path:
    """Where the table of groups lies, beside the groups of the texts."""
    path = Path(output)
    return path.with_name(f"{path.stem}.table.csv")


def write_groups(
    output: str | Path, ids: Sequence[Any], texts: Sequence[str], found: Found, groups: Sequence[Group]
) -> None:
    """Writes a row for each text, in the file's order, and a row for each group beside it.

    Args:
        output: A .csv: id, group (empty in none), its name, the likeness to its mean, whether the text is
            `typical` or `odd`, the text. UTF-8 with a byte order mark, as spreadsheets want it; what they
            would take for a formula begins with an apostrophe.
        ids: Of the texts.
        texts: The texts.
        found: Their groups.
        groups: As they are told.
    """
    places = {row: "typical" for group in groups for row in group.typical}
    places |= {row: "odd" for group in groups for row in group.odd}
    with whole_or_not(str(output)) as unfinished, _open(unfinished) as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        numbers, likeness = found.groups.tolist(), found.likeness.tolist()
        for row, (id, number, own, text) in enumerate(zip(ids, numbers, likeness, texts, strict=True)):
            name = groups[number].name if number >= 0 else ""
            of_group = [number, protect_cell(name), f"{own:.4f}"] if name else ["", "", ""]
            cells = [protect_cell(str(id)), *of_group, places.get(row, ""), protect_cell(shown_text(text))]
            writer.writerow(cells)
    with whole_or_not(str(table_path(output))) as unfinished, _open(unfinished) as stream:
        writer = csv.writer(stream)
        writer.writerow(TABLE_HEADER)
        for group in groups:
            told = [" / ".join(texts[row] for row in rows) for rows in (group.typical, group.odd)]
            cells = [protect_cell(shown_text(cell)) for cell in (" ".join(group.words), *told)]
            writer.writerow([group.number, group.size, *cells])


def _open(path: str | Path) -> Any:
    return Path(path).open("w", encoding="utf-8-sig", newline="")
