"""Bodies that come in pieces: a sender who is slow, or gone, is not waited for."""

from __future__ import annotations

from tornado.ioloop import IOLoop

from lifelog_lake.server.api.operation import ApiHandler
from lifelog_lake.server.problem import Problem

#: Seconds in which at least something of a body has to come.
IDLE_S = 30.0


class PatientHandler(ApiHandler):
    """A route whose body is a file."""

    def initialize(self) -> None:
        """Called by tornado."""
        super().initialize()
        self._timer: object | None = None

    def wait_for_more(self) -> None:
        """A piece should come soon."""
        self.stop_waiting()
        self._timer = IOLoop.current().call_later(IDLE_S, self._too_slow)

    def stop_waiting(self) -> None:
        """One came, or none will."""
        if self._timer is not None:
            IOLoop.current().remove_timeout(self._timer)
            self._timer = None

    def _too_slow(self) -> None:
        if not self._headers_written:
            detail = f"Nothing came for {IDLE_S:.0f} s."
            self.send_problem(Problem(status=408, detail=detail, hint="Send it again."))
        self.cut()

    def on_connection_close(self) -> None:
        """The sender is gone."""
        super().on_connection_close()
        self.stop_waiting()

    def on_finish(self) -> None:
        """Answered."""
        self.stop_waiting()
        super().on_finish()
