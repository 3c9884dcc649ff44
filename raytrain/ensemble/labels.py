"""What everything that predicts labels has alike, with TensorFlow and without."""

from collections.abc import Sequence

import numpy as np

from raytrain.corpus.given import given_pairs, given_texts
from raytrain.fusion.costs import decide
from raytrain.fusion.rule import FusionRule, member_name

Voices = dict[str, np.ndarray]  # who says it to (num_texts, num_classes) probabilities


def voice_of(rule: FusionRule | None, architecture: str, repeat: int) -> str:
    """Whose mean a fold counts in: its architecture's, or of a rule its member's."""
    return architecture if rule is None else member_name(architecture, repeat)


class LabelPredictor:
    """An ensemble that gives every text a label. How probable each is, a subclass says.

    Attributes:
        labels: Of the ensemble, in order.
        rule: By which its members are fused; None: the mean of architectures, and its most probable label.
        reads_pairs: Whether it was trained on pairs of texts.
    """

    labels: list[int] | list[str]
    rule: FusionRule | None
    reads_pairs: bool

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[int | str]:
        """The label that is decided for each text; arguments as of `predict_proba`."""
        return [self.labels[index] for index in self.decide(self.predict_proba(texts, pairs))]

    def predict_proba(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Averages the folds' probabilities, then the architectures', or fuses members by the rule.

        Args:
            texts: The texts: a list, an array, a column of a table.
            pairs: The second texts, where the ensemble was trained on pairs.

        Returns:
            (len(texts), num_classes), columns in the order of `labels`.

        Raises:
            InputError: There is something else than texts among them, or pairs where it was not trained on
                any, or none where it was.
        """
        texts = given_texts(texts)
        pairs = given_pairs(pairs, len(texts), self.reads_pairs)
        if not texts:
            return np.zeros((0, len(self.labels)))
        voices = self.voices(texts, pairs)
        return np.mean([*voices.values()], axis=0) if self.rule is None else self.rule.proba(voices)

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """(num_rows,) label indices of what `predict_proba` returned: the most probable, or the rule's."""
        return decide(proba) if self.rule is None else self.rule.decide(proba)

    def voices(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Voices:
        """What is averaged or fused: means over folds, of one text or more."""
        raise NotImplementedError
