"""The kinds of encoder: what a config calls each, and in what it differs from BERT."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LEARNED, ROTARY, RELATIVE = "learned", "rotary", "relative"
MOST_PARAMETERS = 20_000_000_000  # that is believed of an encoder; the largest Chinese have a few billions


@dataclass(frozen=True)
class Kind:
    """A kind of encoder.

    Attributes:
        said: What its config says of it; `model_type` begins Hugging Face's names of its parameters, too.
        masked: Hugging Face's class of it with the head of a masked language model.
        positions: How it knows where a token stands: by `learned` vectors in the embedding, by `rotary`
            turns of queries and keys, or by `relative` vectors added to keys and values.
        is_narrow: Whether its embedding may be narrower than its layers, by `embedding_size`.
        needs: Keys that its config must have beside those of all.
        shares_layers: Whether all layers have one set of weights.
        is_bare: Whether norms are by the root mean square without a scale, and products without bias.
    """

    said: Mapping[str, Any]
    masked: str
    positions: str = LEARNED
    is_narrow: bool = False
    needs: tuple[str, ...] = field(default=())
    shares_layers: bool = False
    is_bare: bool = False

    @property
    def model_type(self) -> str:
        return str(self.said["model_type"])


_BARE = {"model_type": "roformer", "norm_type": "rms_norm", "use_bias": False}
KINDS: dict[str, Kind] = {
    "bert": Kind({"model_type": "bert"}, "BertForMaskedLM"),
    "albert": Kind({"model_type": "albert"}, "AlbertForMaskedLM", is_narrow=True, shares_layers=True),
    "electra": Kind(
        {"model_type": "electra"}, "ElectraForMaskedLM", is_narrow=True, needs=("embedding_size",)
    ),
    "ernie": Kind({"model_type": "ernie"}, "ErnieForMaskedLM"),
    "nezha": Kind({"model_type": "nezha"}, "NezhaForMaskedLM", RELATIVE),
    "roformer": Kind({"model_type": "roformer"}, "RoFormerForMaskedLM", ROTARY, is_narrow=True),
    "roformer_v2": Kind(_BARE, "RoFormerForMaskedLM", ROTARY, is_bare=True),
}
MODEL_TYPES = tuple(dict.fromkeys(kind.model_type for kind in KINDS.values()))


def find_kind(config: Mapping[str, Any]) -> str:
    """The kind that an encoder's config describes, a key of `KINDS`; `bert` where it is none of them.

    Google's configs have no model_type: there an embedding_size makes an ALBERT, and
    use_relative_position, Huawei's own, a NEZHA.
    """
    model_type = config.get("model_type")
    if model_type is None:
        if config.get("use_relative_position") is True:
            return "nezha"
        return "albert" if "embedding_size" in config else "bert"
    if model_type == "roformer" and config.get("norm_type") == "rms_norm":
        return "roformer_v2"
    return model_type if isinstance(model_type, str) and model_type in KINDS else "bert"


def embedding_width(kind: str, config: Mapping[str, Any]) -> int:
    """Channels of the token embedding."""
    own = config.get("embedding_size") if KINDS[kind].is_narrow else None
    return int(own or config["hidden_size"])


def most_positions(kind: str, config: Mapping[str, Any]) -> int | None:
    """How many tokens of a text an encoder has positions for; None where its config sets no bound.

    BERT's 512 (Devlin et al. 2019) where positions are learned and the config leaves their number open.
    """
    default = 512 if KINDS[kind].positions == LEARNED else None
    return config.get("max_position_embeddings", default)


def num_tasks(kind: str, config: Mapping[str, Any]) -> int:
    """Rows of ERNIE's embedding of tasks (Sun et al. 2020); 0 where there is none."""
    if kind != "ernie" or not config.get("use_task_id", False):
        return 0
    return int(config.get("task_type_vocab_size", 3))


def encoder_parameters(kind: str, config: Mapping[str, Any]) -> int:
    """Parameters of an encoder without its pooler (Devlin et al. 2019, Lan et al. 2020)."""
    described = KINDS[kind]
    hidden, inner, width = config["hidden_size"], config["intermediate_size"], embedding_width(kind, config)
    rows = config["vocab_size"] + config.get("type_vocab_size", 2) + num_tasks(kind, config)
    if described.positions == LEARNED:
        rows += most_positions(kind, config)
    embeddings, layer = rows * width, 4 * hidden * hidden + 2 * hidden * inner
    if width != hidden:
        embeddings += width * hidden + hidden
    if not described.is_bare:
        embeddings += 2 * width
        layer += 4 * hidden + inner + hidden + 4 * hidden
    return int(embeddings + layer * (1 if described.shares_layers else config["num_hidden_layers"]))
