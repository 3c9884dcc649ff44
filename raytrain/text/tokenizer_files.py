"""A vocabulary's files as others wrote them, and what files beside it say of how texts are folded for it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raytrain.errors import CheckpointError
from raytrain.storage.files import read_whole
from raytrain.text.sentencepiece import SentencePieceTokenizer
from raytrain.text.tokenizer_json import parse_tokenizer
from raytrain.text.vocab import Folding, Vocab, parse_vocab
from raytrain.text.wordpiece import build_tokenizer

CONFIG = "tokenizer_config.json"
WHOLE = "tokenizer.json"
ADDED = "added_tokens.json"
SPECIAL = "special_tokens_map.json"
_OF_VOCABULARIES = re.compile(
    r"\[(?:PAD|UNK|CLS|SEP|MASK|BOS|EOS|unused[0-9]+)\]|<(?:S|T|s|/s|pad|unk|mask|unused[0-9]+)>"
)
_NUMBER = re.compile(r"[0-9]{1,9}")
_IS_CASED = re.compile(r"^(?!\[.*\]$)(?!<.*>$).*[A-Z]")
_IS_SMALL = re.compile(r"^(?:##)?[a-z]")
_FEW_CASED = 0.02
# The names of a folding's parts in a tokenizer_config.json and in a tokenizer.json's normalizer.
_IN_CONFIG = {
    "lower": "do_lower_case",
    "strip_accents": "strip_accents",
    "splits_chinese": "tokenize_chinese_chars",
}
_IN_NORMALIZER = {
    "lower": "lowercase",
    "strip_accents": "strip_accents",
    "splits_chinese": "handle_chinese_chars",
}


def read_vocab(path: Path, problems: list[str], notes: list[str]) -> Vocab:
    """Reads a vocabulary and its folding.

    The folding is that of transformers' BertTokenizer: `do_lower_case`, `strip_accents` and
    `tokenize_chinese_chars` of a tokenizer_config.json beside it. Where that says no `do_lower_case`, a
    tokenizer.json's normalizer is asked, and where nothing is said, texts are lower-cased. Accents go where
    texts are lower-cased, unless it is said otherwise.

    Args:
        path: A vocab.txt, the *.model of SentencePiece, or a tokenizer.json, which holds a vocabulary, too.
        problems: Takes what cannot be read.
        notes: Takes what a person is to know.
    """
    config = _read_object(path.parent / CONFIG, problems) or {}
    if path.name == WHOLE:
        return _read_whole(path, config, problems, notes)
    try:
        tokens = parse_vocab(path.name, read_whole(path)).tokens
    except (OSError, ValueError) as error:
        form = " as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        problems.append(f"{path.name}: not readable{form}: {error}")
        return Vocab(())
    whole = _read_object(path.parent / WHOLE, []) or {}
    if isinstance(tokens, bytes):
        vocab = Vocab(tokens, _folding_of_pieces(config, problems))
    else:
        vocab = Vocab(tokens, find_folding(tokens, config, whole.get("normalizer"), problems, notes))
    problems += _unread_tokens(path, vocab, config, whole, notes)
    return vocab


def _read_whole(path: Path, config: dict[str, Any], problems: list[str], notes: list[str]) -> Vocab:
    whole = _read_object(path, problems)
    if whole is None:
        return Vocab(())
    unfit: list[str] = []
    tokens = parse_tokenizer(whole, unfit)
    problems += [f"{path.name}: {problem}" for problem in unfit]
    if not tokens:
        return Vocab(())
    vocab = Vocab(tokens, find_folding(tokens, config, whole.get("normalizer"), problems, notes))
    problems += _unread_tokens(path, vocab, config, whole, notes)
    return vocab


def _unread_tokens(
    path: Path, vocab: Vocab, config: dict[str, Any], whole: dict[str, Any], notes: list[str]
) -> list[str]:
    """A line where tokens were added that texts have to be looked through for: other than special ones.

    transformers looks for them before it splits a text (`add_tokens`); here a text is read by its vocabulary
    alone. One that stands there and that its own text is read as needs no looking for; where it is a word of
    letters, a note says what becomes of it within a longer one.
    """
    problems: list[str] = []
    beside = _read_object(path.parent / ADDED, problems) or {}
    special = _special_tokens(config) | _special_tokens(_read_object(path.parent / SPECIAL, []) or {})
    found: dict[str, tuple[Any, str]] = {token: (number, ADDED) for token, number in beside.items()}
    for number, entry, where in _listed(config, whole):
        if entry.get("special") is True:
            special.add(entry["content"])
        else:
            found.setdefault(entry["content"], (number, where))
    left = {token: number for token, (number, _) in found.items() if token not in special}
    as_one = _read_as_one(vocab, left)
    words = [
        token
        for token in as_one
        if not isinstance(vocab.tokens, bytes) and token.isalnum() and token.isascii()
    ]
    if words:
        told = f"{', '.join(map(repr, sorted(words)[:3]))}{', …' if len(words) > 3 else ''}"
        notes.append(f"added tokens are read where they stand as words alone, not within longer ones: {told}")
    left = {token: number for token, number in left.items() if token not in as_one}
    if left:
        told = ", ".join(f"{token!r} ({left[token]})"[:60] for token in list(left)[:3])
        told += f" and {len(left) - 3:,} more" if len(left) > 3 else ""
        places = " and ".join(sorted({found[token][1] for token in left}))
        problems.append(
            f"{places}: expected no added tokens but special ones and those of {path.name}, found {told}; "
            "texts are not looked through for them. One character or one word of letters can stand in "
            f"{path.name} in the place of its id; to read the others as pieces, delete them there"
        )
    return problems


def _special_tokens(values: dict[str, Any]) -> set[str]:
    """What a tokenizer_config.json or a special_tokens_map.json names: `sep_token`, …, and a list of more."""
    named = [value for key, value in values.items() if key.endswith("_token")]
    for key in ("additional_special_tokens", "extra_special_tokens"):  # by transformers 4 and 5
        more = values.get(key)
        named += more if isinstance(more, list) else list(more.values()) if isinstance(more, dict) else []
    texts = [value.get("content") if isinstance(value, dict) else value for value in named]
    return {text for text in texts if isinstance(text, str)}


def _listed(config: dict[str, Any], whole: dict[str, Any]) -> list[tuple[Any, dict[str, Any], str]]:
    """Added tokens with whether they are special: id, entry, and where it stands."""
    decoder, added = config.get("added_tokens_decoder"), whole.get("added_tokens")
    listed = [(key, entry, CONFIG) for key, entry in decoder.items()] if isinstance(decoder, dict) else []
    for entry in added if isinstance(added, list) else []:
        listed.append((entry.get("id") if isinstance(entry, dict) else None, entry, WHOLE))
    return [
        (int(number) if isinstance(number, str) and _NUMBER.fullmatch(number) else number, entry, where)
        for number, entry, where in listed
        if isinstance(entry, dict) and isinstance(entry.get("content"), str)
    ]


def _read_as_one(vocab: Vocab, added: dict[str, Any]) -> set[str]:
    """Of added tokens those that a text with them is read as, and those of the vocabulary's own kind.

    The latter, `[unused1]` and special ones that the files do not call so, stand in no text.
    """
    if not added or not vocab.tokens:
        return set(added)
    try:
        if isinstance(vocab.tokens, bytes):
            pieces = SentencePieceTokenizer(vocab.tokens, vocab.folding)
            return {token for token, number in added.items() if pieces.token_to_id(token) == number}
        tokenizer = build_tokenizer(vocab)
    except CheckpointError:
        return set(added)  # whoever uses the vocabulary will be told
    return {
        token
        for token, number in added.items()
        if token.isprintable()  # a half of a character is none of any text
        and tokenizer.token_to_id(token) == number
        and (
            _OF_VOCABULARIES.fullmatch(token)
            or tokenizer.encode(token, add_special_tokens=False).ids == [number]
        )
    }


def _read_object(path: Path, problems: list[str]) -> dict[str, Any] | None:
    """A JSON object; None where there is no file, or another content."""
    if not path.is_file():
        return None
    try:
        value = json.loads(read_whole(path))
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found a {type(value).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name}: not readable as JSON: {error}")
        return None
    return value


def find_folding(
    tokens: Sequence[str], config: dict[str, Any], normalizer: Any, problems: list[str], notes: list[str]
) -> Folding:
    """The folding of a WordPiece vocabulary.

    Args:
        tokens: The vocabulary.
        config: Of a tokenizer_config.json.
        normalizer: Of a tokenizer.json.
        problems: Takes what cannot be meant.
        notes: Takes what a person is to know.
    """
    said: dict[str, bool] = {}
    if config.get("do_lower_case") is None and isinstance(normalizer, dict):
        said = _said(normalizer, _IN_NORMALIZER, f"{WHOLE}: normalizer", problems)
    said |= _said(config, _IN_CONFIG, CONFIG, problems)
    cased = sum(_IS_CASED.search(token) is not None for token in tokens)
    if "lower" not in said and cased > _FEW_CASED * len(tokens):
        problems.append(
            f"expected do_lower_case in {CONFIG}, found none beside a vocabulary with {cased:,} tokens with "
            f'capitals; write {{"do_lower_case": false}} there if it was trained on texts with capitals'
        )
    if said.get("lower") is False and not cased and any(map(_IS_SMALL.search, tokens)):
        # Hugging Face's config of the lower-cased bert-base-chinese says so.
        notes.append(
            "do_lower_case is false, but the vocabulary has small letters and no capitals: texts are "
            "lower-cased, else every word with a capital were unknown"
        )
        said = {key: value for key, value in said.items() if key == "splits_chinese"}
    lower = said.get("lower", True)
    return Folding(lower, said.get("strip_accents", lower), said.get("splits_chinese", True))


def _folding_of_pieces(config: dict[str, Any], problems: list[str]) -> Folding:
    """Of SentencePiece: as transformers' AlbertTokenizer."""
    names = {"lower": "do_lower_case", "keeps": "keep_accents"}
    said = _said(config, names, CONFIG, problems)
    return Folding(said.get("lower", True), not said.get("keeps", False))


def _said(values: dict[str, Any], names: dict[str, str], where: str, problems: list[str]) -> dict[str, bool]:
    """What is said by these names; null is not said."""
    said = {key: values[name] for key, name in names.items() if values.get(name) is not None}
    for key, value in said.items():
        if not isinstance(value, bool):
            problems.append(f"{where}: expected true or false as {names[key]}, found {value!r}")
    return {key: value for key, value in said.items() if isinstance(value, bool)}
