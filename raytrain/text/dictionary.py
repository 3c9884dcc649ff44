"""A user's dictionary for jieba: its lines, and which of its words hold characters at which jieba cuts."""

import re
from dataclasses import dataclass

import jieba

from raytrain.errors import CorpusError
from raytrain.files.detection import detect_encoding, encoding_line
from raytrain.files.encodings import Problem, open_text, readable
from raytrain.files.marks import without_end
from raytrain.files.reading import without_keys

# Stands before the dictionary of an artifact older than schema version 8, whose texts were cut so.
CUT_AS_JIEBA = "\0"
# That blanks begin behind none keeps a long run of them from being tried from each of its places.
_LINE = re.compile(
    r"(?P<word>.+?)(?:(?<!\s)\s+(?P<frequency>[0-9]{1,300}))?(?:(?<!\s)\s+(?P<tag>[A-Za-z]+))?"
)
_ENDS = re.compile(r"\r\n|\r|\n")
_SEPARATORS = re.compile("[,，;|]")
_DIGITS = re.compile("[0-9]+")
# What no text holds; other controls come of a slip of encodings.
_CONTROL = re.compile("[\0-\x08\x0e-\x1f]")
OTHER_SHARE = 0.5  # from which on lines of another form are a file of it, not odd words
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
    if odd := _controls(text := without_end(text)):
        raise CorpusError(f"{source} is no text", [odd])
    if problems:
        raise CorpusError(
            f"{source} cannot be used", [without_keys(problem.line(path)) for problem in problems]
        )
    _refuse_other_kinds(text, source)
    parse_user_dict(text, source)
    return text


def _controls(text: str) -> str:
    """What is wrong with the first line that holds a character of no text; empty where there is none."""
    if not _CONTROL.search(text):
        return ""
    lines = enumerate(_ENDS.split(text), start=1)
    [(number, line, char), *others] = [
        (number, line, found[0]) for number, line in lines if (found := _CONTROL.search(line))
    ]
    more = f" (the first of {len(others) + 1:,} such lines)" if others else ""
    return (
        f"line {number}: expected a word, found the control character {char!r} in {line!r:.80}{more}; "
        "take it out, or save a list of words as UTF-8, a word a line"
    )


def _refuse_other_kinds(text: str, source: str) -> None:
    """Refuses files most of whose lines would be read as words of marks and digits that no text holds."""
    lines = [(number, line.strip()) for number, line in enumerate(_ENDS.split(text), start=1)]
    lines = [(number, line) for number, line in lines if line]
    problems = []
    for kind, is_of in (("separators", _is_separated), ("JSON", _is_json)):
        found = [(number, line) for number, line in lines if is_of(line)]
        if len(found) <= OTHER_SHARE * len(lines):
            continue
        if kind == "JSON" and (lines[0][1][0] not in "[{" or not any('"' in line for _, line in found)):
            continue  # a list of marks
        more = f" (the first of {len(found):,} such lines)" if len(found) > 1 else ""
        number, line = found[0]
        problems.append(
            f"line {number}: expected `word [frequency] [tag]`, found {kind}: {line!r:.80}{more}; "
            "write a word a line, with blanks between"
        )
    if problems:
        raise CorpusError(f"{source} cannot be used", problems)


def _is_separated(line: str) -> bool:
    """Whether it is a word, its frequency and perhaps its tag, with separators where blanks belong."""
    parts = [part.strip() for part in _SEPARATORS.split(line, maxsplit=3)]
    if len(parts) not in (2, 3) or not _DIGITS.fullmatch(parts[1]):
        return False
    is_word = parts[0] != "" and not _DIGITS.fullmatch("".join(parts[0].split()))
    return is_word and (len(parts) == 2 or not parts[2] or (parts[2].isascii() and parts[2].isalpha()))


def _is_json(line: str) -> bool:
    """Whether it may be of a file of JSON: brackets around strings, one bracket, or a string of its own."""
    whole = line.removesuffix(",")
    if whole[:1] in ("[", "{", "]", "}") and (len(whole) == 1 or ('"' in whole and whole[-1] in "]}")):
        return True
    return whole[:1] == '"' and len(whole) > 1 and (whole[-1] == '"' or '":' in whole)


def dictionary_lines(path: str, key: str = "words.user_dict") -> list[str]:
    """How a readable dictionary was read, where that is to be said."""
    line = encoding_line(path)
    return [] if line is None else [f"{key}: {path}: {without_keys(line)}"]


def finds_uncommon(text: str | None) -> bool:
    """Whether texts are cut otherwise by a dictionary than by jieba, which cuts within some of its words."""
    if text is None or text.startswith(CUT_AS_JIEBA):
        return False
    return any(word.is_uncommon and word.frequency != 0 for word in parse_user_dict(text))
