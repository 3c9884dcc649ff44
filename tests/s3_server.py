"""A local S3 server in a process of its own, behind a proxy that plays its outages."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from unittest import mock

from pyarrow import fs as pafs

from raytrain.storage.directory import Directory

# Ends with the process that started it: nobody else holds the other end of its standard input.
_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""

_REQUEST = re.compile(rb"(?:GET|HEAD|PUT|POST|DELETE) \S+ HTTP/1.1\r\n")


class Proxy:
    """Passes connections on to a port of this machine, or resets them, or answers in its place.

    Attributes:
        url: Where it listens.
        is_on: Whether it passes connections on.
    """

    def __init__(self, port: int):
        self._port = port
        self._changed = threading.Condition()
        self.is_on, self._answer, self._refused, self._bytes_left = True, b"", 0, None
        self._requests = 0
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def switch_off(self, answer: bytes = b"") -> None:
        """Resets every connection, and every new one; with `answer`, new requests get that instead."""
        with self._changed:
            self.is_on, self._answer, self._refused, self._bytes_left = False, answer, 0, None
            for connection in self._sockets:
                _reset(connection)
            self._sockets.clear()

    def switch_off_after(self, num_bytes: int) -> None:
        """Switches itself off once so many bytes have been sent to the server."""
        with self._changed:
            self._refused, self._bytes_left = 0, num_bytes

    def switch_on(self) -> None:
        with self._changed:
            self.is_on = True

    def wait_for_refusals(self, number: int, seconds: float = 240) -> None:
        """Returns when so many connections have been refused since it was switched off."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._refused >= number, seconds), "nobody knocked"

    @contextlib.contextmanager
    def outage(self, refusals: int, answer: bytes = b"") -> Iterator[None]:
        """Off, and on again by itself once so many connections have been refused."""
        self.switch_off(answer)
        with self.on_again_after(refusals):
            yield

    @contextlib.contextmanager
    def on_again_after(self, refusals: int) -> Iterator[None]:
        """Switches on once so many connections have been refused; the block must have seen to that."""
        errors: list[BaseException] = []

        def wait() -> None:
            try:
                self.wait_for_refusals(refusals)
            except BaseException as error:
                errors.append(error)
            self.switch_on()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        try:
            yield
        finally:
            thread.join(timeout=5)
            self.switch_on()
        assert not thread.is_alive() and not errors, f"fewer than {refusals} connections were refused"

    def count_requests(self, action: Callable[[], object]) -> int:
        """How many requests an action makes."""
        before = self._requests
        action()
        return self._requests - before

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.switch_off()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                if self.is_on:
                    server = socket.create_connection(("127.0.0.1", self._port))
                    self._sockets |= {client, server}
                    self._start(self._pass_on, client, server, True)
                    self._start(self._pass_on, server, client, False)
                    continue
                self._refused += 1
                self._changed.notify_all()
                if self._answer:
                    self._start(_answer_once, client, self._answer)
                else:
                    _reset(client)

    def _start(self, function, *arguments) -> None:
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_request:
                    self._requests += bool(_REQUEST.match(data))
                    if self._is_spent(len(data)):
                        self.switch_off()
                        return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _is_spent(self, num_bytes: int) -> bool:
        with self._changed:
            if self._bytes_left is None:
                return False
            self._bytes_left -= num_bytes
            return self._bytes_left < 0


def _reset(connection: socket.socket) -> None:
    """Closes so that the other side sees a reset, and a thread that reads from it wakes up."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.shutdown(socket.SHUT_RD)
    connection.close()


def _answer_once(client: socket.socket, answer: bytes) -> None:
    with client, contextlib.suppress(OSError):
        client.recv(1 << 16)
        client.sendall(answer)


class S3Server:
    """The server and the proxy before it.

    Attributes:
        proxy: What jobs are told to use.
    """

    def __init__(self, port: int):
        self._url = f"http://127.0.0.1:{port}"
        self.proxy = Proxy(port)

    def environment(self) -> dict[str, str]:
        """This process's environment, with what a client of the server needs and nothing else of AWS's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | {
            "AWS_ENDPOINT_URL": self.proxy.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def open(self, location: str, is_direct: bool = False) -> Directory:
        """A directory on the server, through the proxy or past it; the process must have `environment`."""
        endpoint = self._url if is_direct else self.proxy.url
        with mock.patch.dict(os.environ, AWS_ENDPOINT_URL=endpoint):
            return Directory(location)

    def make_bucket(self, name: str) -> None:
        pafs.S3FileSystem(
            access_key="testing",
            secret_key="testing",
            region="us-east-1",
            endpoint_override=self._url,
            allow_bucket_creation=True,
        ).create_dir(name)


@contextlib.contextmanager
def serve_s3() -> Iterator[S3Server]:
    command = [sys.executable, "-c", _SERVER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            server = S3Server(int(process.stdout.readline()))
            try:
                yield server
            finally:
                server.proxy.close()
        finally:
            process.kill()
