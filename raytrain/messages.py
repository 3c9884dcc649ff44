"""What a run says where no command draws it: lines of Python's logging."""

import io
import logging
import re
import shlex
from typing import IO, cast

from rich.console import Console

LOGGER = "raytrain"
_PLAIN = re.compile(r"[\w@%+=:,./-]+")


def shell_word(text: str) -> str:
    """A word as it is typed in a shell: in quotes where it needs them, which Chinese does not.

    >>> shell_word("runs/运行/ensemble"), shell_word("runs/运行 一")
    ('runs/运行/ensemble', "'runs/运行 一'")
    """
    return text if _PLAIN.fullmatch(text) else shlex.quote(text)


def counted(number: int, what: str) -> str:
    """How many of what there are, as a sentence says it.

    Args:
        number: How many.
        what: Of one of them.

    >>> counted(1, "row"), counted(1200, "row"), counted(0, "query")
    ('1 row', '1,200 rows', '0 queries')
    """
    if number == 1:
        return f"1 {what}"
    return f"{number:,} {what[:-1]}ies" if what.endswith("ry") else f"{number:,} {what}s"


class _LogLines(io.TextIOBase):
    """A stream whose lines become records of level INFO."""

    def __init__(self, logger: logging.Logger):
        self._logger, self._begun = logger, ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                self._logger.info(line.rstrip())
        return len(text)


def logging_console() -> Console:
    """A console for callers that are no commands: it draws nothing and logs each line to `raytrain`."""
    lines = cast(IO[str], _LogLines(logging.getLogger(LOGGER)))
    return Console(file=lines, width=120, color_system=None)
