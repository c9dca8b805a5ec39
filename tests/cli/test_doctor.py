"""`still doctor`: every format is listed, and what is measured is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stillhouse.cli import doctor as module
from stillhouse.cli.doctor import doctor
from stillhouse.cli.document import print_document
from stillhouse.cli.json_names import DOCUMENTS
from stillhouse.encodings import ENCODINGS
from stillhouse.kernels.table import FOLDER_SCHEMES


@pytest.fixture(autouse=True)
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "stillhouse.kernels.bandwidth.measure_read_bytes_per_s", lambda threads: threads * 1e10
    )
    monkeypatch.setattr(
        "stillhouse.kernels.peak.measure_operations_per_s", lambda threads, _numbers: threads * 4e11
    )


def test_the_report_names_bandwidth_and_every_format(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "accelerators", lambda _machine: [])
    doctor(threads=2)
    text = capsys.readouterr().out
    assert "20.0 GB/s read with 2 threads" in text
    assert "none found" in text
    assert "800 GOP/s of int8" in text
    assert {encoding.name for encoding in ENCODINGS} <= set(text.split())


def test_json_has_every_documented_name(capsys: pytest.CaptureFixture[str]) -> None:
    doctor(threads=1, json=True)
    document = json.loads(capsys.readouterr().out)
    assert document.keys() >= DOCUMENTS["doctor"].keys()
    assert document["read_bandwidth_bytes_per_s"] == 1e10
    assert document["machine"]["logical_cores"] >= 1
    formats = {encoding.name for encoding in ENCODINGS}
    assert document["kernels"].keys() == formats | FOLDER_SCHEMES.keys()


def test_a_document_refuses_a_name_that_the_reference_does_not_have() -> None:
    with pytest.raises(AssertionError):
        print_document("doctor", isa_levle="portable")
