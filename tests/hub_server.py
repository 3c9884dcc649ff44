"""A local hub: the part of the Hugging Face hub's API that fetching takes, with faults as a test wants."""

import contextlib
import hashlib
import http.server
import json
import urllib.parse

from local_server import served

COMMIT, LATER = "a" * 40, "b" * 40
_ERRORS = {"RepoNotFound": 401, "RevisionNotFound": 404, "EntryNotFound": 404, "GatedRepo": 403}


def oid(data):
    return hashlib.sha256(data).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        server, url = self.server, urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        server.requests.append((self.command, path, self.headers.get("Range")))
        server.tokens.append((path, self.headers.get("Authorization")))
        if server.statuses:
            status = server.statuses.pop(0)
            if status is not None:
                return self._send(status, b"{}")
        if path.startswith("/cdn/"):
            return self._send_blob(path.removeprefix("/cdn/"))
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            return self._send_api(parts[1:])
        return self._resolve("/".join(parts[:2]), parts[2:])

    def _send_api(self, parts):
        kind, repository = parts[0], "/".join(parts[1:3])
        if kind != "models":
            known = repository in self.server.others.get(kind, ())
            return self._send(200, json.dumps({"id": repository}).encode()) if known else self._refuse()
        refused, commit = self._look(repository, "/".join(parts[4:]) or "main")
        if refused:
            return self._refuse(refused)
        files = self.server.repositories[repository][commit]
        siblings = [
            {"rfilename": name, "size": self.server.sizes.get(name, len(data)), "blobId": "0" * 40}
            | ({"lfs": {"sha256": oid(data), "size": len(data), "pointerSize": 1}} if is_large(name) else {})
            for name, data in files.items()
        ]
        answer = {"id": repository, "sha": commit, "siblings": siblings} | self.server.answer
        return self._send(200, json.dumps(answer).encode())

    def _look(self, repository, revision):
        """(what is refused or None, the commit that a revision names)."""
        server = self.server
        if repository in server.gated and self.headers.get("Authorization") != f"Bearer {server.token}":
            return "GatedRepo", None
        if repository not in server.repositories:
            return "RepoNotFound", None
        commit = server.branches.get(revision, revision)
        if commit not in server.repositories[repository]:
            return "RevisionNotFound", None
        return None, commit

    def _resolve(self, repository, parts):
        refused, commit = self._look(repository, parts[1])
        name = "/".join(parts[2:])
        if refused or name not in self.server.repositories[repository][commit]:
            return self._refuse(refused or "EntryNotFound")
        data = self.server.repositories[repository][commit][name]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{oid(data)}"'}
        if not is_large(name):
            return self._send(200, data, headers)
        self.server.blobs[oid(data)] = data
        headers |= {"X-Linked-Etag": f'"{oid(data)}"', "X-Linked-Size": str(len(data))}
        headers["Location"] = f"{self.server.cdn}/cdn/{oid(data)}"
        return self._send(302, b"", headers)

    def _send_blob(self, name):
        data = self.server.blobs[name]
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if asked else {}
        cut = self.server.cuts.pop(0) if self.server.cuts else None
        self._send(206 if asked else 200, self.server.changed.get(name, data)[start:], headers, cut)

    def _refuse(self, code="RepoNotFound"):
        self._send(_ERRORS[code], b'{"error": "no"}', {"X-Error-Code": code})

    def _send(self, status, body, headers=(), cut=None):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


def is_large(name):
    """Whether a hub keeps it with Git LFS, and sends it from elsewhere."""
    return name.endswith((".safetensors", ".bin", ".h5", ".model"))


@contextlib.contextmanager
def serve_hub(repositories):
    """Serves {repository: {commit: {file: bytes}}}; `main` is `COMMIT`.

    What a test changes: `branches`, `gated` repositories and the `token` that opens them, `others` ({datasets
    or spaces: names}), `statuses` of the next requests, `cuts` of the next large files (bytes after which the
    connection ends), `changed` (content sent instead of a blob's), `sizes` told, more of an `answer`. What it
    reads: `requests` (method, path, Range) and `tokens` (path, Authorization).
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.repositories, server.branches = repositories, {"main": COMMIT}
    server.gated, server.token, server.others = (), "hf_right", {}
    server.statuses, server.cuts, server.changed, server.blobs = [], [], {}, {}
    server.sizes, server.answer, server.requests, server.tokens = {}, {}, [], []
    server.cdn = f"http://localhost:{server.server_port}"  # another host, which no token is sent to
    with served(server):
        yield server
