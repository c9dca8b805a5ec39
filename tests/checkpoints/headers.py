"""GGUF headers put together field by field, so that any field can be wrong."""

from __future__ import annotations

from struct import pack


def text(value: str | bytes) -> bytes:
    """A string as the file holds it: u64 length, then bytes."""
    raw = value.encode() if isinstance(value, str) else value
    return pack("<Q", len(raw)) + raw


def entry(key: str | bytes, kind: int, value: bytes) -> bytes:
    """A metadata entry: key, type number, the value's bytes."""
    return text(key) + pack("<I", kind) + value


def array(key: str, kind: int, count: int, items: bytes) -> bytes:
    """A metadata entry whose value is an array (type 9)."""
    return entry(key, 9, pack("<IQ", kind, count) + items)


def tensor(name: str | bytes, dims: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    """A line of the tensor table; ``dims`` fastest first, as in the file."""
    return text(name) + pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def gguf_file(
    entries: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    *,
    data: int = 0,
    magic: bytes = b"GGUF",
    version: int = 3,
    num_entries: int | None = None,
    num_tensors: int | None = None,
) -> bytes:
    """A file with ``data`` zero bytes after the header, which is padded to 32."""
    entries, tensors = entries or [], tensors or []
    num_entries = len(entries) if num_entries is None else num_entries
    num_tensors = len(tensors) if num_tensors is None else num_tensors
    header = magic + pack("<IQQ", version, num_tensors, num_entries)
    header += b"".join(entries) + b"".join(tensors)
    return header + bytes(-len(header) % 32) + bytes(data)
