"""Many small questions in one forward pass, and none behind a large one."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from raytrain.serving.answers import Row

# Answers in the texts' order.
Predict = Callable[[list[str], list[str] | None], Sequence[Row]]
PIECE_TEXTS = 16  # of a question before it is the next one's turn
ROOM_OF_TEXT = 8  # characters that a text costs beyond its own


@dataclass(eq=False)
class _Job:
    """A question that is being answered, piece by piece."""

    texts: list[str]
    pairs: list[str] | None
    done: asyncio.Future[list[Row]]
    taken: int = 0
    rows: dict[int, Row] = field(default_factory=dict)


@dataclass(frozen=True)
class _Piece:
    """Texts `start` to `end` of a job."""

    job: _Job
    start: int
    end: int

    @property
    def texts(self) -> list[str]:
        return self.job.texts[self.start : self.end]

    @property
    def pairs(self) -> list[str] | None:
        return None if self.job.pairs is None else self.job.pairs[self.start : self.end]


class Batcher:
    """Gathers what is asked while the model computes, and asks it all at once as soon as it is free.

    Nothing waits for company: a question that comes to a free model is answered alone. Questions take
    turns by pieces, so that one of many texts does not hold up the others.

    Args:
        predict: Texts and, of pairs, second texts, to a row each. Runs in a thread of its own.
        most_characters: Of one pass, where it has more than one text.
        longest: Characters of a text beyond which the model reads nothing.
    """

    def __init__(self, predict: Predict, most_characters: int, longest: int):
        self._predict, self._most, self._longest = predict, most_characters, longest
        self._waiting: deque[_Job] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._running: asyncio.Task[None] | None = None

    async def ask(self, texts: list[str], pairs: list[str] | None = None) -> list[Row]:
        """A row for each text, in order. Raises what `predict` raises of these texts."""
        if not texts:
            return []
        job = _Job(texts, pairs, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await job.done

    async def run(self, work: Callable[[], Row]) -> Row:
        """Runs what is no batch between two passes."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _run(self) -> None:
        while pieces := self._take():
            if {piece.job.pairs is None for piece in pieces} == {True, False}:
                for own in (True, False):
                    await self._answer([piece for piece in pieces if (piece.job.pairs is None) is own])
            else:
                await self._answer(pieces)

    def _take(self) -> list[_Piece]:
        """What the next pass reads: a piece of each job in turn, while there is room."""
        pieces: list[_Piece] = []
        room = self._most
        while self._waiting and (room > 0 or not pieces):
            job = self._waiting.popleft()
            if job.done.done():  # its client went away, or another piece of it failed
                continue
            start = end = job.taken
            while end < min(start + PIECE_TEXTS, len(job.texts)):
                cost = self._cost(job, end)
                if cost > room and (pieces or end > start):
                    break
                room, end = room - cost, end + 1
            if end == start:  # the next pass begins with it
                self._waiting.appendleft(job)
                break
            job.taken = end
            pieces.append(_Piece(job, start, end))
            if end < len(job.texts):
                self._waiting.append(job)
        return pieces

    def _cost(self, job: _Job, place: int) -> int:
        length = len(job.texts[place]) + (0 if job.pairs is None else len(job.pairs[place]))
        return min(length, self._longest) + ROOM_OF_TEXT

    async def _answer(self, pieces: list[_Piece]) -> None:
        texts = [text for piece in pieces for text in piece.texts]
        pairs = None
        if pieces[0].job.pairs is not None:
            pairs = [pair for piece in pieces for pair in piece.pairs or []]
        try:
            rows = await self.run(lambda: self._predict(texts, pairs))
        except Exception as error:
            if len(pieces) == 1:
                _fail(pieces[0].job, error)
                return
            for piece in pieces:  # whose it is that cannot be answered shows when each is asked alone
                await self._answer([piece])
            return
        start = 0
        for piece in pieces:
            _give(piece, rows[start : start + piece.end - piece.start])
            start += piece.end - piece.start


def _give(piece: _Piece, rows: Sequence[Row]) -> None:
    job = piece.job
    job.rows |= dict(zip(range(piece.start, piece.end), rows, strict=True))
    if len(job.rows) == len(job.texts) and not job.done.done():
        job.done.set_result([job.rows[place] for place in range(len(job.texts))])


def _fail(job: _Job, error: Exception) -> None:
    if not job.done.done():
        job.done.set_exception(error)
