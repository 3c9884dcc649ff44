import csv
import signal

import numpy as np
import pytest
from committed_run import CommittedRun
from text_files import write_csv

from raytrain.commands.program import main
from raytrain.ngrams.tfidf import NgramClassifier

QUERIES = [
    ("q1", "退款多久到账", "a1"),
    ("q2", "发票怎么开", "a2"),
    ("q3", "什么时候发货", "a3"),
    ("q4", "", ""),
]
ANSWERS = [
    ("a1", "退款三天内到账"),
    ("a2", "发票在订单里开"),
    ("a3", "发货在两天之内"),
    ("a4", "可以换货一次"),
    ("a5", "保修期为一年"),
    ("a6", "可以换货一次"),
]
GIVEN = [
    "--query",
    "q.csv",
    "--id",
    "id",
    "--candidates",
    "c.csv",
    "--candidate-id",
    "id",
    "--output",
    "out.csv",
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, float32_again):
    before = signal.getsignal(signal.SIGTERM)
    write_csv(tmp_path / "q.csv", QUERIES, ("id", "text", "answer"))
    write_csv(tmp_path / "c.csv", ANSWERS, ("id", "text"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def judge(tmp_path_factory):
    """An ensemble of pairs to which all is true that speaks of replacement."""
    run = CommittedRun(tmp_path_factory.mktemp("run"))
    likes = NgramClassifier(["换", "退"], np.array([1, 1.0]), np.array([[5, -2.0]]), np.array([0.0]))
    run.commit("tfidf", 0, weights=likes.arrays())
    run.write(data__text=["query", "candidate"])
    return run.ensemble


def run(*arguments):
    try:
        return main(["match", *arguments])
    except SystemExit as error:
        return error.code


def written(folder):
    with (folder / "out.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_questions_find_their_answers_by_vectors_and_words(folder, capsys):
    assert run(*GIVEN, "--truth", "answer", "--top", "2", "--encoder", "mini", "--maxlen", "16") == 0
    rows = written(folder)
    assert [row["query_id"] for row in rows] == [id for id, *_ in QUERIES for _ in range(2)]
    assert [row["candidate_id"] for row in rows][:6:2] == ["a1", "a2", "a3"]
    assert rows[0]["query"] == "退款多久到账" and rows[0]["candidate"] == "退款三天内到账"
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == ["out.csv: 4 queries, 6 candidates", "q.csv: 4 texts, 1 of them empty"]
    assert told[2].strip() == "the right candidate, of 3 queries"
    assert told[3].split() == ["stage", "recall@1", "recall@2", "recall@50", "MRR"]
    assert [line.split()[0] for line in told[4:]] == ["vectors", "words", "both"]
    assert told[6].split()[1:] == ["1.0000"] * 4


def test_what_was_found_is_ordered_by_an_ensemble_of_pairs(folder, judge, capsys):
    arguments = ["--ensemble", judge, "--label", "真", "--top", "3", "--truth", "answer"]
    assert run(*GIVEN, *arguments) == 0
    rows = [row for row in written(folder) if row["query_id"] == "q2"]
    assert [row["candidate_id"] for row in rows] == ["a4", "a6", "a2"]
    assert float(rows[0]["score"]) > 0.99 and float(rows[2]["score"]) == 0.5
    assert "reranked" in capsys.readouterr().out
    assert run(*GIVEN, "--ensemble", judge, "--label", "真", "--top", "1", "--rerank", "1") == 0
    assert written(folder)[1]["candidate_id"] == "a2"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--output", "out.txt"], "ends in .csv, .jsonl, .parquet"),
        (["--output", "absent/out.csv"], "does not exist"),
        (["--top", "0"], "--top: expected at least 1"),
        (["--batch-size", "0"], "--batch-size: expected at least 1"),
        (["--label", "1"], "give --ensemble too"),
        (["--ensemble", "e", "--rerank", "3"], "--rerank: expected at least --top, 5; found 3"),
        (
            ["--first", "both", "--truth", "answer", "--rerank", "101"],
            "--rerank: expected at most 100 ranks, which are fused; found 101; add --ensemble",
        ),
        (["--first", "words", "--encoder", "mini"], "--encoder: of vectors; add --first both"),
        (["--no-whiten"], "--whiten: of vectors"),
        (["--encoder", "mini", "--maxlen", "3"], "--maxlen: expected at least 4"),
        (["--encoder", "hf:x"], "--encoder: the encoder cannot be used"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_read(folder, arguments, told, capsys):
    assert run(*GIVEN, *arguments) == 2
    assert told in capsys.readouterr().err and not (folder / "out.csv").exists()


def test_where_no_ranks_are_fused_any_number_is_counted(folder, capsys):
    """That changes no match: one search finds the same first ones however many are asked for."""
    assert run(*GIVEN, "--top", "2") == 0
    without = written(folder)
    assert run(*GIVEN, "--top", "2", "--truth", "answer", "--rerank", "101") == 0
    assert "recall@101" in capsys.readouterr().out and written(folder) == without


def test_all_that_is_wrong_is_told_at_once(folder, capsys):
    wrong = ["--column", "文", "--candidates", "absent.csv", "--encoder", "absent", "--ensemble", "nowhere"]
    assert run(*GIVEN, *wrong) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "error: nothing can be matched" and len(told) == 5
    for line, part in zip(
        told[1:], ["column", "absent.csv", "no such checkpoint", "no ensemble here"], strict=True
    ):
        assert part in line


def test_the_label_of_a_match_is_asked_for_and_the_truth_looked_up(folder, judge, capsys):
    plain = [*GIVEN[:6], *GIVEN[8:], "--ensemble", judge, "--truth", "answer"]
    assert run(*plain) == 2
    assert "--truth: name the column of the candidates' ids, too" in capsys.readouterr().err
    assert run(*plain, "--candidate-id", "text") == 2
    told = capsys.readouterr().err
    assert "no candidate has: 'a1', 'a2', 'a3'" in told and "the ensemble has 假, 真" in told


def test_an_ensemble_of_single_texts_is_refused(folder, tmp_path_factory, capsys):
    single = CommittedRun(tmp_path_factory.mktemp("run"))
    single.commit(
        "tfidf", 0, weights=NgramClassifier([], np.zeros(0), np.zeros((1, 0)), np.zeros(1)).arrays()
    )
    single.write()
    assert run(*GIVEN, "--ensemble", single.ensemble) == 2
    assert "expected a classifier of pairs" in capsys.readouterr().err
