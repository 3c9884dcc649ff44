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
        self._registry = CollectorRegistry()
        own = {"registry": self._registry, "namespace": "raytrain"}
        self._requests = Counter("requests", "Requests answered, in whatever way.", ["path", "status"], **own)
        self._errors = Counter("errors", "Requests that failed here, not by the client.", ["path"], **own)
        self._refused = Counter("refused", "Requests turned away before a model.", ["reason"], **own)
        self._latency = Histogram(
            "latency_seconds", "From a request's headers to its answer.", ["path"], buckets=BUCKETS, **own
        )
        self._texts = Counter("texts", "Texts predicted.", ["ensemble"], **own)
        self._again = Counter("asked_again", "Questions asked again as a replica was lost.", **own)
        self._in_flight = Gauge("in_flight", "Requests that are being answered.", **own)

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
