"""Bytes from a web server into a partial file, going on where the last try stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stillhouse.errors import AccessDenied, DownloadError, ModelNotFound, Offline, StillhouseError

if TYPE_CHECKING:
    import httpx

    from stillhouse.hub.partial import PartialFile
    from stillhouse.hub.progress import Progress

_TRIES = 5  # in a row without a byte gained; each waits twice as long as the one before


def fetch(
    url: str,
    into: PartialFile,
    *,
    size_bytes: int | None,
    headers: Mapping[str, str],
    progress: Progress,
    first_wait_s: float = 1.0,
) -> None:
    """Append what ``into`` lacks. Raises Offline, AccessDenied, ModelNotFound or DownloadError."""
    import httpx

    into.resume()
    progress.at(into.size_bytes)
    failures = 0
    timeout = httpx.Timeout(60.0, connect=15.0)
    with httpx.Client(follow_redirects=True, timeout=timeout) as client:
        while size_bytes is None or into.size_bytes < size_bytes:
            before_bytes = into.size_bytes
            try:
                _append(client, url, into, headers, progress)
            except httpx.ConnectError as error:
                if before_bytes == 0 or failures == _TRIES:
                    raise offline(url) from error
            except httpx.TransportError as error:
                if failures == _TRIES:
                    raise _interrupted(url, into) from error
            else:
                if size_bytes is None:
                    return
            failures = 0 if into.size_bytes > before_bytes else failures + 1
            if failures > _TRIES:
                raise _interrupted(url, into)
            time.sleep(first_wait_s * 2**failures if failures else 0)


def probe(url: str) -> int | None:
    """How large the file is, if the server says; the same errors as ``fetch``."""
    import httpx

    try:
        response = httpx.head(url, follow_redirects=True, timeout=15.0)
    except httpx.TransportError as error:
        raise offline(url) from error
    if response.status_code == 405:  # a server that knows no HEAD
        return None
    if response.status_code >= 400:
        raise _refused(response.status_code, url)
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def offline(url: str) -> Offline:
    """The error for a host that does not answer."""
    return Offline(
        f"{urlsplit(url).netloc} cannot be reached",
        hint="check the network or the proxy; models that are already here still run",
    )


def _append(
    client: httpx.Client,
    url: str,
    into: PartialFile,
    headers: Mapping[str, str],
    progress: Progress,
) -> None:
    """One request for the rest; a server that has another file by now sends it whole."""
    ask = {**headers, "Accept-Encoding": "identity"}
    if into.size_bytes:
        ask["Range"] = f"bytes={into.size_bytes}-"
        if etag := into.mark.get("etag"):
            ask["If-Range"] = str(etag)
    with client.stream("GET", url, headers=ask) as response:
        if response.status_code == 416 or (response.status_code == 200 and into.size_bytes):
            into.restart()
        if response.status_code == 416:
            return
        if response.status_code >= 400:
            raise _refused(response.status_code, url)
        etag = response.headers.get("etag", "")
        if etag.startswith('"') and into.size_bytes == 0:  # a weak one cannot vouch for bytes
            into.save_mark(etag=etag)
        for chunk in response.iter_raw():
            into.write(chunk)
            progress.at(into.size_bytes)


def _refused(status: int, url: str) -> StillhouseError:
    host = urlsplit(url).netloc
    name = urlsplit(url).path.rpartition("/")[2]
    if status in (401, 403):
        return AccessDenied(
            f"{host} does not give {name} to you ({status})", hint="log in there first"
        )
    if status in (404, 410):
        return ModelNotFound(f"{host} has no {name} ({status})", hint="check the address")
    return DownloadError(f"{host} answered {status} for {name}", hint="try again later")


def _interrupted(url: str, into: PartialFile) -> DownloadError:
    return DownloadError(
        f"the connection to {urlsplit(url).netloc} broke at {into.size_bytes} bytes",
        hint="pull again: it goes on from there",
    )
