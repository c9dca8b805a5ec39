"""Accelerators are those that their makers' tools list."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.accelerators import Accelerator, accelerators, read_amd, read_intel, read_nvidia
from stillhouse.hardware import this_machine

GIB = 1 << 30


def put_tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.skipif("sys.platform == 'win32'")
def test_only_tools_that_work_are_listened_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accelerators(this_machine()) == []
    put_tool(tmp_path, "nvidia-smi", "echo 'NVIDIA GeForce RTX 4090, 24564'")
    put_tool(tmp_path, "rocm-smi", "echo 'no driver'; exit 1")
    assert accelerators(this_machine()) == [
        Accelerator("NVIDIA GeForce RTX 4090", 24564 * (1 << 20))
    ]


def test_each_tools_table_is_read() -> None:
    two = "NVIDIA H100 80GB HBM3, 81559\nNVIDIA H100 80GB HBM3, 81559\n"
    assert [one.name for one in read_nvidia(two)] == ["NVIDIA H100 80GB HBM3"] * 2
    table = (
        "device,VRAM Total Memory (B),VRAM Total Used Memory (B),Card Series,Card Model\n"
        "card0,25753026560,311443456,Radeon RX 7900 XTX,0x744c\n"
    )
    assert read_amd(table) == [Accelerator("Radeon RX 7900 XTX", 25753026560)]
    listing = 'Device Name,Memory Physical Size\n"Intel(R) Arc(TM) A770 Graphics",16225.24 MiB\n'
    (card,) = read_intel(listing)
    assert card.name == "Intel(R) Arc(TM) A770 Graphics"
    assert card.memory_bytes is not None
    assert card.memory_bytes / GIB == pytest.approx(15.84, abs=0.01)


@pytest.mark.parametrize("text", ["", "\n", "a", ",", "a,b\n", "x,y\nz"])
def test_what_is_no_table_lists_nothing_or_a_name(text: str) -> None:
    for read in (read_nvidia, read_amd, read_intel):
        assert all(one.name for one in read(text))
