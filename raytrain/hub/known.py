"""Common encoders of the Hugging Face hub, of kinds that are read, by a short name."""

import difflib
from dataclasses import dataclass

from raytrain.config.hub_address import HubAddress
from raytrain.kinds import encoder_parameters

# Width of the embedding of the small ELECTRA (Clark et al. 2020, table 6).
_SMALL_ELECTRA = 128


@dataclass(frozen=True)
class HubEntry:
    """A common encoder of the Hugging Face hub, of a kind that is read.

    Attributes:
        address: Its repository.
        kind: What its config makes it, such as `bert` or `roformer_v2`.
        shape: Layers, hidden size, and tokens of its vocabulary; the feed-forward layer is four times as wide
            as the hidden size.
    """

    address: HubAddress
    kind: str
    shape: tuple[int, int, int]

    @property
    def name(self) -> str:
        """What it is called for short."""
        return self.address.name

    @property
    def num_parameters(self) -> int:
        """Parameters of the encoder: embeddings and layers, without pooler and heads."""
        layers, hidden, vocab_size = self.shape
        config = {
            "vocab_size": vocab_size,
            "hidden_size": hidden,
            "intermediate_size": 4 * hidden,
            "num_hidden_layers": layers,
        }
        if self.kind == "electra" and hidden < _BASE[1]:
            config["embedding_size"] = _SMALL_ELECTRA
        return encoder_parameters(self.kind, config | _OF_KIND.get(self.kind, {}))


# What configs of ERNIE 3.0 say beside the shape (Sun et al. 2021).
_OF_KIND = {
    "ernie": {
        "max_position_embeddings": 2048,
        "type_vocab_size": 4,
        "use_task_id": True,
        "task_type_vocab_size": 3,
    }
}
_BASE, _LARGE = (12, 768, 21128), (24, 1024, 21128)
# By publisher and kind; sizes are those that the publishers' pages and configs tell.
_OF_THE_HUB: dict[tuple[str, str], dict[str, tuple[int, int, int]]] = {
    ("hfl", "bert"): {
        "chinese-roberta-wwm-ext": _BASE,
        "chinese-roberta-wwm-ext-large": _LARGE,
        "chinese-macbert-base": _BASE,
        "chinese-macbert-large": _LARGE,
        "chinese-bert-wwm-ext": _BASE,
        "chinese-lert-small": (12, 256, 21128),
        "chinese-lert-base": _BASE,
        "chinese-lert-large": _LARGE,
        "rbt3": (3, 768, 21128),
        "rbt6": (6, 768, 21128),
        "rbtl3": (3, 1024, 21128),
    },
    ("hfl", "electra"): {
        "chinese-electra-180g-small-discriminator": (12, 256, 21128),
        "chinese-electra-180g-base-discriminator": _BASE,
    },
    ("google-bert", "bert"): {"bert-base-chinese": _BASE},
    ("nghuyong", "ernie"): {
        "ernie-3.0-nano-zh": (4, 312, 40000),
        "ernie-3.0-micro-zh": (4, 384, 40000),
        "ernie-3.0-mini-zh": (6, 384, 40000),
        "ernie-3.0-medium-zh": (6, 768, 40000),
        "ernie-3.0-base-zh": (12, 768, 40000),
    },
    ("junnyu", "roformer"): {
        "roformer_chinese_char_small": (6, 384, 12000),
        "roformer_chinese_char_base": (12, 768, 12000),
    },
    ("junnyu", "roformer_v2"): {
        "roformer_v2_chinese_char_small": (6, 384, 12000),
        "roformer_v2_chinese_char_base": (12, 768, 12000),
        "roformer_v2_chinese_char_large": (24, 1024, 12000),
    },
    ("sijunhe", "nezha"): {"nezha-cn-base": _BASE, "nezha-large-wwm": _LARGE},
    ("uer", "bert"): {
        f"chinese_roberta_L-{layers}_H-{hidden}": (layers, hidden, 21128)
        for layers, hidden in ((2, 128), (4, 256), (4, 512), (8, 512), (12, 768))
    },
}
HUB: dict[str, HubEntry] = {
    name: HubEntry(HubAddress(publisher, name), kind, shape)
    for (publisher, kind), names in _OF_THE_HUB.items()
    for name, shape in names.items()
}


def nearest_repository(repository: str) -> str | None:
    """The repository of the hub that was likely meant, `ORGANISATION/NAME`, if any.

    Args:
        repository: The same, or a name alone, as the hub's first ones were.
    """
    named = {entry.address.repository if "/" in repository else entry.name: entry for entry in HUB.values()}
    near = difflib.get_close_matches(repository, named, n=1, cutoff=0.7)
    return named[near[0]].address.repository if near else None
