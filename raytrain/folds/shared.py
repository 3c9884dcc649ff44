"""What all folds of a run share, from the driver to the artifact."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raytrain.keywords.held import KeywordInputs
from raytrain.pretrained.directory import EncoderFiles
from raytrain.text.windows import Windows


@dataclass(frozen=True)
class SharedInputs:
    """What every fold reads.

    Attributes:
        encoder: The encoder's files.
        features: Of `text.encode.build_features`.
        user_dict: Text of the jieba dictionary, kept keywords included, or None.
        vocabulary: The words; None where no architecture reads words.
        embedding: First value of the word embedding, or None.
        coverage: Words by where their vector came from.
        characters: Single characters' pretrained vectors, where there are any: for words that only texts
            to predict will hold.
        keywords: Where the texts' keywords stand; None where no head counts them.
        windows: Which tokens of which text stand in each row of the features; None where each row is a text.
    """

    encoder: EncoderFiles
    features: pa.Table
    user_dict: str | None
    vocabulary: list[str] | None
    embedding: np.ndarray | None
    coverage: dict[str, int]
    characters: dict[str, np.ndarray] | None = None
    keywords: KeywordInputs | None = None
    windows: Windows | None = None
