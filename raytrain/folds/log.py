"""What a fold tells while it trains: to the driver, to its log, to Ray's metrics."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

from ray.actor import ActorHandle
from ray.util.metrics import Gauge

from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes

PROGRESS_SECONDS = 0.5
LOG_FILE = "log.jsonl"


class FoldLog:
    """The fold's log: one file in its directory, a JSON object a line, over all its attempts.

    Args:
        location: The fold's directory.
    """

    def __init__(self, location: str):
        self._directory = Directory(location)
        self._lines = self._directory.read_bytes(LOG_FILE) if self._directory.exists(LOG_FILE) else b""

    def add(self, event: str, **fields: Any) -> None:
        """Appends a line with its time. Object stores cannot append, so the file is written whole."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._lines += json_bytes({"time": now, "event": event, **fields}, indent=None)
        self._directory.write_bytes(LOG_FILE, self._lines)


def read_log(location: str) -> list[dict[str, Any]]:
    """The fold's log so far; none where it has not begun."""
    directory = Directory(location)
    if not directory.exists(LOG_FILE):
        return []
    return [json.loads(line) for line in directory.read_bytes(LOG_FILE).splitlines()]


@dataclass(frozen=True)
class Started:
    """A fold's worker runs on a node.

    Attributes:
        node: Its address.
        goes_on: Whether an earlier start has trained a part of the fold.
    """

    node: str
    goes_on: bool = False


@dataclass(frozen=True)
class Stepped:
    """How far an epoch is.

    Attributes:
        loss: Mean training loss of the epoch so far, in nats.
        rate: Training texts a second.
    """

    step: int
    num_steps: int
    loss: float
    rate: float


@dataclass(frozen=True)
class EpochEnded:
    """An epoch's number from 1, its training loss, and the scores of the valid rows."""

    metrics: Mapping[str, float]


@dataclass(frozen=True)
class MemoryTaken:
    """What a fold took of its card at most, and the card's whole memory."""

    peak_bytes: int
    card_bytes: int


@dataclass(frozen=True)
class Retried:
    """A fold is tried again; why and how."""

    what: str


@dataclass(frozen=True)
class Restarted:
    """A fold that learned nothing begins again.

    Attributes:
        loss: Mean training loss that it stayed at, in nats.
        constant_loss: Of the best constant guess.
        seed: With which it begins again.
        restarts: How often it has begun again, now included.
        allowed: How often it may.
    """

    loss: float | None
    constant_loss: float | None
    seed: int
    restarts: int
    allowed: int

    @property
    def what(self) -> str:
        return (
            f"learns nothing (loss {self.loss:.3f}, a constant guess has {self.constant_loss:.3f}): "
            f"begun again with another seed, {self.restarts} of {self.allowed}"
        )


@dataclass(frozen=True)
class Labelled:
    """A fold begins its second round, with texts that it labelled itself.

    Attributes:
        texts: How many.
    """

    texts: int

    @property
    def what(self) -> str:
        if not self.texts:
            return "is sure of no text without a label: it stays as it is"
        return f"is sure of {self.texts:,} texts without a label: learns these, too, from the beginning"


Event = Started | Stepped | EpochEnded | MemoryTaken | Retried | Restarted | Labelled


class Told(Protocol):
    """What a reporter reads of what it reports."""

    @property
    def name(self) -> str: ...

    @property
    def run(self) -> str: ...

    @property
    def location(self) -> str: ...

    @property
    def accumulation(self) -> int: ...

    @property
    def settings(self) -> Any: ...

    @property
    def progress(self) -> ActorHandle | None: ...


class FoldReporter:
    """Takes what happens in the worker of rank 0 and passes it on.

    Args:
        spec: The fold, or whatever else trains so.
    """

    def __init__(self, spec: Told):
        self._spec = spec
        self.log = FoldLog(spec.location)
        self._time, self._step = time.monotonic(), 0
        self._trains = False
        # Ray's metrics take no tags but ASCII: other characters are told as in an address.
        tags = {"run": quote(spec.run.rsplit("/", 1)[-1], safe=" @()+"), "fold": spec.name}
        self._gauges = {
            name: Gauge(f"raytrain_{name}", description, tag_keys=tuple(tags))
            for name, description in (
                ("examples_per_second", "Training texts a second."),
                ("epoch", "Epochs done, with the share of the current one."),
                ("loss", "Mean training loss of the epoch so far, in nats."),
            )
        }
        for gauge in self._gauges.values():
            gauge.set_default_tags(tags)
        self._handler = _LogHandler(self.log)

    def __enter__(self) -> "FoldReporter":
        return self

    def __exit__(self, *exception: Any) -> None:
        logging.getLogger().removeHandler(self._handler)

    def on_start(self, epoch: int, step: int, facts: Mapping[str, Any]) -> None:
        """Tells where the fold begins and on what; from now on libraries' warnings go to its log as well."""
        self._time, self._step = time.monotonic(), step
        self._push(Started(facts["node"]["address"], goes_on=epoch > 0 or step > 0))
        self.log.add("start", epoch=epoch, step=step, accumulation=self._spec.accumulation, **facts)
        logging.getLogger().addHandler(self._handler)

    def _push(self, event: Event) -> None:
        """Tells the driver, which waits for nothing."""
        if self._spec.progress is not None:
            self._spec.progress.push.remote(self._spec.name, event, time.time())

    def on_step(self, step: int, num_steps: int, loss: float, passes: float) -> None:
        """Tells a few times a second how far the fold is.

        Args:
            step: How many are done of the epoch; of a pre-training, in all.
            num_steps: Of the same.
            loss: Mean training loss so far, in nats.
            passes: Over the rows since the beginning, the epoch's own share among them.
        """
        now = time.monotonic()
        if not self._trains:  # tracing, and on cards the compilation of kernels, lie behind
            self._trains = True
            self.log.add("training", step=step)
        if now - self._time >= PROGRESS_SECONDS or step == num_steps:
            batch_size = self._spec.settings.batch_size
            rate = (step - self._step) * batch_size / max(now - self._time, 1e-9)
            self._time, self._step = now, step
            self._push(Stepped(step, num_steps, loss, rate))
            self._gauges["examples_per_second"].set(rate)
            self._gauges["epoch"].set(passes)
            self._gauges["loss"].set(loss)

    def on_memory(self, peak_bytes: int, card_bytes: int) -> None:
        """Tells and logs what the fold took of its card, and the card's whole memory."""
        self._push(MemoryTaken(peak_bytes, card_bytes))
        self.log.add("memory", peak_bytes=peak_bytes, card_bytes=card_bytes)

    def on_refusal(self, reason: str) -> None:
        """Tells and logs that the fold began anew without XLA."""
        self._push(Retried(f"XLA cannot compile its step: again without ({reason})"))
        self.log.add("uncompiled", reason=reason)

    def on_restart(self, event: Restarted) -> None:
        """Tells and logs that the fold begins again with another seed."""
        self._time, self._step = time.monotonic(), 0
        self._push(event)
        self.log.add("restarted", **asdict(event))

    def on_labels(self, event: Labelled) -> None:
        """Tells and logs that the fold begins its second round."""
        self._time, self._step = time.monotonic(), 0
        self._push(event)
        self.log.add("labelled", **asdict(event))

    def on_epoch(self, metrics: dict[str, float]) -> None:
        """Tells and logs the scores of an epoch; a pre-training's have their `step`, and are counted on."""
        self._time, self._step = time.monotonic(), int(metrics.get("step", 0))
        self._gauges["epoch"].set(metrics["epoch"])
        self._push(EpochEnded(metrics))
        self.log.add("epoch", **metrics)

    def on_pause(self, reason: str, epoch: int, step: int) -> None:
        """Logs why and where training pauses."""
        self.log.add(reason, epoch=epoch, step=step)

    def on_commit(self, epoch: int, step: int, seconds: float) -> None:
        """Logs the fold's end."""
        self.log.add("committed", epoch=epoch, step=step, seconds=seconds)


class SilentReporter(FoldReporter):
    """Of the other workers: tells nothing."""

    def __init__(self) -> None:
        pass

    def __exit__(self, *exception: Any) -> None:
        pass

    def on_start(self, epoch: int, step: int, facts: Mapping[str, Any]) -> None:
        pass

    def on_step(self, step: int, num_steps: int, loss: float, passes: float) -> None:
        pass

    def on_memory(self, peak_bytes: int, card_bytes: int) -> None:
        pass

    def on_refusal(self, reason: str) -> None:
        pass

    def on_restart(self, event: Restarted) -> None:
        pass

    def on_labels(self, event: Labelled) -> None:
        pass

    def on_epoch(self, metrics: dict[str, float]) -> None:
        pass

    def on_pause(self, reason: str, epoch: int, step: int) -> None:
        pass

    def on_commit(self, epoch: int, step: int, seconds: float) -> None:
        pass


class _LogHandler(logging.Handler):
    """Writes records of WARNING and above to a fold's log."""

    def __init__(self, log: FoldLog):
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("raytrain.storage.directory"):
            return  # the log lies on the storage that is being warned of
        try:
            self._log.add(record.levelname.lower(), source=record.name, message=record.getMessage())
        except Exception:
            self.handleError(record)
