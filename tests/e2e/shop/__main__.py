"""Serve until the standard input ends."""

import importlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from shop import prices

ORIGINALS = {f: f.__code__ for f in (prices.price, prices.shipping)}


def answer(path, query):
    if path == "/price":
        basket = prices.Basket([int(n) for n in query["n"][0].split(",")], {"name": "ada"})
        total = prices.price(basket)
        return {"price": total + prices.shipping(total, query.get("to", ["de"])[0])}
    if path == "/later":
        return {"stamp": importlib.import_module("shop.later").stamp(int(query["n"][0]))}
    if path == "/pristine":
        return {"pristine": all(f.__code__ is code for f, code in ORIGINALS.items())}
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        found = answer(url.path, parse_qs(url.query))
        body = json.dumps(found).encode()
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
