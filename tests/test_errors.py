import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain import errors
from raytrain.errors import (
    SHOWN_PROBLEMS,
    ArchiveError,
    ArtifactError,
    CheckpointError,
    ClusterError,
    ConfigError,
    CorpusError,
    FoldError,
    InputError,
    LostWorkersError,
    PretrainError,
    RaytrainError,
    StorageError,
    SweepError,
    TimeBudgetError,
    WorkerMemoryError,
    printable,
)

EXAMPLES = [
    RaytrainError("损失不是有限的"),
    InputError("a.csv: cannot be used", ["row 2: 空", "row 3: 空"]),
    ConfigError("the config is not valid"),
    CorpusError("a.csv", ["row 1"]),
    CheckpointError("x", ["y"]),
    ArchiveError("x.zip: another archive than before", ["z"]),
    ArtifactError("runs/a", []),
    ClusterError("too small", ["3 CPUs"]),
    StorageError("s3://bucket: gone"),
    WorkerMemoryError("OOM"),
    LostWorkersError("three of them"),
    TimeBudgetError("nothing was learned"),
    SweepError(["trial 0: x", "trial 1: y"]),
    FoldError({"finetune/r0-fold-00": "Traceback\nValueError: x\n"}, "run again"),
    PretrainError("weibo", "Traceback\nValueError: x\n"),
]
HIDDEN = ["Cc", "Cf", "Cs", "Co", "Zl", "Zp"]
of_examples = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


def test_every_error_has_an_example_here():
    family = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    assert {type(error) for error in EXAMPLES} == {kind for kind in family if issubclass(kind, Exception)}


@of_examples
def test_errors_of_what_was_given_exit_with_2_and_of_a_run_with_1(error):
    is_of_a_run = isinstance(
        error,
        StorageError
        | WorkerMemoryError
        | LostWorkersError
        | TimeBudgetError
        | SweepError
        | FoldError
        | PretrainError,
    )
    assert error.exit_code == (1 if is_of_a_run or type(error) is RaytrainError else 2)
    assert isinstance(error, RaytrainError)


@of_examples
def test_an_error_arrives_from_another_process_as_it_was(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_a_caught_kind_may_stand_for_its_derived_ones():
    """Storages are asked as files are; an archive is a checkpoint that cannot be used."""
    assert issubclass(StorageError, OSError) and issubclass(ArchiveError, CheckpointError)


@given(st.lists(st.text(st.characters(exclude_categories=HIDDEN)), max_size=130))
def test_problems_are_shown_in_order_and_those_left_out_are_counted(problems):
    error = InputError("a.csv", problems)
    summary, *lines = str(error).split("\n")
    shown = [line.removeprefix("  - ") for line in lines[:50]]
    assert (summary, error.problems) == ("a.csv", problems) and shown == problems[:50]
    assert lines[50:] == ([f"  … and {len(problems) - 50} more problems"] if len(problems) > 50 else [])


def test_many_problems_are_counted_with_commas():
    assert str(InputError("a", ["x"] * (SHOWN_PROBLEMS + 1234))).endswith("… and 1,234 more problems")


def test_problems_are_the_errors_own():
    problems = ["first"]
    error = ConfigError("x", problems)
    problems.append("second")
    assert error.problems == ["first"]


def test_of_many_failed_trials_the_first_are_told_and_the_others_counted():
    told = str(SweepError([f"trial {number}: x" for number in range(SHOWN_PROBLEMS + 1_234)])).splitlines()
    assert len(told) == SHOWN_PROBLEMS + 2 and told[-1] == "  … and 1,234 more failures"


def test_a_sweep_without_a_best_trial_tells_each_failure():
    assert str(SweepError(["trial 0: 内存", "trial 2: NaN"])).splitlines() == [
        "no trial trained all its folds, so there is no best one",
        "  - trial 0: 内存",
        "  - trial 2: NaN",
    ]


def test_failed_folds_are_counted_and_told_one_by_one_with_the_advice_last():
    failures = {"finetune/r0-fold-01": "Traceback\n  …\nValueError: x\n\n", "crf/r1-fold-00": "killed"}
    text = str(FoldError(failures, "run the same command again"))
    assert text.splitlines()[0].startswith("2 fold run(s) failed")
    assert "\nfinetune/r0-fold-01:\nTraceback\n  …\nValueError: x\n\ncrf/r1-fold-00:\nkilled\n" in text
    assert text.endswith("\n\nrun the same command again")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("房间 a\tb\nc", "房间 a\tb\nc"),
        ("\x1b[2J\x00\r\x7f", r"\x1b[2J\x00\x0d\x7f"),
        ("谣\u200b言\u202e", r"谣\u200b言\u202e"),
        ("\ud800", r"\ud800"),
        ("字" * 3000, "字" * 1999 + "…"),
    ],
)
def test_what_others_wrote_is_made_fit_for_a_message(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_messages_of_any_text_can_be_printed(text):
    for error in (
        InputError(text, [text]),
        RaytrainError(text),
        FoldError({text: text}, text),
        SweepError([text]),
    ):
        shown = str(error)
        shown.encode()
        assert not {unicodedata.category(char) for char in shown if char not in "\t\n"} & {*HIDDEN}
