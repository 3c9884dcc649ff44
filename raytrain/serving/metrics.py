"""What is counted of the requests, as Prometheus reads it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

# From a small head on a card to a large ensemble on a processor.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
REFUSALS = {401: "token", 413: "size", 429: "queue", 503: "stopping"}


class Metrics:
    """Counts of one ingress, from its start."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"raytrain_{name}", meaning, labels, registry=own)

        self._requests = counter("requests", "Requests answered, in whatever way.", "path", "status")
        self._errors = counter("errors", "Requests that failed here, not by the client.", "path")
        self._refused = counter("refused", "Requests turned away before a model.", "reason")
        self._texts = counter("texts", "Texts predicted.", "ensemble")
        self._again = counter("asked_again", "Questions asked again as a replica was lost.")
        self._latency = Histogram(
            "raytrain_latency_seconds",
            "From a request's headers to its answer.",
            ["path"],
            buckets=BUCKETS,
            registry=own,
        )
        self._in_flight = Gauge("raytrain_in_flight", "Requests that are being answered.", registry=own)

    def began(self) -> None:
        self._in_flight.inc()

    def ended(self, path: str, status: int, seconds: float) -> None:
        """A request of one of the known paths was answered."""
        self._in_flight.dec()
        self._requests.labels(path, str(status)).inc()
        self._latency.labels(path).observe(seconds)
        if status in REFUSALS:
            self._refused.labels(REFUSALS[status]).inc()
        elif status >= 500:
            self._errors.labels(path).inc()

    def predicted(self, ensemble: str, num_texts: int) -> None:
        self._texts.labels(ensemble).inc(num_texts)

    def asked_again(self) -> None:
        self._again.inc()

    def page(self) -> bytes:
        """All of it as text."""
        return generate_latest(self._registry)
