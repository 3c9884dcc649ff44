"""How a person says that a file is to be read, where its own bytes do not tell."""

import codecs
import re
from dataclasses import dataclass

from raytrain.config.data import FileKeys, Quoting

# What is said of a file is often the older, smaller charset, where its writer used the larger one.
_SUPERSETS = {
    "utf-8": "utf-8-sig",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "cp950",
    "shift_jis": "cp932",
}


_LISTS = ("columns", "drop")
_KEY = re.compile(r"\bdata\.(?:encoding|quoting|columns)=")
_CONDITIONS = ("if ", "where ")


@dataclass(frozen=True)
class Reading:
    """What is known of a file before it is opened.

    Attributes:
        encoding: Of its characters; None finds it out.
        quoting: Of separated fields: around which quotes stand (`csv`), or in which they are characters like
            any other (`none`); `auto` finds it out.
        columns: Names of the columns of a file without a header; None where it has one. Formats that name
            their columns take no heed of it, nor of quoting.
        by_flags: Whether a command was told by flags, not by keys of a config: messages name these.
    """

    encoding: str | None = None
    quoting: Quoting = "auto"
    columns: tuple[str, ...] | None = None
    by_flags: bool = False

    @classmethod
    def of(cls, data: FileKeys) -> "Reading":
        """What a config says of its file."""
        return cls(data.encoding, data.quoting, None if data.columns is None else tuple(data.columns))

    @property
    def codec(self) -> str | None:
        """Python's name of the encoding, or of the larger one that holds it.

        >>> Reading(encoding="GBK").codec
        'gb18030'
        """
        if self.encoding is None:
            return None
        name = codecs.lookup(self.encoding).name
        return _SUPERSETS.get(name, name)

    def option(self, name: str, value: str = "") -> str:
        """How to say it to the command that reads the file; without a value, a switch.

        >>> Reading().option("quoting", "none"), Reading(by_flags=True).option("quoting", "none")
        ('data.quoting=none', '--quoting none')
        """
        if self.by_flags:
            return f"--{name.replace('_', '-')} {value}".rstrip()
        return f"data.{name}=[{value}]" if name in _LISTS else f"data.{name}={value or 'true'}"


AS_FOUND = Reading()


def without_keys(line: str) -> str:
    """What is told of a file beside `data.path`, of which the keys of `data` do not speak: without these.

    A condition goes with them where no other advice follows it.

    >>> without_keys("found two as likely; say which with data.encoding=big5, or save it as UTF-8")
    'found two as likely; save it as UTF-8'
    """
    clauses = []
    for clause in line.split("; "):
        kept: list[str] = []
        is_left_out = False
        for part in clause.split(", "):
            if not _KEY.search(part):
                kept.append(part.removeprefix("or ") if is_left_out else part)
            is_left_out = bool(_KEY.search(part))
        while is_left_out and kept and kept[-1].startswith(_CONDITIONS):
            kept.pop()
        clauses += [", ".join(kept)] if kept else []
    return "; ".join(clauses)
