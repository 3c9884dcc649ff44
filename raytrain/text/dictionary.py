"""A user's dictionary for jieba: its lines, and which of its words hold characters at which jieba cuts."""

import re
from dataclasses import dataclass
from pathlib import Path

import jieba

from raytrain.errors import CorpusError

# Stands before the dictionary of an artifact older than schema version 8, whose texts were cut so.
CUT_AS_JIEBA = "\0"
_LINE = re.compile(r"(?P<word>.+?)(?:\s+(?P<frequency>[0-9]+))?(?:\s+(?P<tag>[A-Za-z]+))?")
_LETTERS = re.compile(r"[A-Za-z]+(?:\s+[A-Za-z]+)*")
# Of jieba's dictionary, and of its tagger.
_TAGS = re.compile(
    "a[dgn]?|b|c|df?|dg|e|eng|f|g|h|i|j|k|l|mg?|mq|n|ng|nr|nrfg|nrt|n[stz]|o|p|q|r[grz]?|s|tg?|u[dgjlvz]?|"
    "v[dginq]?|w|x|yg?|zg?"
)


@dataclass(frozen=True)
class DictionaryWord:
    """A line of a dictionary.

    Attributes:
        line: Its number.
        word: May hold blanks.
        frequency: 0 forces the word apart; None gives it the one at which it outweighs its parts.
        tag: Its part of speech, or None.
        is_guess: Whether all of the line was taken for the word, which might be a word and a tag.
    """

    line: int
    word: str
    frequency: int | None
    tag: str | None
    is_guess: bool = False

    @property
    def is_uncommon(self) -> bool:
        """Whether it holds a character at which jieba cuts before it looks into any dictionary."""
        return len(self.word) > 1 and not jieba.re_han_default.fullmatch(self.word)


def parse_user_dict(text: str, source: str = "words.user_dict") -> list[DictionaryWord]:
    """Reads a dictionary in jieba's format: a word a line, then optionally its frequency and part of speech.

    Args:
        text: Of the dictionary.
        source: What it is called in messages.

    Raises:
        CorpusError: With every line that is none.
    """
    words, problems = [], []
    for number, line in enumerate(text.removeprefix(CUT_AS_JIEBA).splitlines(), start=1):
        line = line.strip().lstrip("\ufeff").strip()
        if not line:
            continue
        word = _parse_line(number, line, not text.startswith(CUT_AS_JIEBA))
        if word is None:
            found = f"found {line!r:.80}; a word with a blank in it needs its frequency"
            problems.append(f"line {number}: expected `word [frequency] [tag]`, {found}")
        else:
            words.append(word)
    if problems:
        raise CorpusError(f"{source} cannot be used", problems)
    return words


def _parse_line(number: int, line: str, guesses: bool) -> DictionaryWord | None:
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    word, frequency, tag = found["word"], found["frequency"], found["tag"]
    is_plain = frequency is None and _LETTERS.fullmatch(word) is not None
    if guesses and is_plain and tag is not None and not _TAGS.fullmatch(tag):
        return DictionaryWord(number, line, None, None, True)  # leap motion
    parts = word.split()
    if len(parts) > 1 and (frequency is None or any(re.fullmatch("[0-9]+", part) for part in parts)):
        return None
    return DictionaryWord(number, word, None if frequency is None else int(frequency), tag)


def read_user_dict(path: str, key: str = "words.user_dict") -> str:
    """Reads a dictionary file, which `key` names.

    Raises:
        CorpusError: It is missing, not UTF-8, or jieba cannot read it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CorpusError(f"{key}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{key}: {path} is not UTF-8: {error}") from error
    if "\0" in text:
        raise CorpusError(f"{key}: {path} is no text: it holds zero bytes; save it as UTF-8")
    parse_user_dict(text, f"{key}: {path}")
    return text


def finds_uncommon(text: str | None) -> bool:
    """Whether texts are cut otherwise by a dictionary than by jieba, which cuts within some of its words."""
    if text is None or text.startswith(CUT_AS_JIEBA):
        return False
    return any(word.is_uncommon and word.frequency != 0 for word in parse_user_dict(text))
