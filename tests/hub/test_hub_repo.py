"""Pulling from the hub with its real client, from a server on this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from stillhouse import hub
from stillhouse.checkpoints import open_checkpoint
from stillhouse.errors import (
    AccessDenied,
    DownloadError,
    ModelNotFound,
    NotEnoughSpace,
    Offline,
    StillhouseError,
)
from tests.hub.conftest import REPO, Told
from tests.hub.hub_server import COMMIT, HubServer

Q4 = "Tiny-Q4_K_M.gguf"


def pull(text: str, store: hub.Store, told: Told | None = None) -> Path:
    return hub.resolve(text, progress=told or hub.QUIET, store=store)


@pytest.mark.usefixtures("server")
def test_a_pull_brings_the_usual_quantisation_and_records_it(
    store: hub.Store, contents: dict[str, bytes], told: Told
) -> None:
    path = pull(f"hf:{REPO}", store, told)
    assert path.read_bytes() == contents[Q4]
    (entry,) = store.entries()
    assert entry.is_complete
    assert entry.manifest.origin == f"hf:{REPO}@{COMMIT}"
    assert entry.manifest.files[0].sha256 == hashlib.sha256(contents[Q4]).hexdigest()
    assert sorted(path.name for path in entry.folder.iterdir()) == [Q4, "manifest.json"]
    assert told.started == [(Q4, 500_000)]
    assert told.done_bytes == 500_000
    assert "500 kB" in told.notes[0]


def test_what_is_here_is_not_asked_for_again(server: HubServer, store: hub.Store) -> None:
    first = pull(f"hf:{REPO}", store)
    server.requests.clear()
    assert pull(f"hf:{REPO}", store) == first
    assert server.requests == []


@pytest.mark.usefixtures("server")
def test_a_split_model_comes_with_all_its_parts(
    store: hub.Store, contents: dict[str, bytes]
) -> None:
    path = pull(f"hf:{REPO}:bf16", store)
    assert path.name == "Tiny-BF16-00001-of-00002.gguf"
    second = path.with_name("Tiny-BF16-00002-of-00002.gguf")
    assert second.read_bytes() == contents[f"BF16/{second.name}"]


def test_a_catalogue_name_is_pulled_from_its_repository(
    server: HubServer, store: hub.Store, contents: dict[str, bytes], told: Told
) -> None:
    repo = "unsloth/DeepSeek-R1-0528-Qwen3-8B-GGUF"
    server.files[repo] = {"DeepSeek-R1-0528-Qwen3-8B-Q4_K_M.gguf": contents[Q4]}
    path = pull("deepseek-r1", store, told)
    assert path.name == "DeepSeek-R1-0528-Qwen3-8B-Q4_K_M.gguf"
    assert "DeepSeek-R1-0528-Qwen3-8B" in told.notes[0]
    assert pull("r1-0528-qwen3-8b:q4_k_m", store) == path


def test_a_broken_connection_goes_on_by_itself_where_it_stopped(
    server: HubServer, store: hub.Store, contents: dict[str, bytes]
) -> None:
    server.break_after_bytes = 200_000
    assert pull(f"hf:{REPO}", store).read_bytes() == contents[Q4]
    (_, whole), (_, rest) = server.downloads()
    assert whole is None
    assert rest is not None
    assert int(rest.removeprefix("bytes=").rstrip("-")) >= 196_608


def test_a_killed_pull_goes_on_in_the_next_run(
    server: HubServer, store: hub.Store, contents: dict[str, bytes]
) -> None:
    server.pause_s = 0.2
    program = (
        "import sys; from pathlib import Path; from stillhouse import hub;"
        f"hub.resolve('hf:{REPO}', store=hub.Store(Path(sys.argv[1])))"
    )
    environment = os.environ | {"HF_ENDPOINT": server.url}
    process = subprocess.Popen([sys.executable, "-c", program, str(store.root)], env=environment)
    part = store.folder(f"hf:{REPO}") / f"{Q4}.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 100_000):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.wait()
    kept_bytes = part.stat().st_size
    (entry,) = store.entries()
    assert not entry.is_complete

    server.pause_s = 0.0
    server.requests.clear()
    assert pull(f"hf:{REPO}", store).read_bytes() == contents[Q4]
    assert server.downloads() == [(Q4, f"bytes={kept_bytes}-")]


def test_a_finished_part_is_not_fetched_again(server: HubServer, store: hub.Store) -> None:
    path = pull(f"hf:{REPO}:bf16", store)
    path.with_name("Tiny-BF16-00002-of-00002.gguf").unlink()
    server.requests.clear()
    pull(f"hf:{REPO}:bf16", store)
    assert server.downloads() == [("Tiny-BF16-00002-of-00002.gguf", None)]


def test_two_pulls_at_once_fetch_once(
    server: HubServer, store: hub.Store, contents: dict[str, bytes]
) -> None:
    server.pause_s = 0.02
    told = [Told(), Told()]
    threads = [
        threading.Thread(target=pull, args=(f"hf:{REPO}", store, listener)) for listener in told
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.downloads() == [(Q4, None)]
    assert sum("waiting" in note for listener in told for note in listener.notes) == 1
    assert pull(f"hf:{REPO}", store).read_bytes() == contents[Q4]


def test_a_gated_repository_says_where_to_accept_its_terms(
    server: HubServer, store: hub.Store
) -> None:
    server.gated.add(REPO)
    with pytest.raises(AccessDenied, match="gated") as caught:
        pull(f"hf:{REPO}", store)
    assert f"{server.url}/{REPO}" in str(caught.value.hint)
    assert store.entries() == []


def test_a_token_opens_the_gate(
    server: HubServer, store: hub.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gated.add(REPO)
    server.tokens.add("hf_secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert pull(f"hf:{REPO}", store).is_file()


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("hf:maker/Absent-GGUF", ModelNotFound, "no repository maker/Absent-GGUF"),
        (f"hf:{REPO}/Tiny-Q4_K_N.gguf", ModelNotFound, "no Tiny-Q4_K_N.gguf"),
        (f"hf:{REPO}:Q2_K", ModelNotFound, "no Q2_K"),
    ],
)
@pytest.mark.usefixtures("server")
def test_what_the_hub_does_not_have_is_one_line(
    store: hub.Store, text: str, error: type[StillhouseError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        pull(text, store)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert store.entries() == []


def test_no_hub_is_one_line(store: hub.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubServer({}) as gone:
        pass
    gone.stand_in(monkeypatch)
    with pytest.raises(Offline, match="cannot be reached"):
        pull(f"hf:{REPO}", store)


@pytest.mark.usefixtures("server")
def test_offline_mode_is_one_line(store: hub.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StillhouseError, match="HF_HUB_OFFLINE is set"):
        pull(f"hf:{REPO}", store)


def test_a_wrong_hash_is_refused_and_leaves_nothing(server: HubServer, store: hub.Store) -> None:
    server.claimed_sha256 = "ab" * 32
    with pytest.raises(DownloadError, match="SHA-256"):
        pull(f"hf:{REPO}", store)
    assert store.entries() == []
    server.claimed_sha256 = None
    assert pull(f"hf:{REPO}", store).is_file()


def test_a_full_disk_is_seen_before_the_first_byte(
    server: HubServer, store: hub.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    with pytest.raises(NotEnoughSpace, match=r"500 kB .* 100 kB"):
        pull(f"hf:{REPO}", store)
    assert server.downloads() == []
    assert store.entries() == []


def test_the_bytes_of_an_interrupted_pull_count_as_had(
    server: HubServer,
    store: hub.Store,
    contents: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = store.folder(f"hf:{REPO}")
    folder.mkdir(parents=True)
    (folder / f"{Q4}.part").write_bytes(contents[Q4][:450_000])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    assert pull(f"hf:{REPO}", store).read_bytes() == contents[Q4]
    assert server.downloads() == [(Q4, "bytes=450000-")]


def test_a_repository_of_safetensors_opens_as_the_folder_it_is(
    server: HubServer, store: hub.Store
) -> None:
    folder = Path(__file__).parents[1] / "checkpoints/fixtures/w4a16"
    server.files["maker/w4a16"] = {path.name: path.read_bytes() for path in folder.iterdir()}
    path = pull("hf:maker/w4a16", store)
    assert path.name == "config.json"
    with open_checkpoint(path) as checkpoint, open_checkpoint(folder) as original:
        assert checkpoint.tensors.keys() == original.tensors.keys()
        assert checkpoint.metadata.keys() == original.metadata.keys()
