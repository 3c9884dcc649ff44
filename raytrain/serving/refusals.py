"""What a client is told where it gets no answer: a status, one sentence, and when to come again."""

RETRY_SECONDS = 1  # after which a full queue may have room again


class RefusedError(Exception):
    """A request that gets no answer.

    Args:
        status: Of HTTP.
        told: What was expected and what was found.
        retry: Seconds after which it may be asked again; None where that would change nothing.
    """

    def __init__(self, status: int, told: str, retry: int | None = None):
        super().__init__(status, told, retry)
        self.status, self.told, self.retry = status, told, retry

    @property
    def headers(self) -> dict[str, str]:
        headers = {} if self.retry is None else {"Retry-After": str(self.retry)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def too_busy() -> RefusedError:
    """What is said where the queue is full."""
    return RefusedError(
        429, "expected room in the queue, found it full; try again in a moment", RETRY_SECONDS
    )
