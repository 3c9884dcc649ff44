"""Names of runs: folders are called so, on disks and in object stores alike."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

MOST_BYTES = 200  # in UTF-8: a folder's name has 255 at most, and what is made beside it is called longer
_MARKS = "._-+@()（）·"
_FORM = "expected a name for a folder: letters of any script, digits, blanks and any of"


def check_run_name(name: str) -> str:
    """Returns a run's name. Raises ValueError with all that keeps a folder from being called so."""
    told = [f"{_FORM} {_MARKS}; found {name!r:.260}"]
    strange = sorted({char for char in name if not _is_usual(char)})
    if strange:
        told.append(f"which has {', '.join(map(ascii, strange))}")
    if name[:1] and not name[0].isalnum() and name[0] not in strange:
        told.append("which begins with neither a letter nor a digit")
    if name[-1:] in (" ", "."):
        told.append("which ends with a blank or a dot")
    size = len(name.encode(errors="replace"))
    if size > MOST_BYTES:
        told.append(f"of {size} bytes in UTF-8, where {MOST_BYTES} are the most")
    if not name or len(told) > 1:
        raise ValueError(", ".join(told))
    return name


def _is_usual(char: str) -> bool:
    return char == " " or char in _MARKS or unicodedata.category(char)[0] in "LMN"


def trial_name(name: str, number: int) -> str:
    """What a sweep's trial is called as a run of its own; of a long name its beginning.

    >>> trial_name("搜索", 7)
    '搜索-trial-0007'
    """
    suffix = f"-trial-{number:04d}"
    kept = name.encode()[: MOST_BYTES - len(suffix)].decode(errors="ignore")
    return f"{kept}{suffix}"


RunName = Annotated[str, AfterValidator(check_run_name)]
