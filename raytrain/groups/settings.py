"""How texts are grouped."""

from dataclasses import dataclass
from typing import Literal, get_args

from raytrain.errors import ConfigError

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

    Raises:
        ConfigError: They do not fit each other.
    """

    method: Method = "kmeans"
    num_groups: int | None = None
    least_size: int | None = None
    words: bool = True
    whiten: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        problems = []
        if self.method not in get_args(Method):
            problems.append(f"method: expected one of {', '.join(get_args(Method))}, found {self.method}")
        if self.num_groups is not None and self.method == "hdbscan":
            problems.append("num_groups: hdbscan finds how many there are; say least_size, or take kmeans")
        if self.least_size is not None and self.method == "kmeans":
            problems.append("least_size: of hdbscan alone")
        for name, value in (("num_groups", self.num_groups), ("least_size", self.least_size)):
            if value is not None and value < 2:
                problems.append(f"{name}: expected 2 or more, found {value}")
        if problems:
            raise ConfigError("texts cannot be grouped so", problems)
