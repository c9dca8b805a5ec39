"""Kernels are compiled once a machine, in a folder that follows their sources."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from stillhouse.kernels import compiler as compiler_module
from stillhouse.kernels.compiler import KernelCompiler, prepare_cache, sources_hash

# Everything that is compiled otherwise than as a kernel, too: the team's walk, and packing.
SCRIPT = """
import json, sys
import numpy as np
from stillhouse import encodings
from stillhouse.kernels import packing
from stillhouse.kernels.bandwidth import make_read
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Prefetch
from stillhouse.kernels.team import Team

compiled = []
compiler = KernelCompiler(lambda name, seconds: compiled.append(name))
compiler.address("read", lambda: make_read(Prefetch(0, 0)))
Team(2).close()
q8_0 = encodings.by_name("Q8_0")
packed = np.zeros(packing.layout_for(q8_0).packed_bytes(16, 32), np.uint8)
packing.pack_panels(q8_0, np.zeros((16, 34), np.uint8), 32, packed, 0, 1)
print(json.dumps(compiled))
"""


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    def run() -> tuple[list[str], dict[Path, int]]:
        """What was compiled, and the files of the cache with their times."""
        environment = os.environ | {"STILLHOUSE_HOME": str(tmp_path)}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        return json.loads(done.stdout), {path: path.stat().st_mtime_ns for path in files}

    compiled, files = run()
    assert compiled == ["read"]
    stems = {path.name.split("-")[0] for path in files}
    assert {"team._walk", "team._follow", "packing._pack"} <= stems
    again, files_again = run()
    assert again == []
    assert files_again == files


@pytest.mark.parametrize("is_enabled", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_garbage_is_collected_after_as_it_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_enabled: bool, fails: bool
) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))
    during = []

    def make() -> Callable[[int, int, int], None]:
        during.append(gc.isenabled())
        if fails:
            raise ValueError("no kernel")

        def kernel(arguments: int, thread: int, threads: int) -> None:
            pass

        return kernel

    if not is_enabled:
        gc.disable()
    try:
        with pytest.raises(ValueError, match="no kernel") if fails else nullcontext():
            KernelCompiler().address("nothing", make)
        assert (during, gc.isenabled()) == ([False], is_enabled)
    finally:
        gc.enable()


def test_a_change_in_any_source_changes_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "kernels"
    shutil.copytree(
        Path(compiler_module.__file__).parent, copy, ignore=shutil.ignore_patterns("__*__")
    )
    monkeypatch.setattr(compiler_module, "__file__", str(copy / "compiler.py"))
    seen = {sources_hash()}
    assert seen == {sources_hash()}
    for source in sorted(copy.glob("*.py")):
        source.write_text(source.read_text() + "# a word more\n")
        seen.add(sources_hash())
    assert len(seen) == 1 + len(list(copy.glob("*.py")))


def test_the_folder_lies_in_the_home_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))
    folder = prepare_cache()
    assert folder == tmp_path / "kernels" / sources_hash()
    assert folder.is_dir()
    monkeypatch.undo()
    prepare_cache()  # later kernels go where they went before


def test_a_kernel_is_made_once_for_its_name(compiler: KernelCompiler) -> None:
    made: list[int] = []

    def make() -> object:
        made.append(1)

        def nothing(args: int, thread: int, threads: int) -> None:
            pass

        return nothing

    assert compiler.address("test nothing", make) == compiler.address("test nothing", make)
    assert made == [1]
