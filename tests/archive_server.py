"""A local HTTP server whose files can be resumed, cut off, refused, or exchanged, as a test wants."""

import contextlib
import hashlib
import http.server

from local_server import served


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.requests.append((self.path, asked))
        failure = server.failures.pop(0) if server.failures else None
        data = server.files.get(self.path)
        if data is None:
            self.send_error(404)
        elif isinstance(failure, int):
            self.send_response(failure)
            self.send_header("Retry-After", "0")
            self.end_headers()
        else:
            self._send(data, asked, failure)

    def _send(self, data, asked, failure):
        tag = f'"{hashlib.sha256(data).hexdigest()}"' if self.server.tagged else None
        start = 0
        if asked and (self.server.ignores_if_range or self.headers.get("If-Range") == tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(data) > 0 and start:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if tag:
            self.send_header("ETag", tag)
        whole = data[start:][: self.server.most_at_once if start else None]
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        self.wfile.write(whole if failure is None else whole[: max(1, int(len(whole) * failure))])


@contextlib.contextmanager
def serve(files, failures=(), tagged=True):
    """Serves {path: bytes}.

    `failures` holds one entry for each request to come: a status code, the share of the body after which
    the connection is cut, or None. The server's attribute `requests` lists (path, Range) as asked.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.failures, server.tagged, server.requests = dict(files), list(failures), tagged, []
    server.ignores_if_range, server.most_at_once = False, None
    with served(server):
        yield server
