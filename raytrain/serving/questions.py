"""What a request asks, checked before a model sees any of it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raytrain.characters import holds_half
from raytrain.errors import printable
from raytrain.serving.refusals import RefusedError

BYTES_OF_CHARACTER = 6  # as JSON's \uXXXX
MOST_BODY = 16 << 20
ROOM_OF_BODY = 64 << 10  # for what stands around the texts
SHOWN = 80  # characters of what a client is told of its own request


@dataclass(frozen=True)
class Limits:
    """How much one request may ask.

    Attributes:
        texts: Of one request; pairs count once.
        characters: Of one text.
        queued: Requests that wait; what comes beyond is told to come again.
    """

    texts: int = 256
    characters: int = 10_000
    queued: int = 256

    @property
    def body(self) -> int:
        """Bytes of a body."""
        return min(ROOM_OF_BODY + self.texts * self.characters * 2 * BYTES_OF_CHARACTER, MOST_BODY)


class PredictBody(BaseModel):
    """What /predict takes: `texts`, or one `text`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    ensemble: str | None = Field(None, description="by its name; may be left out where one is served")
    text: str | None = Field(None, description="a single text")
    texts: list[str] | None = Field(None, description="texts; answers are in their order")
    pair: str | None = Field(None, description="the second text of `text`, of an ensemble of pairs")
    pairs: list[str] | None = Field(None, description="second texts, as many as texts")


class WordsBody(BaseModel):
    """What /words takes: a text of whose words one wants to know what each does."""

    model_config = ConfigDict(extra="forbid", strict=True)
    ensemble: str | None = Field(None, description="by its name; may be left out where one is served")
    text: str = Field(description="a text")
    pair: str | None = Field(None, description="its second text, of an ensemble of pairs")


@dataclass(frozen=True)
class Question:
    """Texts to predict.

    Attributes:
        ensemble: Its name.
        texts: One or more, or none.
        pairs: As many, or None.
    """

    ensemble: str
    texts: list[str]
    pairs: list[str] | None


def parse_json(body: bytes) -> Any:
    """The value of a body. Raises RefusedError (400) where it is no JSON."""
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        told = printable(str(error).splitlines()[0] if str(error) else "nesting without end", SHOWN)
        raise RefusedError(400, f"expected a body of JSON in UTF-8, found {told}") from error


def _check(kind: type[BaseModel], value: Any, limits: Limits) -> Any:
    """A body as its kind has it. Its sizes first: of each wrong thing among millions an error is made."""
    if isinstance(value, dict):
        if len(value) > len(kind.model_fields):
            raise RefusedError(
                422, f"expected an object with {', '.join(kind.model_fields)}; found more keys"
            )
        for name, found in value.items():
            if isinstance(found, list) and len(found) > limits.texts:
                raise RefusedError(
                    413,
                    f"expected at most {limits.texts:,} {printable(str(name), SHOWN)}, found {len(found):,}",
                )
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        expected = ", ".join(kind.model_fields)
        found = printable(f"{place}: {first['msg']}", SHOWN)
        raise RefusedError(422, f"expected an object with {expected}; found {found}") from error


def parse_question(value: Any, names: Iterable[str], limits: Limits) -> Question:
    """What /predict is asked.

    Raises:
        RefusedError: 422 where it has not the shape of a question, 413 where it asks too much, 404 where no
            ensemble has that name.
    """
    body = _check(PredictBody, value, limits)
    if (body.text is None) == (body.texts is None):
        raise RefusedError(
            422, f"expected either text or texts, found {'neither' if body.text is None else 'both'}"
        )
    if (body.pair is not None and body.text is None) or (body.pairs is not None and body.texts is None):
        raise RefusedError(422, "expected pair beside text and pairs beside texts, found them crossed")
    texts = [body.text] if body.texts is None else body.texts
    pairs = body.pairs if body.pair is None else [body.pair]
    if pairs is not None and len(pairs) != len(texts):
        raise RefusedError(422, f"expected {len(texts)} pairs, as many as texts, found {len(pairs)}")
    _check_texts([*texts, *(pairs or [])], limits)
    return Question(_pick(body.ensemble, [*names]), texts, pairs)


def parse_words(value: Any, names: Iterable[str], limits: Limits) -> Question:
    """What /words is asked: a question of one text. Raises as `parse_question`."""
    body = _check(WordsBody, value, limits)
    pairs = None if body.pair is None else [body.pair]
    _check_texts([body.text, *(pairs or [])], limits)
    return Question(_pick(body.ensemble, [*names]), [body.text], pairs)


def _check_texts(texts: list[str], limits: Limits) -> None:
    for text in texts:
        if len(text) > limits.characters:
            told = f"expected at most {limits.characters:,} characters of a text, found {len(text):,}"
            raise RefusedError(413, told)
        if holds_half(text):
            raise RefusedError(422, "expected texts of whole characters, found half of a surrogate pair")


def _pick(asked: str | None, names: list[str]) -> str:
    if asked is None and len(names) == 1:
        return names[0]
    if asked is None:
        raise RefusedError(422, f"expected ensemble to be one of {', '.join(names)}; found none")
    if asked not in names:
        raise RefusedError(
            404, f"expected ensemble to be one of {', '.join(names)}; found {printable(asked, SHOWN)}"
        )
    return asked
