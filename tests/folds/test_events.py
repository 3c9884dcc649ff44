import pickle

import pytest

from raytrain.folds.events import EpochEnded, MemoryTaken, Restarted, Retried, Started, Stepped


@pytest.mark.parametrize(
    "event",
    [
        Started("10.0.0.1"),
        Stepped(1, 2, 0.5, 30.0),
        EpochEnded({"epoch": 1}),
        MemoryTaken(1, 2),
        Retried("x"),
        Restarted(0.693, 0.688, 77, 1, 2),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events_arrive_as_they_were_sent(event):
    assert pickle.loads(pickle.dumps(event)) == event
