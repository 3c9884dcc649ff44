"""A user's dictionary for jieba: its lines, and which of its words hold characters at which jieba cuts."""

import re
from dataclasses import dataclass

import jieba

from raytrain.errors import CorpusError
from raytrain.files.detection import detect_encoding, encoding_line
from raytrain.files.encodings import Problem, open_text, readable
from raytrain.files.reading import without_keys

# Stands before the dictionary of an artifact older than schema version 8, whose texts were cut so.
CUT_AS_JIEBA = "\0"
_LINE = re.compile(r"(?P<word>.+?)(?:\s+(?P<frequency>[0-9]{1,300}))?(?:\s+(?P<tag>[A-Za-z]+))?")
_ENDS = re.compile(r"\r\n|\r|\n")
# Lines of other kinds of files: with separators where blanks belong, of JSON, of what is no text at all.
_SEPARATED = re.compile(
    r"(?=.*[^\d\s,，;|].*[,，;|])[^,，;|]+?\s*[,，;|]\s*[0-9]+(?:\s*[,，;|]\s*[A-Za-z]*)?"
)
_JSON = re.compile(r"[\[{].*\".*[\]}],?|[\[{\]}],?")
_NO_TEXT = re.compile("[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
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
    for number, line in enumerate(_ENDS.split(text.removeprefix(CUT_AS_JIEBA)), start=1):
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
    """Reads a dictionary file, which `key` names, in any encoding that can be told.

    Raises:
        CorpusError: It is missing, or no text whose encoding can be told, or jieba cannot read it.
    """
    problems: list[Problem] = []
    try:
        with readable(path):
            encoding = detect_encoding(path, problems)
            with open_text(path, encoding or "utf-8") as stream:
                text = stream.read()
    except CorpusError as error:
        raise CorpusError(f"{key}: cannot read {error.summary}") from error
    source = f"{key}: {path}"
    if _NO_TEXT.search(text):
        raise CorpusError(f"{source} is no text: save it as UTF-8, a word a line")
    if problems:
        raise CorpusError(
            f"{source} cannot be used", [without_keys(problem.line(path)) for problem in problems]
        )
    _refuse_other_kinds(text, source)
    parse_user_dict(text, source)
    return text


def _refuse_other_kinds(text: str, source: str) -> None:
    """Refuses what would be read as words of marks and digits that no text holds."""
    lines = [line.strip() for line in _ENDS.split(text)]
    problems = []
    for form, found in ((_SEPARATED, "separators"), (_JSON, "JSON")):
        numbers = [number for number, line in enumerate(lines, start=1) if form.fullmatch(line)]
        if numbers:
            more = f" (the first of {len(numbers):,} such lines)" if len(numbers) > 1 else ""
            line = f"{lines[numbers[0] - 1]!r:.80}{more}"
            problems.append(
                f"line {numbers[0]}: expected `word [frequency] [tag]`, found {found}: {line}; "
                "write a word a line, with blanks between"
            )
    if problems:
        raise CorpusError(f"{source} cannot be used", problems)


def dictionary_lines(path: str, key: str = "words.user_dict") -> list[str]:
    """How a readable dictionary was read, where that is to be said."""
    line = encoding_line(path)
    return [] if line is None else [f"{key}: {path}: {without_keys(line)}"]


def finds_uncommon(text: str | None) -> bool:
    """Whether texts are cut otherwise by a dictionary than by jieba, which cuts within some of its words."""
    if text is None or text.startswith(CUT_AS_JIEBA):
        return False
    return any(word.is_uncommon and word.frequency != 0 for word in parse_user_dict(text))
