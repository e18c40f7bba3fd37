"""A package index on this machine, that can be told to misbehave."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Index(ThreadingHTTPServer):
    """Serves one project; keeps what was asked.

    cut: bytes of the file after which each of the next `cuts` answers ends; ranges: whether a
    request for a part is honoured; hang: wait instead of closing the connection.
    """

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.headers = files, [], []
        self.cut, self.cuts, self.ranges, self.hang, self.html = 0, 0, True, False, False
        self.elsewhere = ""
        self.never = threading.Event()
        self.half = threading.Event()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def downloads(self):
        return [asked for path, asked in self.asked if path.startswith("/files/")]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        index = self.server
        index.asked.append((self.path, self.headers.get("Range")))
        index.headers.append((self.path, self.headers.get("Authorization")))
        if self.path == "/simple/toy-wheel/":
            self.page()
        elif self.path.removeprefix("/files/") in index.files:
            self.file(index.files[self.path.removeprefix("/files/")])
        else:
            self.send_error(404)

    def page(self):
        base = self.server.elsewhere or ".."
        base = f"{base}/files" if self.server.elsewhere else "../../files"
        if self.server.html:
            links = [f'<a href="{base}/{name}#sha256=0">{name}</a>' for name in self.server.files]
            self.say("text/html", f"<!DOCTYPE html><body>{''.join(links)}</body>".encode())
        else:
            files = [{"filename": name, "url": f"{base}/{name}"} for name in self.server.files]
            self.say("application/vnd.pypi.simple.v1+json", json.dumps({"files": files}).encode())

    def say(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def file(self, body):
        index, asked = self.server, self.headers.get("Range")
        start = int(asked[6:-1]) if asked and index.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if index.cuts:
            index.cuts -= 1
            self.wfile.write(body[start : start + index.cut])
            self.wfile.flush()
            index.half.set()
            if index.hang:
                index.never.wait(20)
            self.close_connection = True
        else:
            self.wfile.write(body[start:])

    def log_message(self, *_):
        pass


@contextmanager
def serving(files):
    with Index(files) as index:
        thread = threading.Thread(target=index.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield index
        finally:
            index.never.set()
            index.shutdown()
            thread.join()
