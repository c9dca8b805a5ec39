"""Texts and the windows that they are read in."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.quantize.reading import pieces
from stillhouse.quantize.texts import read_text, windows


def test_json_lines_give_their_texts_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"q": "How?", "n": 3, "a": "So."}\n\n"Alone."\n[1]\n')
    assert read_text(path) == "How?\nSo.\nAlone."


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("a.txt", b"ab\xff", "a.txt is not UTF-8 at byte 2"),
        ("a.txt", b" \n", "a.txt holds no text"),
        ("a.jsonl", b'{"a": "x"}\n{', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", b'{"a": 1}\n', "a.jsonl holds no text"),
    ],
)
def test_what_is_no_text_is_refused_in_a_line(
    tmp_path: Path, name: str, raw: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(UsageError, match=message):
        read_text(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.txt cannot be read"):
        read_text(tmp_path / "none.txt")


def test_windows_are_whole_and_begin_with_bos_where_a_model_does() -> None:
    plain, marked = (windows(range(10), size=4, bos_id=bos) for bos in (None, 99))
    assert [list(ids) for ids in plain] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [list(ids) for ids in marked] == [[99, 1, 2, 3], [99, 5, 6, 7]]
    with pytest.raises(UsageError, match="the text has 3 tokens, and a window takes 4"):
        windows(range(3), size=4)


@pytest.mark.parametrize("window", [8, 512, 2000])
def test_pieces_cover_a_window_but_its_last_token_once(window: int) -> None:
    found = pieces(window, window // 2)
    assert [n for p in found for n in range(p.first, p.last)] == list(range(window - 1))
    scored = [n for p in found if p.is_scored for n in range(p.first, p.last)]
    assert scored == list(range(window // 2, window - 1))
    assert all(p.last - p.first <= (128 if p.is_scored else 512) for p in found)
