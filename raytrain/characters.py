"""Characters that cannot be seen, by which texts and labels that look the same differ; and halves of some."""

import re
import unicodedata

# Marks that join or choose a character's form, and draw nothing: they count as accents, which are printable.
_MARKS = re.compile("[\u034f\ufe00-\ufe0f]")
_HALF = re.compile("[\ud800-\udfff]")


class _Kept(dict[int, int | None]):
    """What becomes of each character, found out once it is met: there are a million of them."""

    def __missing__(self, code: int) -> int | None:
        char = chr(code)
        is_unseen = unicodedata.category(char) in ("Cc", "Cf") and not char.isspace()
        self[code] = None if is_unseen or _MARKS.match(char) else code
        return self[code]


_KEPT = _Kept()


def holds_half(text: str) -> bool:
    """Whether half of a character (a lone surrogate) is in the text, which no file and no tokenizer takes."""
    return _HALF.search(text) is not None


def without_unseen(text: str) -> str:
    """The text without control and format characters (soft hyphens, zero widths) and such marks; blanks stay.

    Example:
        >>> without_unseen("转发\\u200b微博 ❤\\ufe0f\\0")
        '转发微博 ❤'
    """
    # Nearly every text is plain, and may be one of millions.
    if text.isprintable() and not _MARKS.search(text):
        return text
    return text.translate(_KEPT)


def is_blank(text: str) -> bool:
    """Whether a text holds nothing that can be seen.

    Example:
        >>> is_blank(" \\u200b"), is_blank("。")
        (True, False)
    """
    # Nearly every text begins with a letter, and may be one of millions.
    return not (text[:1].isalnum() or without_unseen(text).strip())
