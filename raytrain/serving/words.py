"""Which words moved a decision, asked of a model that is served."""

from typing import Any

from raytrain.errors import InputError
from raytrain.report.words import weigh_words
from raytrain.serving.model import Model


async def weigh_text(model: Model, text: str, pair: str | None) -> dict[str, Any]:
    """Leaves out one word after another, and tells how far the probability of the text's label falls.

    Returns:
        `label`, its `probability`, `parts` (of each part of the text its words, [word, fall or None of a
        word that was not tried]), and `is_cut`: whether more words could have been tried.

    Raises:
        InputError: It is a tagger, or pairs are missing, or are too many.
    """
    if model.facts.task == "tag":
        raise InputError("expected a classifier, found a tagger: its spans say themselves what they rest on")
    pairs = None if pair is None else [pair]
    model.check(pairs)
    [(decided, _)] = await model.batcher.ask([text], pairs)
    parts = (text,) if pair is None else (text, pair)

    def weigh() -> Any:
        return weigh_words(model.predictor.predict_proba, model.cut, [parts], [decided])[0]

    effects = await model.batcher.run(weigh)
    return {
        "version": model.facts.version,
        "label": model.facts.labels[decided],
        "probability": effects.probability,
        "parts": [[[word, fall] for word, fall in part] for part in effects.parts],
        "is_cut": effects.is_cut,
    }
