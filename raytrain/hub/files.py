"""Which files of a repository make an encoder, and their way into the cache."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from raytrain.errors import CheckpointError, printable
from raytrain.hub.client import CONFIG, HubClient, Listing
from raytrain.kinds import MOST_PARAMETERS, find_kind
from raytrain.storage.files import MOST_READ_BYTES, read_whole
from raytrain.tensors.open import INDEX, MOST_INDEX_BYTES, SUFFIXES, shard_names
from raytrain.text.tokenizer_files import ADDED, SPECIAL, WHOLE
from raytrain.text.tokenizer_files import CONFIG as TOKENIZER_CONFIG
from raytrain.text.vocab import SENTENCE_PIECES, WORD_PIECES

_VOCABULARIES = (WORD_PIECES, WHOLE)
_BESIDE = (TOKENIZER_CONFIG, ADDED, SPECIAL)  # they tell how texts are read for a vocabulary
_SENTENCEPIECE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.model")
_MOST_WEIGHT_BYTES = 4 * MOST_PARAMETERS  # in float32


class Download:
    """The files that are wanted of a repository, and how far they have come.

    Args:
        client: Of the repository.
        listing: What it holds.
        order: Names of files of weights, of which the first that is there is wanted.
        check: Told the places of all but the weights before these come; raises CheckpointError where no run
            could read them.
        console: Where it is told what comes.
        on_progress: Told (bytes done, bytes in all).
    """

    def __init__(
        self,
        client: HubClient,
        listing: Listing,
        order: Sequence[str],
        check: Callable[[dict[str, Path]], None],
        console: Console,
        on_progress: Callable[[int, int | None], None],
    ):
        self._client, self._listing, self._order, self._check = client, listing, order, check
        self._console, self._on_progress = console, on_progress

    def fetch(self) -> dict[str, Path]:
        """Fetches what `read_encoder` reads. Returns the place of each in the cache."""
        small, vocabularies, weights = self._choose()
        places: dict[str, Path] = {}
        self._check_disk([*small, *vocabularies, weights])
        self._fetch_all(small, places)
        self._fetch_all(_of_one_form(vocabularies, places), places)
        self._check(places)
        large = [weights]
        if weights.endswith(INDEX):
            self._fetch_all(large, places)
            large = self._shards(places[weights])
            self._check_disk(large)
        self._tell(large)
        self._fetch_all(large, places)
        return places

    def _choose(self) -> tuple[list[str], list[str], str]:
        """The config and what lies beside it, all vocabularies, and the weights in one format."""
        files, address = self._listing.files, self._client.address
        vocabularies = [name for name in files if name in _VOCABULARIES or _SENTENCEPIECE.fullmatch(name)]
        weights = next((name for name in self._order if name in files), None)
        problems = [] if CONFIG in files else [f"expected {CONFIG}, found none"]
        if not vocabularies:
            problems.append(f"expected {', '.join(_VOCABULARIES)} or a *.model of SentencePiece, found none")
        if weights is None:
            beside = [name for name in files if "/" not in name and not name.startswith(".")]
            found = ", ".join(sorted(beside)[:20]) or "no file"
            problems.append(f"expected weights as {', '.join(self._order)}; found {found}")
        small = [CONFIG, *(name for name in _BESIDE if name in files)]
        problems += [
            f"{name}: expected {MOST_READ_BYTES:,} bytes at most, found {files[name].size:,}"
            for name in [*small, *vocabularies]
            if name in files and (files[name].size or 0) > MOST_READ_BYTES
        ]
        if problems or weights is None:
            if self._client.is_offline:
                problems.append(
                    "offline, only what the cache holds can be used; unset HF_HUB_OFFLINE to fetch"
                )
            raise CheckpointError(f"{address}: no encoder that can be read", problems)
        return small, sorted(vocabularies), weights

    def _shards(self, index: Path) -> list[str]:
        names = shard_names(index)
        missing = [name for name in names if name not in self._listing.files]
        if missing:
            problems = [f"{name}: named by {index.name}, but not in the repository" for name in missing]
            raise CheckpointError(f"{self._client.address}: weights are missing", problems)
        return names

    def _size(self, names: list[str]) -> int:
        return sum(self._listing.files[name].size or 0 for name in names)

    def _check_disk(self, names: list[str]) -> None:
        """Raises CheckpointError where the disk has not room for what is not in the cache yet."""
        cache = self._client.cache
        kept = self._client.folder / "snapshots" / self._listing.commit
        coming = [name for name in names if not (kept / name).exists()]
        there = next((path for path in (cache, *cache.parents) if path.exists()), Path("/"))
        needed, free = self._size(coming), shutil.disk_usage(there).free
        if needed > free:
            problems = [f"expected {needed:,} bytes free, found {free:,}", "HF_HUB_CACHE names another place"]
            raise CheckpointError(f"{cache}: the disk has no room for {self._client.address}", problems)

    def _tell(self, large: list[str]) -> None:
        if not self._client.is_offline:
            told = f"{self._client.address} at {self._listing.commit[:12]}: {self._size(large) / 1e6:,.1f} MB"
            names = printable(f"{', '.join(large[:3])}{', …' if large[3:] else ''}")
            self._console.print(f"{told} ({names})", highlight=False, markup=False)

    def _fetch_all(self, names: list[str], places: dict[str, Path]) -> None:
        total, before = self._size(names), 0
        for name in names:
            places[name] = self._fetch_one(name, before, total)
            before += self._listing.files[name].size or 0

    def _fetch_one(self, name: str, before: int, total: int) -> Path:
        size = self._listing.files[name].size
        most = _most_bytes(name) if size is None else size

        def check_size(found: int) -> None:
            if found > most:
                told = f"expected {most:,} bytes, as its hub lists it; more come"
                if size is None:
                    told = f"expected {most:,} bytes at most, for its hub lists no size; more come"
                raise CheckpointError(f"{self._client.url}: {name}: cannot be fetched", [told])

        def on_bytes(done: int) -> None:
            self._on_progress(before + done, total)
            check_size(done)

        place = self._client.fetch(self._listing.commit, name, on_bytes)
        check_size(place.stat().st_size)  # what comes by Xet goes on whatever the count of its bytes raises
        return place


def _of_one_form(vocabularies: list[str], places: dict[str, Path]) -> list[str]:
    """The vocabularies that are read: WordPiece's or SentencePiece's, and tokenizer.json beside either.

    Where a repository has both, it goes as in transformers by the class that is named, else by the kind.
    """
    pieces = [name for name in vocabularies if name not in _VOCABULARIES]
    words = [name for name in vocabularies if name in _VOCABULARIES]
    if not pieces or (WORD_PIECES in words and not _reads_pieces(places)):
        return words
    if SENTENCE_PIECES in pieces:
        pieces = [SENTENCE_PIECES]
    return [*pieces, *(name for name in words if name != WORD_PIECES)]


def _reads_pieces(places: dict[str, Path]) -> bool:
    config, beside = _object_in(places.get(CONFIG)), _object_in(places.get(TOKENIZER_CONFIG))
    named = beside.get("tokenizer_class") or config.get("tokenizer_class")
    return str(named).startswith("Albert") if named else find_kind(config) == "albert"


def _object_in(path: Path | None) -> dict[str, Any]:
    """A JSON object; an empty one where there is none, which whoever checks the files tells."""
    try:
        value = json.loads(read_whole(path)) if path is not None else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _most_bytes(name: str) -> int:
    """The most that is fetched of a file of which no size is told: what is read whole, or weights."""
    if name.endswith(INDEX):
        return MOST_INDEX_BYTES
    return _MOST_WEIGHT_BYTES if name.endswith(SUFFIXES) else MOST_READ_BYTES
