"""Questions of customers and the answers to them, invented here: files to match, and pairs to train a judge.

Sixty intents in six domains, each about six things: an answer is right by its intent and by its thing, and
people name the things otherwise than answers do. Four intents of ten are asked in `query.csv`; the pairs
are of the other six, so that no question's answer has been seen with a question.

    python benchmarks/question_pairs.py --output runs/questions
"""

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

SENTENCES = Path(__file__).with_suffix(".txt")
INTENTS, THINGS = 10, 6  # of each domain
HELD_APART = 4  # intents of a domain that are asked and never trained on
FROM_ANSWERS = 0.5  # how often a question names the thing as its answer does
BEFORE = ("", "", "", "请问", "你好，", "在吗，", "麻烦问下", "那个，")
BEHIND = ("", "", "", "？", "呢", "，谢谢", "，急", "啊？")
Row = Sequence[str]


@dataclass(frozen=True)
class Question:
    """A question, the intent of it, and the answer's id.

    Attributes:
        text: As it is asked.
        intent: Of `domain-number`.
        answer: The id of the right one: domain, number of the intent, number of the thing.
    """

    text: str
    intent: str
    answer: str


def make_questions(rng: Random) -> tuple[dict[str, str], list[Question]]:
    """All answers by id, and all questions: each wording of an intent about each thing."""
    answers: dict[str, str] = {}
    questions = []
    domain, number, things = "", 0, [["", ""]]
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            domain, *names = line.replace("[", "").replace("]", "").split()
            things, number = [name.split("/") for name in names], 0
        elif not line.startswith("#"):
            answer, *wordings = line.split(" | ")
            for index, (formal, spoken) in enumerate(things):
                key = f"{domain}-{number}-{index}"
                answers[key] = answer.format(x=formal)
                for wording in wordings:
                    name = formal if rng.random() < FROM_ANSWERS else spoken
                    text = rng.choice(BEFORE) + wording.format(x=name) + rng.choice(BEHIND)
                    questions.append(Question(text, f"{domain}-{number}", key))
            number += 1
    return answers, questions


def is_held_apart(question: Question) -> bool:
    """Whether no pair is made of its intent."""
    return int(question.intent.rpartition("-")[2]) < HELD_APART


def make_pairs(answers: dict[str, str], questions: Sequence[Question]) -> list[Row]:
    """Of each question its answer and two wrong ones: another thing's, and another intent's of the thing.

    Only answers of intents that are not held apart are among them, all of the question's domain. Each
    answer is wrong twice as often as it is right: which one it is must not tell its label.

    Returns:
        Rows of question, answer, 1 or 0, and the question's domain, by which folds are to be grouped.
    """
    rows: list[Row] = []
    asked: Counter[str] = Counter()
    for question in questions:
        if is_held_apart(question):
            continue
        domain, number, thing = question.answer.split("-")
        turn = asked[question.answer] = asked[question.answer] + 1  # the wordings of an answer take turns
        other_thing = (int(thing) + turn) % THINGS
        other_intent = HELD_APART + (int(number) - HELD_APART + turn) % (INTENTS - HELD_APART)
        wrong = (f"{domain}-{number}-{other_thing}", f"{domain}-{other_intent}-{thing}")
        for key, label in [(question.answer, "1"), *((key, "0") for key in wrong)]:
            rows.append((question.text, answers[key], label, domain))
    return rows


def write_files(folder: Path, seed: int = 0) -> None:
    """Writes query.csv, candidates.csv, and pairs.csv of what `make_pairs` returns."""
    rng = Random(seed)
    answers, questions = make_questions(rng)
    asked = [question for question in questions if is_held_apart(question)]
    folder.mkdir(parents=True, exist_ok=True)
    queries = [(f"q{number}", one.text, one.answer) for number, one in enumerate(asked)]
    _write(folder / "query.csv", ("id", "text", "answer"), queries)
    _write(folder / "candidates.csv", ("id", "text"), answers.items())
    pairs = make_pairs(answers, questions)
    _write(folder / "pairs.csv", ("query", "candidate", "label", "domain"), pairs)


def _write(path: Path, header: Row, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="of the three files")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_files(options.output, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
