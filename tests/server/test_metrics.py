"""The dashboard asks for nothing that is not exported."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx

from tests.server.conftest import Served

DASHBOARD = Path(__file__).parents[2] / "docs/grafana.json"


def test_every_metric_of_the_dashboard_is_exported(server: Served) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=30).raise_for_status()
    text = httpx.get(f"{server.url}/metrics").text
    declared = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        re.sub("_bucket$", "", name)
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"(?:vllm:|stillhouse_)\w+", target["expr"])
    }
    assert len(panels) == len({panel["title"] for panel in panels}) > 10
    assert asked <= declared
