"""A WordPiece vocabulary out of a tokenizer.json, as Hugging Face's tokenizers write it: JSON of others."""

from typing import Any

MOST_TOKENS = 2_000_000
# What of its parts is read, and how the readers of texts here do it without exception.
_MODEL = {
    "unk_token": "[UNK]",
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}
_OTHER_MODELS = "take an encoder whose tokenizer is WordPiece, or a SentencePiece *.model that ALBERT reads"


def parse_tokenizer(whole: dict[str, Any], problems: list[str]) -> list[str]:
    """The tokens of a tokenizer.json, token i with id i, as they would stand in a vocab.txt.

    Args:
        whole: The file's object. Nothing of it is believed before it is looked at.
        problems: Takes all that keeps it from being read as BertTokenizer reads it.

    Returns:
        The tokens; none where there are problems.
    """
    model = whole.get("model")
    if not isinstance(model, dict):
        problems.append(f"expected an object as model, found {_told(model)}")
        return []
    kind = model.get("type", "WordPiece" if "continuing_subword_prefix" in model else None)
    if kind != "WordPiece":
        problems.append(f"expected a model of type WordPiece, found {_told(kind)}; {_OTHER_MODELS}")
        return []
    found = [
        f"expected {expected!r} as model.{name}, found {_told(model[name])}"
        for name, expected in _MODEL.items()
        if model.get(name, expected) != expected
    ]
    found += _unfit_steps(whole)
    ids = _ids(model.get("vocab"), "model.vocab", found)
    ids = ids | _added(whole.get("added_tokens"), ids, found)
    tokens = _in_order(ids, found) if ids and not found else []
    problems += found
    return tokens


def _unfit_steps(whole: dict[str, Any]) -> list[str]:
    """What is done to a text before the model, and is not what BERT does."""
    problems = []
    for name, expected in (("normalizer", "BertNormalizer"), ("pre_tokenizer", "BertPreTokenizer")):
        step = whole.get(name)
        parts: dict[str, Any] = step if isinstance(step, dict) else {"type": step}
        kind = parts.get("type")
        if kind != expected:
            problems.append(f"expected a {name} of type {expected}, found {_told(kind)}")
        elif parts.get("clean_text", True) is not True:
            problems.append(f"expected true as {name}.clean_text, found {_told(parts['clean_text'])}")
    return problems


def _ids(vocab: Any, where: str, problems: list[str]) -> dict[str, int]:
    """Tokens and their ids, once each token is one and each id a number."""
    if not isinstance(vocab, dict) or not 0 < len(vocab) <= MOST_TOKENS:
        size = f"{len(vocab):,} tokens" if isinstance(vocab, dict) else _told(vocab)
        problems.append(
            f"expected an object of 1 to {MOST_TOKENS:,} tokens and their ids as {where}, found {size}"
        )
        return {}
    wrong = [f"{_told(token)}: {_told(number)}" for token, number in vocab.items() if type(number) is not int]
    if wrong:
        problems.append(f"{where}: expected a whole number as each id, found {_some(wrong)}")
    unwritable = [_told(token) for token in vocab if not _is_writable(token)]
    if unwritable:
        problems.append(
            f"{where}: expected tokens without line ends and halves of characters, found {_some(unwritable)}"
        )
    return vocab


def _added(added: Any, ids: dict[str, int], problems: list[str]) -> dict[str, int]:
    """Special tokens beside the vocabulary, by their ids; others would have to be looked for in texts."""
    if added is None:
        return {}
    is_list = isinstance(added, list) and len(added) <= MOST_TOKENS
    if not is_list or not all(isinstance(one, dict) and isinstance(one.get("content"), str) for one in added):
        problems.append("added_tokens: expected a list of objects with a content")
        return {}
    others = [one["content"] for one in added if one.get("special") is not True]
    if others:
        told = _some([_told(other) for other in others])
        problems.append(
            f"added_tokens: expected special tokens alone, found {told}, for which texts would have to be "
            "looked through; save the tokenizer without them"
        )
    wrong = [
        f"{_told(one['content'])}: {_told(one.get('id'))}"
        for one in added
        if one.get("id") != ids.get(one["content"], one.get("id"))
    ]
    if wrong:
        problems.append(f"added_tokens: expected the ids of model.vocab, found {_some(wrong)}")
    new = {one["content"]: one.get("id") for one in added if one["content"] not in ids}
    return _ids(new, "added_tokens", problems) if new else {}


def _in_order(ids: dict[str, int], problems: list[str]) -> list[str]:
    """Token i with id i, up to the last that is more than a blank line.

    Ids without a token have such as no text holds: a vocab.txt with a line twice leaves them, of which the
    later line has the id.
    """
    places: dict[int, str] = {}
    for token, number in ids.items():
        if not 0 <= number < MOST_TOKENS:
            problems.append(f"expected ids from 0 to {MOST_TOKENS - 1:,}, found {number} of {_told(token)}")
        elif number in places:
            told = f"{_told(places[number])} and {_told(token)}"
            problems.append(f"expected each id once, found {number} of {told}")
        places[number] = token
        if problems:
            return []
    last = max((number for token, number in ids.items() if token), default=0)
    return [places[number] if number in places else _unused(number, ids) for number in range(last + 1)]


def _unused(number: int, ids: dict[str, int]) -> str:
    """A token that is none of these and of no text, which is cut at brackets."""
    name = f"[unused{number}]"
    while name in ids:
        name = f"[{name}]"
    return name


def _is_writable(token: str) -> bool:
    """Whether it can stand in a line of a vocab.txt."""
    return not any(char in "\r\n" or "\ud800" <= char <= "\udfff" for char in token)


def _told(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{f' and {len(names) - 3:,} more' if len(names) > 3 else ''}"
