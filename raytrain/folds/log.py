"""A fold's log: what happened to it, over all its attempts."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes

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


class LogHandler(logging.Handler):
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
