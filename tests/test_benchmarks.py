"""The benchmarks' peers do the same work as ours, and their figures are sums of what was measured."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import ablation
import compare
import corpora
import duplicates
import flipped_labels
import gpu
import growth
import numpy as np
import one_model
import processes
import pytest
import question_pairs
from loop import Batches, encode_corpus, word_ids
from rich.console import Console
from tiny_run import make_rows, write_csv, write_encoder

from raytrain.text.encode import build_features, encode_texts
from raytrain.text.vocab import Vocab
from raytrain.text.words import select_words

ROOT = Path(__file__).parents[1]
MIXED = [
    "2019年 COVID 疫情的消息，不是真的！",
    "明天  停水 @小明 http://t.cn/a1B",
    "停水的消息不是真的，明天不停水",
]


def encode_both(texts, vocab, maxlen):
    from bert4keras.tokenizers import Tokenizer

    tokenizer = Tokenizer({token: number for number, token in enumerate(vocab)}, do_lower_case=True)
    encoded, index = encode_corpus(texts, tokenizer, maxlen, with_words=True)
    ours = encode_texts(texts, None, Vocab(vocab), maxlen, with_words=True)
    features = build_features(ours, select_words(ours.counts, 2))
    return encoded, index, features


@pytest.mark.parametrize("maxlen", [8, 64])
def test_loop_reads_the_same_ids_as_raytrain(sentences, vocab, maxlen):
    encoded, index, features = encode_both([*sentences, *MIXED], [*vocab, "20", "##19", "covid"], maxlen)
    assert [row.token_ids for row in encoded] == features["token_ids"].to_pylist()
    assert [word_ids(row, index) for row in encoded] == features["word_ids"].to_pylist()
    assert max(index.values()) > 2


def test_loop_batches_are_padded_to_their_longest():
    ids = [([2, *[7] * length, 3], [1, *[5] * length, 1]) for length in (1, 4, 2, 9, 3)]
    batches = Batches(ids, np.arange(5), range(5), batch_size=2)
    shapes = [[array.shape for array in batches[number][0]] for number in range(len(batches))]
    assert shapes == [[(2, 6)] * 3, [(2, 11)] * 3, [(1, 5)] * 3]
    (tokens, segments, words), labels = batches[0]
    assert tokens[0].tolist() == [2, 7, 3, 0, 0, 0] and words[0].tolist() == [1, 5, 1, 0, 0, 0]
    assert not segments.any() and labels.tolist() == [0, 1]


def test_loop_batches_are_shuffled_anew_each_epoch_and_hold_every_row():
    batches = Batches([([1], [])] * 40, np.arange(40), range(40), batch_size=16, shuffle_seed=3)
    epochs = []
    for _ in range(2):
        epochs.append([label for number in range(len(batches)) for label in batches[number][1].tolist()])
        batches.on_epoch_end()
    assert epochs[0] != epochs[1] and sorted(epochs[0]) == sorted(epochs[1]) == list(range(40))


def test_seconds_of_the_folds_left_out_are_extrapolated():
    assert compare.extrapolate(5.0, [10.0], 10) == 105.0
    assert compare.extrapolate(5.0, [14.0, 10.0, 12.0], 10) == 5.0 + 36.0 + 7 * 11.0
    told = {"folds_run": 2, "num_folds": 10, "setup_seconds": 5.0, "fold_seconds": [14.0, 10.0]}
    told |= {"oof_accuracy": 0.5, "predicted_rows": 20}
    run = compare.loop_run("loop", processes.Measured(30.0, 100.0, 0, f"progress\n{json.dumps(told)}\n", ""))
    assert run["seconds"] == 109.0 and run["process_seconds"] == 30.0
    told["num_folds"] = 2
    run = compare.loop_run("loop", processes.Measured(30.0, 100.0, 0, json.dumps(told), ""))
    assert run["seconds"] == 30.0


def made_up_runs():
    loop = {"peer": "loop", "folds_run": 2, "peak_mb": 900, "accuracy": 0.75, "predicted_rows": 48}
    ours = {"peer": "raytrain", "folds_run": 10, "peak_mb": 3000, "accuracy": 0.8, "predicted_rows": 100}
    failed = {"peer": "transformers float32", "error": "skipped: torch and transformers are not installed"}
    seconds = [(90.0, 30.0), (120.0, 40.0), (110.0, 50.0)]
    runs = [entry for a, b in seconds for entry in (loop | {"seconds": a}, ours | {"seconds": b})]
    return [failed, *runs]


def test_figures_are_medians_and_the_ratio_is_of_medians():
    failed, loop, ours = compare.sum_up(made_up_runs(), rows=100, num_folds=10, epochs=2)
    assert "skipped" in failed["error"] and "ratio" not in failed
    assert (loop["seconds"], loop["least_seconds"], loop["most_seconds"]) == (110.0, 90.0, 120.0)
    assert loop["ratio"] == 110.0 / 40.0 and ours["ratio"] == 1
    assert ours["examples_per_second"] == 100 * 9 * 2 / 40.0
    assert loop["accuracy_error"] == pytest.approx(math.sqrt(0.75 * 0.25 / 48))


def test_table_tells_what_is_extrapolated_and_what_failed(capsys):
    figures = compare.sum_up(made_up_runs(), rows=100, num_folds=10, epochs=2)
    Console(width=160).print(compare.comparison_table(figures, "title"))
    printed = capsys.readouterr().out
    for part in ("2 of 10 folds, rest extrapolated", "110.0 (90.0–120.0)", "2.75× as fast", "skipped: torch"):
        assert part in printed


def test_table_without_raytrain_has_no_ratio():
    figures = compare.sum_up([run for run in made_up_runs() if run["peer"] == "loop"], 100, 10, 1)
    assert "ratio" not in figures[0] and compare.comparison_table(figures, "title").row_count == 1


def test_corpus_is_a_seeded_subset_without_empty_texts(tmp_path):
    rows = [{"review": "" if number == 3 else f"text {number}", "label": number % 2} for number in range(30)]
    source = write_csv(tmp_path / "source.csv", rows)
    first = corpora.write_corpus(tmp_path / "a.csv", str(source), "review", "label", 10, seed=1)
    again = corpora.write_corpus(tmp_path / "b.csv", str(source), "review", "label", 10, seed=1)
    assert first == again and len(set(first)) == 10 and "" not in first
    assert len(corpora.write_corpus(tmp_path / "c.csv", str(source), "review", "label", None, seed=1)) == 29


@pytest.mark.parametrize("shape", corpora.SHAPES)
def test_generated_encoders_can_be_read(tmp_path, sentences, shape):
    from raytrain.pretrained.directory import read_encoder

    encoder = read_encoder(str(corpora.write_encoder(tmp_path, shape, sentences)), False, 128)
    assert encoder.kind == ("bert" if shape in ("small", "base") else "albert")


def test_growth_measures_rows_and_folds_one_at_a_time(tmp_path):
    points = growth.plan(100, [1, 2], [2, 10], fixed_folds=5)
    assert [(point["grows"], point["rows"], point["folds"]) for point in points] == [
        ("rows", 100, 5),
        ("rows", 200, 5),
        ("folds", 100, 2),
        ("folds", 100, 10),
    ]
    figures = {"seconds": 3.0, "fold_seconds": 2.0, "encoder_seconds": None, "peak_mb": 1000}
    assert growth.growth_table([point | figures for point in points]).row_count == 4


def test_a_failing_command_tells_its_last_lines():
    done = processes.run_measured(
        [sys.executable, "-c", "import sys; print('one'); sys.exit('no such file')"]
    )
    assert done.failure() == "exit code 1: one | no such file" and done.seconds > 0


def test_memory_counts_descendants():
    child = "b = bytearray([1]) * (80 << 20); input()"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    try:
        for _ in range(200):
            if processes.tree_megabytes(process.pid) > 80:
                break
        assert processes.tree_megabytes(process.pid) > 80
    finally:
        process.communicate(b"\n")


def test_the_gpu_benchmark_without_a_gpu_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--parts", "steps"])
    with pytest.raises(SystemExit, match="2"):
        gpu.main()
    assert "--device cpu" in capsys.readouterr().err


def test_a_command_that_takes_too_long_is_ended():
    done = processes.run_measured([sys.executable, "-c", "import time; time.sleep(60)"], limit=0.5)
    assert done.exit_code == processes.TIMED_OUT and done.seconds < 30


@pytest.mark.slow
@pytest.mark.long
def test_the_parts_of_the_gpu_benchmark_print_and_are_written_as_they_end(tmp_path):
    output = tmp_path / "gpu.json"
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "gpu.py"),
        "--device",
        "cpu",
        "--output",
        str(output),
    ]
    command += ["--parts", "steps", "folds", "prediction"]  # heads run what steps run
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    parts = json.loads(output.read_text(encoding="utf-8"))["parts"]
    assert list(parts) == ["steps", "folds", "prediction"]
    rows = [row for part in parts.values() for row in part]
    assert [row for row in rows if "trouble" in row] == []
    assert {row["what"] for row in parts["folds"]} == {"finetune-0", "textcnn-0"}
    assert all(row["seconds_before"] > 0 for row in parts["folds"])
    assert all(row["seconds"] > 0 for row in rows)
    assert done.stdout.count('{"what"') == len(rows)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("architecture", ["textcnn"])
def test_loop_runs_to_its_json_line(tmp_path, architecture):
    data, encoder = write_csv(tmp_path / "corpus.csv", make_rows(24)), write_encoder(tmp_path / "encoder")
    command = [sys.executable, str(ROOT / "benchmarks" / "loop.py"), "--data", str(data)]
    command += ["--encoder", str(encoder), "--architecture", architecture, "--num-folds", "3", "--folds", "2"]
    command += ["--epochs", "1", "--maxlen", "32", "--batch-size", "8"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    told = json.loads(done.stdout.strip().split("\n")[-1])
    assert told["peer"] == "loop" and told["architecture"] == architecture
    assert (told["rows"], told["num_folds"], told["folds_run"], told["predicted_rows"]) == (24, 3, 2, 16)
    assert told["train_examples"] == 32 and len(told["fold_seconds"]) == 2
    assert 0 <= told["oof_accuracy"] <= 1 and told["peak_mb"] > 100


def test_an_ablation_tells_paired_differences_of_the_folds_it_is_asked_for():
    values = {"plain": [0.8, 0.9, 0.7], "ema": [0.9, 0.9, 0.9]}
    scores = {
        name: {"finetune": {str(fold): {"accuracy": value} for fold, value in enumerate(own)}}
        for name, own in values.items()
    }
    scores = {"half done": {"finetune": {"0": {"accuracy": 1.0}}}} | scores
    table = ablation.compare(scores, "finetune", [0, 2], "accuracy")
    rows = list(zip(*[list(column.cells) for column in table.columns], strict=True))
    assert rows == [
        ("plain", "0.7500", "+0.0000", "0.0000", "0 of 2"),
        ("ema", "0.9000", "+0.1500", "0.0500", "2 of 2"),
    ]


def test_of_a_loss_a_lower_one_is_better():
    scores = {
        name: {"textcnn": {str(fold): {"log_loss": value} for fold in range(2)}}
        for name, value in {"plain": 0.5, "ema": 0.4}.items()
    }
    table = ablation.compare(scores, "textcnn", [0, 1], "log_loss")
    assert list(table.columns[-1].cells) == ["0 of 2", "2 of 2"]


@pytest.mark.parametrize(("text", "folds"), [("0-4", [0, 1, 2, 3, 4]), ("3", [3])])
def test_folds_are_named_by_a_range(text, folds):
    assert ablation._folds(text) == folds


def test_copies_are_as_many_and_as_alike_as_is_said():
    texts = duplicates.make_texts(40, 10)
    assert len(texts) == 40 and len(set(texts)) == 40
    for number, (text, copy) in enumerate(zip(texts, texts[30:], strict=False)):
        others = sum(one != other for one, other in zip(text, copy, strict=True))
        assert 1 <= others <= 1 + number % 2
    assert duplicates.similarity("天地玄黄", "天地玄黄") == 1
    assert duplicates.similarity("天地玄黄", "天地玄武") == 1 / 3


def test_few_made_up_copies_are_missed_and_nothing_else_is_found():
    figures = duplicates.measure(2000, 0.1)
    assert figures["copies"] == 200 and figures["found_wrongly"] == 0
    assert 100 < figures["copies_similar"] - 2 <= figures["copies_found"] <= figures["copies_similar"]


def test_as_many_labels_are_flipped_as_is_said_each_to_another():
    labels = np.arange(200) % 4
    flipped = flipped_labels.flip_labels(labels, 4, 0.25, seed=3)
    changed = flipped != labels
    assert changed.sum() == 50 and set((flipped - labels)[changed] % 4) == {1, 2, 3}
    assert flipped.tolist() == flipped_labels.flip_labels(labels, 4, 0.25, seed=3).tolist()


def test_what_is_listed_comes_first_and_then_the_lowest_score():
    order = flipped_labels.order_of(np.array([0.3, 0.1, 0.2, 0.4]), [3, 0])
    assert order.tolist() == [3, 0, 1, 2]
    found = flipped_labels.count_found({"a": order, "b": order[::-1]}, np.array([True, False, False, True]))
    assert found == {"a": 2, "b": 0}


def test_what_was_found_is_told_beside_chance():
    figures = {"rows": 1000, "flipped": 50, "found": {"suspects": 30}}
    rows = list(
        zip(*[list(column.cells) for column in flipped_labels.found_table(figures).columns], strict=True)
    )
    assert rows == [("suspects", "30", "60.0%"), ("chance", "2", "5.0%")]


def test_of_each_label_the_same_share_is_held_out_by_the_seed():
    labels = np.array([0] * 50 + [1] * 10)
    held = one_model.split_rows(labels, 0.2, seed=3)
    assert held[:50].sum() == 10 and held[50:].sum() == 2
    np.testing.assert_array_equal(held, one_model.split_rows(labels, 0.2, seed=3))
    assert (held != one_model.split_rows(labels, 0.2, seed=4)).any()


def test_questions_have_answers_and_pairs_know_none_of_those_held_apart(tmp_path):
    question_pairs.write_files(tmp_path)
    tables = {
        name: list(csv.DictReader((tmp_path / f"{name}.csv").read_text(encoding="utf-8").splitlines()))
        for name in ("query", "candidates", "pairs")
    }
    answers = {row["id"]: row["text"] for row in tables["candidates"]}
    assert len(answers) == 360 == len(set(answers.values())) and len(tables["query"]) == 576
    held = {answers[row["answer"]] for row in tables["query"]}
    assert len(held) == 144 and not held & {row["candidate"] for row in tables["pairs"]}
    right = [row for row in tables["pairs"] if row["label"] == "1"]
    assert len(right) == 864 and len(tables["pairs"]) == 3 * 864
    assert not any("{" in row["text"] for row in [*tables["query"], *tables["candidates"]])
