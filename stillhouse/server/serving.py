"""The server from its start to its end: bound first, loaded behind, ended with grace."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import uvicorn

from stillhouse.errors import StillhouseError, UsageError
from stillhouse.server.app import create_app
from stillhouse.server.metrics import Metrics
from stillhouse.server.settings import ServerSettings
from stillhouse.workers.messages import ModelSettings
from stillhouse.workers.pool import KnownModel, ModelPool

_GRACE_S = 30  # for what is open at the first signal


class _Server(uvicorn.Server):
    """Signals are handled below, so that models end in order too."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    served: Sequence[ModelSettings],
    settings: ServerSettings,
    *,
    max_queue: int,
    keep_alive_s: float | None,
    max_memory_bytes: int | None,
    on_ready: Callable[[list[KnownModel]], None],
) -> None:
    """Serves until SIGINT or SIGTERM; a second one ends it at once.

    Raises UsageError if the port is taken, and why the first model cannot be loaded.
    """
    listener = _bound(settings)
    metrics = Metrics()
    pool = ModelPool(
        served,
        max_queue=max_queue,
        keep_alive_s=keep_alive_s,
        max_memory_bytes=max_memory_bytes,
        on_finished=metrics.reply,
    )
    server = _Server(
        uvicorn.Config(
            create_app(pool, metrics, settings),
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=75,
        )
    )
    _end_on_signals(server)
    running = asyncio.create_task(server.serve([listener]))
    starting = asyncio.create_task(pool.start())
    try:
        await asyncio.wait({running, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            on_ready(pool.known())
        await running
    finally:
        starting.cancel()
        with suppress(asyncio.CancelledError, StillhouseError):
            await starting
        server.should_exit = True
        await running
        await pool.close(0)


def _bound(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}",
            hint="another server may run there; choose another with --port",
        ) from None
    return listener


def _end_on_signals(server: uvicorn.Server) -> None:
    """The first signal lets what is open come to its end, the second does not."""

    def end(*_: object) -> None:
        if server.should_exit:
            server.force_exit = True
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
