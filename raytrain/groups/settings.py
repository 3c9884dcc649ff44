"""How texts are grouped."""

from dataclasses import dataclass
from typing import Literal

Method = Literal["kmeans", "hdbscan"]


@dataclass(frozen=True)
class GroupSettings:
    """How texts are grouped.

    Attributes:
        method: As of `groups.find.find_groups`, and so the next two.
        num_groups: Of k-means.
        least_size: Of HDBSCAN.
        words: Whether the words that texts hold have a say beside their vectors.
        whiten: Whether the vectors' directions are made equally wide: of an encoder as it was pretrained.
        seed: Of what is drawn.
    """

    method: Method = "kmeans"
    num_groups: int | None = None
    least_size: int | None = None
    words: bool = True
    whiten: bool = True
    seed: int = 0
