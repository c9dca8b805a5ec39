"""What every page of one file keeps to, whatever it shows."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from stillhouse.pages.assembly import assembled

HOSTILE = "</script><b>{{script}}"


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    (tmp_path / "body.html").write_text('<p id="place">{{title}}</p>\n')
    (tmp_path / "own.css").write_text("p { color: red; }\n")
    (tmp_path / "own.js").write_text('at("place").textContent = "{{data}}";\n')
    return tmp_path


def page_of(assets: Path, document: dict[str, Any], title: str = "A title") -> str:
    return assembled(
        document, assets, title=title, body="body.html", style="own.css", scripts=["own.js"]
    )


def between(text: str, start: str, end: str) -> str:
    return text.split(start, 1)[1].split(end, 1)[0]


def test_the_policy_names_exactly_the_script_and_the_style_that_are_there(assets: Path) -> None:
    text = page_of(assets, {})
    policy = between(text, 'Content-Security-Policy" content="', '"')
    for kind, held in (
        ("script-src", between(text, "<script>", "</script>")),
        ("style-src", between(text, "<style>", "</style>")),
    ):
        digest = base64.b64encode(hashlib.sha256(held.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "p { color: red; }" in text


def test_a_document_comes_out_as_it_went_in_and_cannot_end_its_element(assets: Path) -> None:
    text = page_of(assets, {"name": HOSTILE}, title=HOSTILE)
    held = between(text, '<script type="application/json" id="document">', "</script>")
    assert json.loads(held) == {"name": HOSTILE}
    assert "<title>&lt;/script&gt;&lt;b&gt;{{script}}</title>" in text
    assert text.count("</script>") == 2


def test_only_the_frames_places_are_filled(assets: Path) -> None:
    text = page_of(assets, {})
    assert '<p id="place">{{title}}</p>' in text
    assert 'textContent = "{{data}}"' in text
    assert len(re.findall(r"\{\{\w+\}\}", text)) == 2
