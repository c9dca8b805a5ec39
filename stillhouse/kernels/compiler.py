"""Compiling kernels for the processor at hand, once: cached on disk, shown while it happens.

Every kernel has the same signature, ``(arguments: address, thread, threads)``, and is compiled by
itself to a plain function pointer; a step of the model is a list of those (see ``team``). numba's
cache watches the file a kernel stands in, but not what that file imports: so the cache folder is
named by a hash of all of ``kernels/``, beside numba's own key (signature, processor, instruction
set, constants).
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
from numba import cfunc, types

from stillhouse import paths

NJIT_OPTIONS = {"nogil": True, "error_model": "numpy"}
"""Every kernel releases the interpreter lock, and divides without checks."""

KERNEL_SIGNATURE = types.void(types.int64, types.int64, types.int64)


def sources_hash() -> str:
    """A hash of every source file in this package."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def prepare_cache() -> Path:
    """Tell numba where compiled kernels go; returns the folder. STILLHOUSE_HOME moves it."""
    folder = paths.home() / "kernels" / sources_hash()
    folder.mkdir(parents=True, exist_ok=True)
    numba.config.CACHE_DIR = str(folder)
    return folder


def compile_cached(function: Any, *arguments: Any) -> None:
    """Compile a jitted function for arguments of these types, unless the cache on disk has it.

    Functions are not defined with caching on: numba would settle on a folder as they are imported,
    beside their own file, and that alone would be watched.
    """
    prepare_cache()
    function.enable_caching()
    with _uncollected():
        function.compile(arguments)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without searches for garbage: numba makes millions of objects that live until a kernel is
    done, and each search goes through all of them. It saves a tenth to a fifth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class KernelCompiler:
    """Compiles kernels by name, each once, and knows their addresses.

    ``on_compile(name, seconds)`` is called after each kernel that was not in the cache on disk.
    """

    def __init__(self, on_compile: Callable[[str, float], None] | None = None) -> None:
        prepare_cache()
        self._on_compile = on_compile
        self._compiled: dict[str, Any] = {}

    def address(self, name: str, make: Callable[[], Any]) -> int:
        """The function pointer of the kernel ``name``; ``make`` gives its Python function."""
        if name not in self._compiled:
            start_s = time.perf_counter()
            with _uncollected():
                compiling = cfunc(KERNEL_SIGNATURE, nopython=True, cache=True, error_model="numpy")
                kernel = compiling(make())
            self._compiled[name] = kernel
            if self._on_compile is not None and kernel.cache_hits == 0:
                self._on_compile(name, time.perf_counter() - start_s)
        return int(self._compiled[name].address)
