"""What an export says of itself: its tokenizer, its words, what it takes and gives."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import raytrain
from raytrain.ensemble.artifact import Ensemble, manifest_digest
from raytrain.ensemble.words import ArtifactWords
from raytrain.exporting.settings import ExportSettings
from raytrain.storage.files import hash_files, json_bytes
from raytrain.text.dictionary import parse_user_dict
from raytrain.text.encode import tokenizer_of
from raytrain.text.vocab import SPECIAL_TOKENS, Vocab, vocab_file
from raytrain.text.wordpiece import build_tokenizer
from raytrain.text.words import FIRST_WORD, UNKNOWN_WORD

DESCRIPTION = "export.json"
WORDS, CHARACTERS = "words.json", "characters.npz"
MEANINGS = {
    "token_ids": "tokens of a row between those of [CLS] and [SEP]; 0 behind its end",
    "segment_ids": "1 on the second text of a pair and its [SEP], else 0",
    "word_ids": "the word on a token's first character, by words.json; 1 where it is unknown or none",
    "new_word_vectors": "of words beyond words.json, the means of their characters' vectors; may have no row",
    "text_of_row": "the text that each row is of, from 0 on; long texts have several rows",
}


def tokenizer_files(vocab: Vocab) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What export.json says of the tokenizer; and its files, whose ids are the encoder's."""
    name, data = vocab_file(vocab)
    is_wordpiece = not isinstance(vocab.tokens, bytes)
    files = {name: data}
    if is_wordpiece:
        files["tokenizer.json"] = build_tokenizer(vocab).to_str(pretty=False).encode()
    tokenizer = tokenizer_of(vocab)
    numbers = {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
    told = {
        "kind": "wordpiece" if is_wordpiece else "sentencepiece",
        "file": "tokenizer.json" if is_wordpiece else name,
        "vocabulary": name,
        "lower": vocab.folding.lower,
        "strip_accents": vocab.folding.strip_accents,
        "splits_chinese": vocab.folding.splits_chinese,
        "special": {"[PAD]": 0} | {token: id for token, id in numbers.items() if id is not None},
    }
    return told, files


def words_files(words: ArtifactWords) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What export.json says of words; and their files."""
    entries = parse_user_dict(words.user_dict or "")
    dictionary = [[entry.word, entry.frequency, entry.tag] for entry in entries]
    files = {WORDS: json_bytes({"vocabulary": words.vocabulary, "dictionary": dictionary}, indent=None)}
    if words.characters:
        packed = io.BytesIO()
        codepoints = np.array([ord(char) for char in words.characters], np.int32)
        np.savez(packed, codepoints=codepoints, vectors=np.stack([*words.characters.values()]))
        files[CHARACTERS] = packed.getvalue()
    characters = CHARACTERS if words.characters else None
    told = {"file": WORDS, "characters": characters, "unknown": UNKNOWN_WORD, "first": FIRST_WORD}
    return told, files


def describe_inputs(specs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The graph's inputs by name, type and shape; null is any size."""
    return [
        {"name": name, "dtype": spec.dtype.name, "shape": [*spec.shape], "meaning": MEANINGS[name]}
        for name, spec in specs.items()
    ]


def describe(ensemble: Ensemble, settings: ExportSettings, told: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in export.json but for its files and checks.

    Args:
        ensemble: What is exported.
        settings: How.
        told: Of the model's files, the tokenizer, words, inputs and outputs.
    """
    manifest, reading = ensemble.manifest, ensemble.manifest.config.encoder
    rule = manifest.rule
    return {
        "raytrain": raytrain.__version__,
        "format": settings.format,
        "task": manifest.task,
        "labels": list(manifest.labels),
        **told,
        "reading": {
            "maxlen": reading.maxlen,
            "truncate": reading.truncate,
            "windows": reading.windows,
            "pairs": len(manifest.config.data.text_columns) > 1,
        },
        "architectures": {
            name: {
                "folds": len(entry.folds),
                "encoder": "trained" if entry.model.train_encoder else "frozen",
                "pooling": entry.model.pooling,
            }
            for name, entry in manifest.architectures.items()
        },
        # The probabilities are averaged, or fused by this, and divided by its temperature, in the graph.
        "fusion": None if rule is None else rule.to_dict(),
        # What decides: the label of the least expected cost; null is the most probable one.
        "costs": None if rule is None or rule.costs is None else rule.costs.tolist(),
        "precision": "float32",
        "source": {"manifest_sha256": manifest_digest(ensemble.directory)},
    }


def list_files(folder: Path) -> dict[str, dict[str, Any]]:
    """The size and sha256 of each file below a folder, by its name there."""
    found = hash_files(folder).items()
    return {name: {"bytes": (folder / name).stat().st_size, "sha256": digest} for name, digest in found}
