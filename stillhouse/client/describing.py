"""What answers at a URL, by what servers say of themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from stillhouse.errors import UsageError

Get = Callable[[str], Awaitable[dict[str, Any] | None]]
"""The JSON object at a path of the server, from its root; None for a refusal, or for no object."""

# Who owns a model, by the word of the server, and where that server names its version.
_OWNERS = {
    "stillhouse": ("stillhouse", "/api/version"),
    "llamacpp": ("llama.cpp", "/props"),
    "vllm": ("vllm", "/version"),
    "sglang": ("sglang", "/server_info"),
}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself."""

    engine: str  # "stillhouse", "llama.cpp", "vllm", "sglang", "ollama", or "unknown"
    version: str | None
    models: tuple[str, ...]
    model: str  # the chosen one
    context_tokens: int | None  # of prompt and reply together; None: it does not say


async def describe(get: Get, url: str, model: str | None) -> ServerFacts:
    """Of the server whose root is `url`; `model` None chooses the first that it serves.

    Raises UsageError if there is none, or if it lists others but not that one.
    """
    listed = await get("/v1/models")
    data = (listed or {}).get("data")
    entries = [
        entry
        for entry in (data if isinstance(data, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    ]
    names = tuple(entry["id"] for entry in entries)
    if not names and model is None:
        raise UsageError(
            f"{url} lists no models under /v1/models",
            hint="name one if it has OpenAI's API without that list",
        )
    chosen, entry = model or "", {}
    if names:
        chosen = names[0] if model is None else _served(model, names, url)
        entry = entries[names.index(chosen)]
    engine, version_path = _OWNERS.get(str(entry.get("owned_by")), ("unknown", "/api/version"))
    told = await get(version_path) or {}
    if engine == "sglang" and not told:
        told = await get("/get_server_info") or {}  # before 2026
    version = told.get("build_info" if engine == "llama.cpp" else "version")
    if engine == "unknown" and version is not None:
        engine = "ollama"  # whose models have any owner; others know no /api/version
    context = _context(entry, told)
    if engine == "ollama":
        context = _ollama_context(await get("/api/ps") or {}, chosen)
    return ServerFacts(engine, None if version is None else str(version), names, chosen, context)


def _served(model: str, names: tuple[str, ...], url: str) -> str:
    for name in (model, f"{model}:latest", model.removesuffix(":latest")):
        if name in names:
            return name
    raise UsageError(
        f"the model '{model[:200]}' is not served at {url}", hint="served: " + ", ".join(names)
    )


def _context(entry: dict[str, Any], told: dict[str, Any]) -> int | None:
    """vLLM's and SGLang's name; ours, once the model is loaded; llama.cpp's, of one slot."""
    ours = entry.get("stillhouse")
    slot = told.get("default_generation_settings")
    for part, name in ((entry, "max_model_len"), (ours, "context_tokens"), (slot, "n_ctx")):
        if isinstance(part, dict) and isinstance(part.get(name), int):
            return int(part[name])
    return None


def _ollama_context(told: dict[str, Any], model: str) -> int | None:
    """Of a loaded model; Ollama says none of others."""
    loaded = told.get("models")
    for entry in loaded if isinstance(loaded, list) else []:
        if isinstance(entry, dict) and entry.get("name") == model:
            context = entry.get("context_length")
            return context if isinstance(context, int) else None
    return None
