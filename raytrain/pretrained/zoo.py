"""The checkpoints that have a name: what they are, and where their publishers keep them."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from raytrain.config.hub_address import find_hub_address
from raytrain.errors import CheckpointError
from raytrain.hub.known import HUB, HubEntry
from raytrain.kinds import encoder_parameters

# An ALBERT of four layers of 312, pretrained on Weibo posts: it comes with the package.
MINI = Path(__file__).parent / "mini"

_GOOGLE = "https://storage.googleapis.com"
# Width of ALBERT's factorized embedding, in every size (Lan et al. 2020, table 1).
_EMBEDDING_SIZE = 128
# Layers and hidden size; the feed-forward layer is four times as wide.
_SIZES = {
    "tiny": (4, 312),
    "small": (6, 384),
    "base": (12, 768),
    "large": (24, 1024),
    "xlarge": (24, 2048),
    "xxlarge": (12, 4096),
}


@dataclass(frozen=True)
class ZooEntry:
    """A named checkpoint.

    Attributes:
        kind: `bert` or `albert`.
        url: Its archive.
        tokenizer: `WordPiece` or `SentencePiece`.
        vocab_size: Tokens of its vocabulary.
        num_hidden_layers: Layers; ALBERT's share one set of weights.
        hidden_size: Channels of each.
    """

    name: str
    kind: str
    url: str
    language: str
    tokenizer: str
    vocab_size: int
    num_hidden_layers: int
    hidden_size: int

    @property
    def archive(self) -> str:
        """The archive's file name, which a mirror keeps."""
        return self.url.rsplit("/", 1)[1]

    @property
    def num_parameters(self) -> int:
        """Parameters of the encoder: embeddings and layers, without pooler and language model."""
        config = {
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": 4 * self.hidden_size,
            "num_hidden_layers": self.num_hidden_layers,
            "embedding_size": _EMBEDDING_SIZE,  # of ALBERT's kind alone it is read
        }
        return encoder_parameters(self.kind, config)


def _albert(size: str, version: str, bucket: str, archive: str) -> ZooEntry:
    is_chinese = version == "zh"
    language, tokenizer = ("Chinese", "WordPiece") if is_chinese else ("English", "SentencePiece")
    vocab_size = 21128 if is_chinese else 30000
    name, url = f"albert_{size}_{version}", f"{_GOOGLE}/{bucket}/{archive}"
    return ZooEntry(name, "albert", url, language, tokenizer, vocab_size, *_SIZES[size])


def _zoo() -> list[ZooEntry]:
    entries = [
        _albert(size, version, "albert_models", f"albert_{size}_{version}.tar.gz")
        for version in ("zh", "v2", "v1")
        for size in ("base", "large", "xlarge", "xxlarge")
    ]
    entries += [
        _albert(size, "zh", "albert_zh", f"albert_{size}_zh_google.zip") for size in ("tiny", "small")
    ]
    url = f"{_GOOGLE}/bert_models/2018_11_03/chinese_L-12_H-768_A-12.zip"
    return [*entries, ZooEntry("bert_base_zh", "bert", url, "Chinese", "WordPiece", 21128, *_SIZES["base"])]


ZOO: dict[str, ZooEntry] = {entry.name: entry for entry in _zoo()}


def nearest_name(location: str) -> str | None:
    """The name that was likely meant, if any: one of the hub without its `hf:`, or one of ours."""
    address = find_hub_address(location)
    if address is not None:
        return str(address)
    return next(iter(difflib.get_close_matches(location, [*ZOO, *HUB], n=1, cutoff=0.6)), None)


def find_entry(name: str) -> ZooEntry | HubEntry:
    """The entry of a name. Raises CheckpointError where there is none, with what was likely meant."""
    entry = ZOO.get(name) or HUB.get(name)
    if entry is None:
        near = nearest_name(name)
        hint = f"; did you mean {near}?" if near else ""
        expected = f"expected hf:ORGANISATION/NAME, or one of {', '.join([*ZOO, *HUB])}{hint}"
        raise CheckpointError(f"{name}: no such checkpoint", [expected])
    return entry
