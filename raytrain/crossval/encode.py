"""From texts to what all folds share: words, features, keywords; large corpora as tasks of Ray."""

import functools
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import ray

from raytrain.config.defaults import reads_words
from raytrain.config.schema import Config
from raytrain.config.sections import EncoderConfig
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.unlabelled import Unlabelled, read_unlabelled
from raytrain.crossval.inputs import Dictionary
from raytrain.files.reading import Reading
from raytrain.folds.spec import Shared
from raytrain.keywords.held import KeywordInputs, given_keywords, interleave, join_ranked
from raytrain.keywords.textrank import rank_texts
from raytrain.pretrained.directory import EncoderFiles
from raytrain.stages import Stages
from raytrain.text.encode import PARALLEL_TEXTS, EncodedTexts, build_features, encode_texts, join_encoded
from raytrain.text.ragged import chunks_of
from raytrain.text.rows import TextRows
from raytrain.text.vectors import read_vectors
from raytrain.text.vocab import Vocab
from raytrain.text.windows import encode_windows
from raytrain.text.words import build_embedding, select_words

_CHUNK = 10_000
_MANY_CUT = 0.05  # share of the texts from which on it is told that they are cut


def read_shared(
    config: Config,
    corpus: Corpus,
    encoder: EncoderFiles,
    dictionary: Dictionary,
    stages: Stages,
    unlabelled: Unlabelled | None = None,
) -> Shared:
    """Encodes the corpus and lays out the word embedding. Large corpora of a classifier are encoded on Ray.

    Args:
        config: Of the run.
        corpus: The labelled texts.
        encoder: Whose vocabulary is read.
        dictionary: The words that jieba must know.
        stages: Where progress is told.
        unlabelled: Texts to encode behind those of the corpus; None takes those that the config asks for.

    Raises:
        CorpusError: The user dictionary, the kept keywords or the word vectors cannot be used.
    """
    if not config.model.has_networks:
        return Shared(encoder, pa.table({}), None, None, None, {})
    with_words = any(reads_words(name) for name in config.model.architectures)
    user_dict = dictionary.text
    keywords = _find_keywords(config, corpus, dictionary, stages)
    rows: TextRows | None = None
    if config.task == "tag":
        texts = corpus.table["text"].to_pylist()
        with stages.stage("encoding"):
            vocab, maxlen = encoder.vocab, config.encoder.maxlen
            encoded, rows = encode_windows(texts, vocab, maxlen, with_words, user_dict)
    else:
        texts, pairs = _columns(corpus)
        if unlabelled is None and config.train.pseudo_labels is not None:
            unlabelled = read_unlabelled(
                config.data.test or "", config.data.text_columns, Reading.of(config.data)
            )
        if unlabelled is not None:
            texts, pairs = texts + unlabelled[0], pairs and pairs + unlabelled[1]
        encoded = _encode(config, texts, pairs, encoder.vocab, with_words, user_dict, stages)
        rows = TextRows(encoded.rows) if config.encoder.windows > 1 else None
        _tell_cut(config.encoder, encoded.num_cut, len(texts), pairs is not None, stages)
    num_unlabelled = max(0, len(texts) - corpus.num_rows)
    shared = functools.partial(
        Shared, encoder, user_dict=user_dict, keywords=keywords, rows=rows, num_unlabelled=num_unlabelled
    )
    if not with_words:
        return shared(features=build_features(encoded, []), vocabulary=None, embedding=None, coverage={})
    return shared(**_lay_words(config, encoded))


def _lay_words(config: Config, encoded: EncodedTexts) -> dict[str, Any]:
    """The words that heads read, their embedding, and the features that name them, as of `Shared`."""
    words, known = config.words, encoded.words
    vectors = read_vectors(words.vectors, known) if words.vectors else None
    vocabulary = select_words(
        encoded.counts, words.min_count, vectors.words_covered(known) if vectors else ()
    )
    embedding, coverage = build_embedding(vocabulary, words.dim, config.seed, vectors)
    return {
        "features": build_features(encoded, vocabulary),
        "vocabulary": vocabulary,
        "embedding": embedding,
        "coverage": coverage,
        "characters": vectors.characters if vectors else None,
    }


def _find_keywords(
    config: Config, corpus: Corpus, dictionary: Dictionary, stages: Stages
) -> KeywordInputs | None:
    """Where the kept keywords stand, or for folds that choose their own, those of every text."""
    if config.words.keywords is None:
        return None
    texts, pairs = _columns(corpus)
    user_dict = dictionary.text
    if dictionary.kept is not None:
        return given_keywords(texts, pairs, dictionary.kept, user_dict)
    parts = interleave(texts, pairs)
    chunks = [parts[chunk] for chunk in chunks_of(parts)]
    if len(parts) < PARALLEL_TEXTS:
        with stages.stage("ranking keywords", len(parts), "texts") as stage:
            ranked = []
            for chunk in chunks:
                ranked.append(rank_texts(chunk, user_dict))
                stage.advance(len(chunk))
                stage.check()
    else:
        rank: Any = ray.remote(rank_texts)
        answers = [rank.remote(chunk, user_dict) for chunk in chunks]
        ranked = _gather(stages, "ranking keywords", answers, [len(chunk) for chunk in chunks])
    return join_ranked(ranked, 1 if pairs is None else 2, config.words.num_keywords)


def _columns(corpus: Corpus) -> tuple[list[str], list[str] | None]:
    columns = [corpus.table[name].to_pylist() for name in corpus.text_names]
    return columns[0], columns[1] if len(columns) == 2 else None


def _encode(
    config: Config,
    texts: list[str],
    pairs: list[str] | None,
    vocab: Vocab,
    with_words: bool,
    user_dict: str | None,
    stages: Stages,
) -> EncodedTexts:
    maxlen, truncate, windows = config.encoder.maxlen, config.encoder.truncate, config.encoder.windows
    if len(texts) < PARALLEL_TEXTS:
        with stages.stage("encoding"):
            return encode_texts(texts, pairs, vocab, maxlen, with_words, user_dict, truncate, windows)
    return encode_on_ray(texts, pairs, vocab, maxlen, with_words, user_dict, stages, truncate, windows)


def _tell_cut(encoder: EncoderConfig, num_cut: int, num_texts: int, in_pairs: bool, stages: Stages) -> None:
    """Says how many texts lose an end, where that is more than a few."""
    if num_cut < _MANY_CUT * num_texts:
        return
    read = f"encoder.maxlen={encoder.maxlen}"
    advice = ""
    if encoder.windows > 1:
        read = f"{encoder.windows} windows of {read}"
    elif not in_pairs:
        advice = "; a run with encoder.windows=4 reads up to four times as much of them"
    stages.say(f"{num_cut:,} of {num_texts:,} texts are longer than {read} and are cut{advice}")


def encode_on_ray(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    vocab: Vocab,
    maxlen: int,
    with_words: bool,
    user_dict: str | None,
    stages: Stages,
    truncate: str = "head",
    windows: int = 1,
) -> EncodedTexts:
    """`text.encode.encode_texts` as tasks of the cluster, one CPU each."""
    shared = ray.put(vocab)
    encode: Any = ray.remote(encode_texts)  # its stubs end at five arguments
    parts = [
        encode.remote(
            texts[start : start + _CHUNK],
            pairs[start : start + _CHUNK] if pairs else None,
            shared,
            maxlen,
            with_words,
            user_dict,
            truncate,
            windows,
        )
        for start in range(0, len(texts), _CHUNK)
    ]
    sizes = [len(texts[start : start + _CHUNK]) for start in range(0, len(texts), _CHUNK)]
    return join_encoded(_gather(stages, "encoding", parts, sizes))


def _gather(stages: Stages, what: str, references: list[ray.ObjectRef], sizes: list[int]) -> list[Any]:
    """The results of tasks over so many texts each, in order."""
    results: list[Any] = [None] * len(references)
    with stages.stage(what, sum(sizes), "texts") as stage:
        for position, result in stage.each(references):
            results[position] = result
            stage.advance(sizes[position])
            stage.check()
    return results
