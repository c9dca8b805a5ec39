"""This machine is detected and measured, quickly, and what is assumed is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse.accelerators import Accelerator
from stillhouse.hardware import this_machine
from stillhouse.planner import here


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))
    return tmp_path


def test_this_machine_has_a_bandwidth_and_its_free_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = replace(this_machine(), available_memory_bytes=12_345_678_901)
    monkeypatch.setattr(here, "this_machine", lambda: machine)
    target = here.this_target()
    assert 1e9 < target.read_bytes_per_s < 2e12
    assert target.is_measured
    assert target.engine == "stillhouse"
    assert target.memory_bytes == 12_345_678_901
    assert here.this_target(ram_bytes=10**10).memory_bytes == 10**10


def test_products_are_assumed_until_they_were_measured_here() -> None:
    machine = this_machine()
    assumed = here.this_target()
    assert any("assumed" in note for note in assumed.notes)
    here.save_operations_per_s(machine, 123e9)
    measured = here.this_target()
    assert measured.operations_per_s == 123e9
    assert any("measured by 'still doctor'" in note for note in measured.notes)
    here.save_operations_per_s(replace(machine, cpu="another processor"), 7e9)
    assert here.this_target().operations_per_s == assumed.operations_per_s


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cpu": 1}', '{"cpu": "x", "cores": "y"}'])
def test_a_broken_note_is_as_good_as_none(home: Path, text: str) -> None:
    (home / "measured.json").write_text(text)
    assert any("assumed" in note for note in here.this_target().notes)


def test_accelerators_are_found_in_the_catalogue_by_the_names_of_their_tools() -> None:
    for name, mib, count, wanted in (
        ("NVIDIA GeForce RTX 4090", 24564, 1, "RTX 4090"),
        ("NVIDIA GeForce RTX 3090", 24576, 2, "RTX 3090"),
        ("NVIDIA H100 80GB HBM3", 81559, 1, "H100"),
        ("Radeon RX 7900 XTX", 24560, 1, "RX 7900 XTX"),
    ):
        system = here.known_system(Accelerator(name, mib * (1 << 20)), count)
        assert system is not None, name
        assert system.device.name.startswith(wanted)
        assert system.count == count
        assert system.memory_bytes == mib * (1 << 20)
    apple = here.known_system(Accelerator("Apple M4 Max", 48 << 30), 1)
    assert apple is not None
    assert apple.device.name == "M4 Max 16-core"
    assert here.known_system(Accelerator("Some Card 9000", None), 1) is None
