"""Plain downloads, and a server whose file changes between two tries."""

from __future__ import annotations

import hashlib

import pytest

from stillhouse import hub
from stillhouse.errors import DownloadError, ModelNotFound, Offline
from tests.hub.conftest import REPO, Told
from tests.hub.hub_server import HubServer

Q4 = "Tiny-Q4_K_M.gguf"


def address(server: HubServer) -> str:
    return f"{server.url}/{REPO}/resolve/main/{Q4}"


def test_a_url_is_pulled_under_its_own_name(
    server: HubServer, store: hub.Store, contents: dict[str, bytes], told: Told
) -> None:
    path = hub.resolve(address(server), store=store, progress=told)
    assert path.name == Q4
    assert path.read_bytes() == contents[Q4]
    assert told.started == [(Q4, 500_000)]
    assert told.notes == [f"pulling {address(server)} (500 kB)"]


def test_a_url_may_bring_its_sha256(
    server: HubServer, store: hub.Store, contents: dict[str, bytes]
) -> None:
    digest = hashlib.sha256(contents[Q4]).hexdigest()
    assert hub.resolve(f"{address(server)}#sha256={digest}", store=store).is_file()
    with pytest.raises(DownloadError, match="SHA-256"):
        hub.resolve(f"{address(server)}#sha256={'ab' * 32}", store=store)


def test_a_url_that_breaks_goes_on_in_the_next_pull(
    server: HubServer, store: hub.Store, contents: dict[str, bytes]
) -> None:
    folder = store.folder(address(server))
    folder.mkdir(parents=True)
    (folder / f"{Q4}.part").write_bytes(contents[Q4][:100_000])
    assert hub.resolve(address(server), store=store).read_bytes() == contents[Q4]
    assert server.downloads() == [(Q4, "bytes=100000-")]


def test_a_file_that_has_changed_is_fetched_from_its_start(
    server: HubServer, store: hub.Store, contents: dict[str, bytes]
) -> None:
    folder = store.folder(address(server))
    folder.mkdir(parents=True)
    (folder / f"{Q4}.part").write_bytes(b"an older file" * 1000)
    (folder / f"{Q4}.part.json").write_text('{"etag": "\\"older\\""}')
    assert hub.resolve(address(server), store=store).read_bytes() == contents[Q4]


def test_a_missing_file_is_one_line(server: HubServer, store: hub.Store) -> None:
    with pytest.raises(ModelNotFound, match=r"no absent\.gguf"):
        hub.resolve(f"{server.url}/{REPO}/resolve/main/absent.gguf", store=store)


def test_no_server_is_one_line(store: hub.Store) -> None:
    with HubServer({}) as gone:
        pass
    with pytest.raises(Offline):
        hub.resolve(f"{gone.url}/x.gguf", store=store)
    assert store.entries() == []


def test_a_path_that_is_not_there_is_one_line(store: hub.Store) -> None:
    with pytest.raises(ModelNotFound, match="there is no file"):
        hub.resolve("./absent.gguf", store=store)
