"""How a fold's worker tells what happens: to the driver, to the fold's log, to Ray's metrics."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol
from urllib.parse import quote

from ray.actor import ActorHandle
from ray.util.metrics import Gauge

from raytrain.folds.events import (
    EpochEnded,
    Event,
    Labelled,
    MemoryTaken,
    Restarted,
    Retried,
    Started,
    Stepped,
)
from raytrain.folds.log import FoldLog, LogHandler

PROGRESS_SECONDS = 0.5


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
        self._handler = LogHandler(self.log)

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
