"""The rows that the ensemble is most wrong about: their texts, and the words that moved it."""

from collections.abc import Mapping, Sequence

import numpy as np

from raytrain.report.facts import Facts, Said
from raytrain.report.markup import Child, Markup, decimal, element, paragraph, told
from raytrain.report.words import MOST_TEXTS, WordEffects
from raytrain.scores.classes import row_losses

MOST_CHARACTERS = 600  # of a text
STRONG = 0.3  # a fall in probability that has a word's full colour


def find_worst(said: Said, number: int) -> np.ndarray:
    """(at most number,) places in `said` of the wrong rows with the highest loss, the highest first."""
    wrong = np.flatnonzero(~said.is_right)
    losses = row_losses(said.truth[wrong], said.proba[wrong])
    return wrong[np.argsort(-losses, kind="stable")[:number]]


def mistakes_section(
    facts: Facts, said: Said, worst: np.ndarray, effects: Mapping[int, WordEffects] | None
) -> Markup | None:
    """The worst mistakes.

    Args:
        facts: The run.
        said: What its folds said.
        worst: Of `find_worst`.
        effects: By place in `said`, what each text's words do; None where they were not asked for.
    """
    if not len(worst):
        return None
    if facts.texts is None:
        body: list[Child] = [paragraph(f"Their texts are not shown: {facts.unread}.", class_="warning")]
    else:
        body = [_note(effects is not None, len(worst)), _entries(facts, said, worst, effects or {})]
    title = f"The worst mistakes: {len(worst)} of {int((~said.is_right).sum()):,}"
    return element("section", element("h2", title), body, id="mistakes")


def _note(has_words: bool, number: int) -> Markup:
    basis = "The highest log loss out of fold: what is right was held least probable."
    if not has_words:
        hint = " also shows which words moved the ensemble."
        return paragraph(f"{basis} ", element("code", "raytrain report"), hint, class_="note")
    up, down = (element("span", "like this", class_=kind) for kind in ("for", "against"))
    return paragraph(
        f"{basis} A word is coloured ",
        up,
        " where the probability of what was said falls without it, ",
        down,
        " where it rises. That is the ensemble's view; all of its folds but one have learned from the text "
        "and what it is, so that it may now be right."
        + (f" Words of the first {MOST_TEXTS} texts alone are tried." if number > MOST_TEXTS else ""),
        class_="note",
    )


def _entries(facts: Facts, said: Said, worst: np.ndarray, effects: Mapping[int, WordEffects]) -> Markup:
    assert facts.texts is not None
    ids, entries = facts.ids, []
    for place in worst.tolist():
        row, wrong, right = (int(part[place]) for part in (said.rows, said.predicted, said.truth))
        head = [
            _labelled(said, place, wrong, "said"),
            " but is ",
            _labelled(said, place, right, "truth"),
            element("small", " · id ", told(ids[row], 60), f", fold {int(said.folds[place])}"),
        ]
        own = effects.get(place)
        text = _plain(facts.texts[row]) if own is None else _coloured(own, said.labels[wrong])
        entries.append(element("li", element("p", head, class_="verdict"), text))
    return element("ol", entries, class_="mistakes")


def _labelled(said: Said, place: int, label: int, class_: str) -> Markup:
    """A label and how probable it was held."""
    probability = decimal(float(said.proba[place, label]), 3)
    return element("span", told(said.labels[label], 40), f" {probability}", class_=class_)


def _plain(parts: Sequence[str]) -> list[Markup]:
    return [element("p", told(part, MOST_CHARACTERS), class_="text") for part in parts]


def _coloured(own: WordEffects, said: str) -> list[Markup]:
    """The text's parts word by word, each in the colour of what it does."""
    paragraphs = [
        element(
            "p", element("bdi", [_word(word, effect) for word, effect in part], lang="zh-Hans"), class_="text"
        )
        for part in own.parts
    ]
    now = element("small", "The ensemble now gives ", told(said, 40), f" {decimal(own.probability, 3)}.")
    cut = f" Words beyond the first {own.num_tried} were not tried." if own.is_cut else ""
    return [*paragraphs, element("p", now, element("small", cut), class_="note")]


def _word(word: str, effect: float | None) -> Child:
    if effect is None or abs(effect) < 0.005:
        return word
    strength = min(1.0, abs(effect) / STRONG)
    return element(
        "span",
        word,
        class_="for" if effect > 0 else "against",
        style=f"--share: {strength:.2f}",
        title=f"{-effect:+.3f}".replace("-", "−"),
    )
