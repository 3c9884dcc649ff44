"""The family of errors: what was expected, what was found, where, and what to do about it."""

import unicodedata
from collections.abc import Sequence

SHOWN_PROBLEMS = 50
LONGEST_LINE = 2000  # characters of a message's line
_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # control and invisible characters, halves of pairs


def printable(text: str, most: int = LONGEST_LINE) -> str:
    """What others wrote, fit to stand in a message: a terminal obeys some characters and hides others.

    Args:
        text: Of a file, a name or another library's message; line ends and tabs stay.
        most: Characters of a line, beyond which it is cut.
    """
    lines = [line if len(line) <= most else f"{line[: most - 1]}…" for line in text.split("\n")]
    return "\n".join("".join(map(_shown, line)) for line in lines)


def _shown(char: str) -> str:
    if char == "\t" or unicodedata.category(char) not in _UNSHOWN:
        return char
    return char.encode("ascii", "backslashreplace").decode() if ord(char) > 0x7F else f"\\x{ord(char):02x}"


class RaytrainError(Exception):
    """Root of every error that raytrain raises on purpose.

    Attributes:
        exit_code: What a job exits with: 2 for a usage or input error, 1 for a run that failed.
    """

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class InputError(RaytrainError):
    """Something the user gave is wrong. Carries every problem found, not only the first.

    Args:
        summary: One line: what was being read and that it cannot be used.
        problems: One line each: expected, found, where, what to do. The message shows the first
            `SHOWN_PROBLEMS` and counts the rest; the attribute `problems` has all of them.
    """

    exit_code = 2

    def __init__(self, summary: str, problems: Sequence[str] = ()):
        self.summary = summary
        self.problems = list(problems)
        super().__init__(summary, self.problems)

    def __str__(self) -> str:
        return printable("\n".join([self.summary, *_listed(self.problems, "problems")]))


def _listed(lines: Sequence[str], what: str) -> list[str]:
    """The first `SHOWN_PROBLEMS` of them, and how many more there are."""
    hidden = len(lines) - SHOWN_PROBLEMS
    shown = [f"  - {line}" for line in lines[:SHOWN_PROBLEMS]]
    return [*shown, f"  … and {hidden:,} more {what}"] if hidden > 0 else shown


class ConfigError(InputError):
    """A key or a value of the config is wrong, or does not fit the run it should continue."""


class CorpusError(InputError):
    """A file of texts cannot be read as asked, or its rows cannot be used."""


class CheckpointError(InputError):
    """An encoder's directory lacks a file or a variable, or holds one of another shape."""


class ArchiveError(CheckpointError):
    """An archive cannot be unpacked, or is not the one that was fetched first."""


class ArtifactError(InputError):
    """An ensemble or a run directory is damaged, incomplete, or of a newer schema version."""


class ClusterError(InputError):
    """The cluster has less than one fold needs."""


class StorageError(RaytrainError, OSError):
    """A storage refuses what was asked, or failed for longer than is waited for. Says what to do next."""


class LostWorkersError(RaytrainError):
    """Processes were lost more often than is forgiven. Says what is kept, and what to do next."""


class WorkerMemoryError(RaytrainError):
    """A worker had no memory for its share of a batch. The fold is tried again in smaller pieces."""


class TimeBudgetError(RaytrainError):
    """The time budget was used up before one fold had learned anything."""


class PretrainError(RaytrainError):
    """A pre-training failed for good after its retries; its last checkpoint is kept.

    Args:
        name: Of the run.
        failure: The text of its failure, the remote traceback included.
    """

    def __init__(self, name: str, failure: str):
        self.name, self.failure = name, failure
        super().__init__(name, failure)

    def __str__(self) -> str:
        advice = "What its last checkpoint holds is kept: run the same command again to go on."
        return printable(f"the pre-training {self.name} failed\n\n{self.failure.rstrip()}\n\n{advice}")


class SweepError(RaytrainError):
    """Not one trial of a sweep trained all its folds. Carries each one's failure."""

    def __init__(self, failures: Sequence[str]):
        self.failures = list(failures)
        super().__init__(self.failures)

    def __str__(self) -> str:
        begin = "no trial trained all its folds, so there is no best one"
        return printable("\n".join([begin, *_listed(self.failures, "failures")]))


class FoldError(RaytrainError):
    """Folds failed for good after their retries; every other fold was committed first.

    Args:
        failures: Fold run name to the text of its failure, the remote traceback included.
        advice: What to do next.
    """

    def __init__(self, failures: dict[str, str], advice: str):
        self.failures = failures
        self.advice = advice
        super().__init__(failures, advice)

    def __str__(self) -> str:
        parts = [f"{len(self.failures)} fold run(s) failed; every other one that was trained is committed."]
        for name, failure in self.failures.items():
            parts.append(f"\n{name}:\n{failure.rstrip()}")
        parts.append(f"\n{self.advice}")
        return printable("\n".join(parts))
