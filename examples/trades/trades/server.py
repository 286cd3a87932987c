"""HTTP in front of the desk: `POST /orders` and `GET /health`, on the loopback interface only."""

from __future__ import annotations

import json
import re
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any

from trades.desk import Desk
from trades.orders import BadOrder

_LARGEST_BODY_BYTES = 64 * 1024
_LENGTH = re.compile(r"[0-9]{1,9}")


class Requests(BaseHTTPRequestHandler):
    """Reads the requests of one connection, one after the other (keep-alive)."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in one packet: two would wait for each other (Nagle, delayed ACK).
    wbufsize = -1
    # A client that goes silent does not keep its thread for ever.
    timeout = 30

    def __init__(self, desk: Desk, request: Any, client_address: Any, server: BaseServer) -> None:
        self._desk = desk
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        """Answer `/health`."""
        if self.path == "/health":
            self._answer(HTTPStatus.OK, self._desk.health())
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is GET /health and POST /orders")

    def do_POST(self) -> None:
        """Answer `/orders`."""
        body = self._body()
        if body is None:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "send a Content-Length up to 64 kB")
        elif self.path != "/orders":
            self._refuse(HTTPStatus.NOT_FOUND, "there is GET /health and POST /orders")
        else:
            self._take_order(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep no access log: the proxy in front of the desk has one."""

    def _take_order(self, body: bytes) -> None:
        try:
            answer = self._desk.take(body)
        except BadOrder as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        else:
            self._answer(HTTPStatus.OK, answer)

    def _body(self) -> bytes | None:
        """Read the request's body; None if its length is not given or too large."""
        length = self.headers.get("Content-Length", "")
        if not _LENGTH.fullmatch(length) or int(length) > _LARGEST_BODY_BYTES:
            return None
        return self.rfile.read(int(length))

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # an unread body would be taken for the next request
        self._answer(status, {"error": why})

    def _answer(self, status: HTTPStatus, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def make_server(desk: Desk, port: int = 0) -> ThreadingHTTPServer:
    """Listen on 127.0.0.1; port 0 takes any free one. Each connection gets a thread."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Requests, desk))
