"""A file while it arrives: what is kept, what is checked, what a full disk does."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from stillhouse.errors import DownloadError, NotEnoughSpace
from stillhouse.hub.partial import PartialFile

CONTENT = bytes(range(256)) * 40


def test_a_whole_file_is_renamed_and_leaves_nothing_else(tmp_path: Path) -> None:
    with PartialFile(tmp_path / "x.gguf") as partial:
        partial.resume()
        partial.write(CONTENT)
        digest = partial.finish(size_bytes=len(CONTENT), sha256=None)
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == ["x.gguf"]


def test_a_second_run_goes_on_and_hashes_the_whole(tmp_path: Path) -> None:
    with PartialFile(tmp_path / "x.gguf") as partial:
        partial.resume()
        partial.write(CONTENT[:1000])
        partial.save_mark(etag='"v1"')
    with PartialFile(tmp_path / "x.gguf") as partial:
        assert partial.mark == {"etag": '"v1"'}
        partial.resume()
        assert partial.size_bytes == 1000
        partial.write(CONTENT[1000:])
        partial.finish(size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    assert (tmp_path / "x.gguf").read_bytes() == CONTENT


def test_what_follows_the_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "x.gguf.part").write_bytes(CONTENT[:1000] + b"half a part")
    with PartialFile(tmp_path / "x.gguf") as partial:
        partial.resume(1000)
        partial.write(CONTENT[1000:])
        partial.finish(size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("mark", ["", "{", "[]"])
def test_a_damaged_mark_is_no_mark(tmp_path: Path, mark: str) -> None:
    (tmp_path / "x.gguf.part.json").write_text(mark)
    with PartialFile(tmp_path / "x.gguf") as partial:
        assert partial.mark == {}


@pytest.mark.parametrize(("size_bytes", "sha256"), [(3, None), (None, "ab" * 32)])
def test_a_wrong_file_is_deleted(
    tmp_path: Path, size_bytes: int | None, sha256: str | None
) -> None:
    with PartialFile(tmp_path / "x.gguf") as partial:
        partial.resume()
        partial.write(CONTENT)
        with pytest.raises(DownloadError):
            partial.finish(size_bytes=size_bytes, sha256=sha256)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullAfter:
        """A file that takes 4096 bytes, a thousand at a time."""

        def __init__(self) -> None:
            self.taken = 0

        def write(self, data: memoryview) -> int:
            if self.taken >= 4096:
                raise OSError(errno.ENOSPC, "No space left on device")
            count = min(1000, len(data), 4096 - self.taken)
            self.taken += count
            return count

        def close(self) -> None: ...

    with PartialFile(tmp_path / "x.gguf") as partial:
        partial.resume()
        partial._file.close()
        monkeypatch.setattr(partial, "_file", FullAfter())
        partial.write(CONTENT[:4096])
        with pytest.raises(NotEnoughSpace, match=r"full after 4\.10 kB"):
            partial.write(CONTENT[4096:])
