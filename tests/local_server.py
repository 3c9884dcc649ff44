"""A server on this machine while a test lasts."""

import contextlib
import threading


@contextlib.contextmanager
def served(server):
    """Has a server of http.server answer in a thread, and ends it."""
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
