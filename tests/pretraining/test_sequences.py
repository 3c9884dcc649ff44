"""Sequences on a storage: written in a stream, read in an order that follows from seed and step."""

import numpy as np
import pytest
from tiny_pretraining import VOCAB, make_lines, packed, special, texts_from
from tiny_run import silent_stage

from raytrain.errors import ArtifactError, CorpusError, TimeBudgetError
from raytrain.pretraining import sequences as module
from raytrain.pretraining.lines import HeldBack
from raytrain.pretraining.pieces import BEGINS, Encoding
from raytrain.pretraining.sequences import INDEX, Sequences, read_index, shard_name, write_sequences
from raytrain.stages import Stage
from raytrain.storage.directory import Directory
from raytrain.text.vocab import Vocab

ENCODING = Encoding(Vocab(VOCAB), special(), 32, with_words=True)


def write(directory, lines, share=0.0, identity="this", **options):
    held = HeldBack(share, 1000, len(lines))
    return write_sequences(
        Directory(directory), identity, texts_from(lines), held, ENCODING, silent_stage(), **options
    )


def read_all(sequences, step=0):
    return sequences.batch(step, sequences.num_sequences)


def as_set(rows):
    return sorted(map(tuple, rows.tolist()))


@pytest.mark.parametrize("shard_tokens", [32, 32 * 7, 1 << 20])
def test_streamed_in_whatever_shards_they_are_those_packed_in_memory(tmp_path, shard_tokens, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_CHARACTERS", 50)
    lines = make_lines(60)
    index = write(tmp_path, lines, shard_tokens=shard_tokens)
    expected = packed(lines, 32)
    assert as_set(read_all(Sequences(Directory(tmp_path), 0))) == as_set(expected)
    assert index["sequences"] == len(expected) and max(index["shards"]) <= max(1, shard_tokens // 32)


@pytest.mark.parametrize("group_shards", [1, 3, 100])
def test_every_sequence_comes_once_in_every_pass(tmp_path, group_shards):
    write(tmp_path, make_lines(60), shard_tokens=32 * 4)
    sequences = Sequences(Directory(tmp_path), 5, group_shards)
    whole = as_set(read_all(sequences))
    passes = [read_all(sequences, number) for number in range(3)]
    assert all(as_set(rows) == whole for rows in passes)
    assert not np.array_equal(passes[0], passes[1])


def test_a_step_reads_the_same_whatever_was_read_before(tmp_path):
    write(tmp_path, make_lines(60), shard_tokens=32 * 4)
    straight = Sequences(Directory(tmp_path), 5, 2)
    steps = [straight.batch(step, 7) for step in range(12)]
    for step in (11, 3, 0, 8):
        np.testing.assert_array_equal(Sequences(Directory(tmp_path), 5, 2).batch(step, 7), steps[step])
    assert all(batch.shape == (7, 32) for batch in steps)


def test_a_batch_may_be_larger_than_all_there_is(tmp_path):
    write(tmp_path, make_lines(4))
    sequences = Sequences(Directory(tmp_path), 5)
    assert sequences.batch(0, 3 * sequences.num_sequences + 1).shape == (3 * sequences.num_sequences + 1, 32)


def test_other_seeds_have_another_order(tmp_path):
    write(tmp_path, make_lines(60))
    first, other = (read_all(Sequences(Directory(tmp_path), seed)) for seed in (1, 2))
    assert not np.array_equal(first, other) and as_set(first) == as_set(other)


def test_held_back_texts_are_learned_nowhere_and_there_once(tmp_path):
    lines = make_lines(60) * 2
    index = write(tmp_path, lines, share=0.3)
    held = {line for line in lines if line in HeldBack(0.3, 1000, len(lines))}
    sequences = Sequences(Directory(tmp_path), 0)
    assert 0 < index["held_back_texts"] == len(held)
    assert as_set(sequences.held_back()) == as_set(
        packed(list(dict.fromkeys(line for line in lines if line in held)), 32)
    )
    assert as_set(read_all(sequences)) == as_set(packed([line for line in lines if line not in held], 32))


def test_of_a_long_text_held_back_a_part_is_evaluated_on_and_nothing_is_learned(tmp_path, monkeypatch):
    """A book in a line would fill the memory of every worker."""
    lines = make_lines(60)
    held = {line for line in lines if line in HeldBack(0.3, 1000, len(lines))}
    monkeypatch.setattr(module, "HELD_TOKENS", 3)
    index = write(tmp_path, lines, share=0.3)
    sequences = Sequences(Directory(tmp_path), 0)
    pieces, specials = sequences.held_back() & ~BEGINS, [special().cls, special().sep, special().pad]
    assert index["held_back_texts"] == len(held) and max(map(len, held)) > 3
    assert (~np.isin(pieces, specials)).sum() == sum(min(len(line), 3) for line in held)
    assert as_set(read_all(sequences)) == as_set(packed([line for line in lines if line not in held], 32))


def test_what_was_encoded_is_not_encoded_again_unless_it_is_of_another_identity(tmp_path):
    write(tmp_path, make_lines(10))
    before = (tmp_path / shard_name(0)).stat().st_mtime_ns
    assert write(tmp_path, []) == read_index(Directory(tmp_path))
    assert (tmp_path / shard_name(0)).stat().st_mtime_ns == before
    assert write(tmp_path, make_lines(20), identity="other")["texts"] == 20


def test_nothing_left_to_learn_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match=r"beside those held back; data\.held_back=0"):
        write(tmp_path, ["停水"], share=0.999)


def test_the_deadline_ends_the_encoding(tmp_path):
    held = HeldBack(0, 1, 1)
    with pytest.raises(TimeBudgetError):
        write_sequences(
            Directory(tmp_path), "this", texts_from(["停水"]), held, ENCODING, Stage("", 1, "texts", "", 0.0)
        )


@pytest.mark.parametrize("text", ["", "{}", '{"identity": "this"}', "[1]"])
def test_a_damaged_index_says_what_to_delete(tmp_path, text):
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(ArtifactError, match="delete"):
        read_index(Directory(tmp_path))


def test_a_damaged_shard_is_told_and_runs_no_code(tmp_path):
    write(tmp_path, make_lines(4))
    np.save(tmp_path / shard_name(0), np.array([print], object), allow_pickle=True)
    with pytest.raises(ArtifactError, match="shard-000000"):
        Sequences(Directory(tmp_path), 0).batch(0, 1)


def test_words_begin_where_they_did(tmp_path):
    write(tmp_path, make_lines(10))
    rows = read_all(Sequences(Directory(tmp_path), 0))
    assert 0 < ((rows & BEGINS > 0) & (rows & ~BEGINS > 4)).sum() < ((rows & ~BEGINS) > 4).sum()
