"""What the API has done since the server started, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Histogram, disable_created_metrics
from prometheus_client.registry import CollectorRegistry

PREFIX = "lifelog_api"
#: Seconds; a durable write should take 30 ms at most.
_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Meter:
    """Counters of one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # a gauge beside each counter, which nobody asks for

        def counter(name: str, doc: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", doc, labels, registry=None)

        self._calls = counter("calls", "Calls by operation and status.", "operation", "status")
        self._errors = counter(
            "errors", "Calls that were refused or failed (status 400 and more).",
            "operation", "status",
        )  # fmt: skip
        self._received = counter("received_bytes", "Bytes of bodies that came in.")
        self._sent = counter("sent_bytes", "Bytes of answers that went out.")
        self._chunks = counter("chunks", "Pieces of bodies, in and out.", "direction")
        self._rows = counter("rows", "Rows written, by stream.", "stream")
        self._seconds = Histogram(
            f"{PREFIX}_call_seconds", "How long a call took.", ("operation",),
            buckets=_BUCKETS, registry=None,
        )  # fmt: skip

    def register(self, registry: CollectorRegistry) -> None:
        """Put all of it into an exposition."""
        for one in (self._calls, self._errors, self._received, self._sent, self._chunks,
                    self._rows, self._seconds):  # fmt: skip
            registry.register(one)

    def called(self, operation: str, status: int, took_s: float) -> None:
        """A call has ended."""
        self._calls.labels(operation, str(status)).inc()
        self._seconds.labels(operation).observe(took_s)
        if status >= 400:
            self._errors.labels(operation, str(status)).inc()

    def received(self, size: int) -> None:
        """A piece came in."""
        self._received.inc(size)
        self._chunks.labels("received").inc()

    def sent(self, size: int) -> None:
        """A piece goes out."""
        self._sent.inc(size)
        self._chunks.labels("sent").inc()

    def wrote(self, stream: str, rows: int = 1) -> None:
        """Rows are in the spool."""
        self._rows.labels(stream).inc(rows)


#: This process's.
METER = Meter()
