"""A web server on this machine that speaks as much of the hub's protocol as its real client needs.

It serves ``GET /api/models/REPO`` and ``/api/datasets/REPO`` (the listings), ``HEAD`` and ranged
``GET`` of ``/REPO/resolve/REVISION/FILE`` (of a data set ``/datasets/REPO/...``), and can be told
to be gated, to break off, to be slow and to lie.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer:
    """``files`` maps repository (a data set's as ``datasets/OWNER/NAME``) and path to bytes;
    ``requests`` collects method, path and Range.
    """

    def __init__(self, files: dict[str, dict[str, bytes]]) -> None:
        self.files = files
        self.gated: set[str] = set()
        self.tokens: set[str] = set()
        self.break_after_bytes: int | None = None  # once, in the middle of the next file
        self.pause_s = 0.0  # between the pieces of a file
        self.claimed_sha256: str | None = None
        self.requests: list[tuple[str, str, str | None]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be the hub for this process, whose client read HF_ENDPOINT when it was imported."""
        from huggingface_hub import constants

        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, self.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", self.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)

    def downloads(self) -> list[tuple[str, str | None]]:
        """Which files were asked for with GET, and from where on."""
        return [
            (path.rpartition("/")[2], span)
            for method, path, span in self.requests
            if method == "GET" and "/resolve/" in path
        ]


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            hub.requests.append((self.command, self.path, self.headers["Range"]))
            token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
            path = self.path.partition("?")[0].lstrip("/")
            if match := re.fullmatch(
                r"api/(?:models/|(?=datasets/))((?:datasets/)?[^/]+/[^/]+)(?:/revision/[^/]+)?",
                path,
            ):
                self._list(match[1])
            elif match := re.fullmatch(r"((?:datasets/)?[^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
                repo, name = match.groups()
                if repo in hub.gated and token not in hub.tokens:
                    self._refuse(403, "GatedRepo")
                elif name not in hub.files.get(repo, {}):
                    self._refuse(404, "EntryNotFound")
                else:
                    self._send_file(hub.files[repo][name])
            else:
                self._refuse(404, "RepoNotFound")

        def _list(self, repo: str) -> None:
            if repo not in hub.files:
                self._refuse(401, "RepoNotFound")
                return
            siblings = [
                {
                    "rfilename": name,
                    "size": len(content),
                    "blobId": "0" * 40,
                    "lfs": {
                        "sha256": _sha256(hub, content),
                        "size": len(content),
                        "pointerSize": 1,
                    },
                }
                for name, content in hub.files[repo].items()
            ]
            body = json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _send_file(self, content: bytes) -> None:
            first = 0
            etag = f'"{_sha256(hub, content)}"'
            span = self.headers["Range"]
            if span and self.headers["If-Range"] in (None, etag):
                first = int(span.removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if first else 200)
            if first:
                self.send_header(
                    "Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("Content-Length", str(len(content) - first))
            self.send_header("ETag", etag)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Linked-Etag", etag)
            self.end_headers()
            if self.command == "HEAD":
                return
            stop, hub.break_after_bytes = hub.break_after_bytes, None
            for start in range(first, len(content), 1 << 16):
                if stop is not None and start >= stop:
                    self.close_connection = True
                    return
                try:
                    self.wfile.write(content[start : start + (1 << 16)])
                except ConnectionError:  # the client was killed
                    self.close_connection = True
                    return
                time.sleep(hub.pause_s)

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


def _sha256(hub: HubServer, content: bytes) -> str:
    return hub.claimed_sha256 or hashlib.sha256(content).hexdigest()
