"""Requests made from our own OpenAPI document: none of them may be a 5xx."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from tests.server.conftest import Served

_PROGRAM = """
import sys
import schemathesis
from schemathesis.cli import schemathesis as main
sys.exit(main())
"""


def test_the_document_names_every_route_and_its_fields(server: Served) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/models", "/api/chat", "/api/tags"):
        assert path in document["paths"]
    fields = document["components"]["schemas"]["ChatRequest"]["properties"]
    assert {"messages", "max_tokens", "response_format", "tools", "stop", "n"} <= fields.keys()


def test_schemathesis_finds_no_5xx(server: Served, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PROGRAM, "run", f"{server.url}/openapi.json"]
    options = ["--checks", "not_a_server_error", "--max-examples", "4", "--seed", "1"]
    limits = ["--phases", "fuzzing", "--request-timeout", "30"]
    told = subprocess.run(
        [*command, *options, *limits, "--exclude-path", "/api/pull"],
        cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-2000:]
    assert httpx.get(f"{server.url}/health").status_code == 200
