"""Every error a user can cause or meet, under one root.

StillhouseError
├── UsageError         the command or call itself is wrong (an unknown name, a value out of range)
├── ModelNotFound      a reference that names nothing that can be had
├── AccessDenied       the model is gated or private: a token or an accepted licence is missing
├── Offline            the network, or the host that was asked, cannot be reached
├── DownloadError      the transfer broke, or what arrived is not what was promised (SHA-256)
├── NotEnoughSpace     disk or memory is too small, with both numbers
├── BadCheckpoint      the file is truncated, corrupted, hostile, or of a kind we do not read
├── BadTemplate        a chat template that does not parse, or that refuses the messages
├── ContextTooLong     a request that can never fit in the context, with both numbers
├── EngineStopped      a request that is open, or comes, after the engine has failed or was closed
├── WorkerDied         the process that computed a model has ended (killed, out of memory)
├── Overloaded         more requests wait than may; `retry_after_s` says when to come back
└── RequestFailed      a server at a URL gave no whole reply; `kind` says how it failed
    └── FieldRefused   it does not take a field of the request; `field` is its name

The command line prints ``message`` and ``hint`` on one line each and exits with 2. An ``assert`` is
for our own bugs only.
"""

from __future__ import annotations

from typing import Literal

FailureKind = Literal[
    "connect", "http_4xx", "http_5xx", "timeout", "broken_stream", "server", "other"
]
"""No connection; a refusal; silence for too long; a stream without an end; an error within one."""


class StillhouseError(Exception):
    """A mistake or lack that the user can act on: one line with the numbers, and a hint."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(StillhouseError):
    """The command or call is wrong in itself."""


class ModelNotFound(StillhouseError):
    """The reference names nothing that can be had."""


class AccessDenied(StillhouseError):
    """The model is gated or private and no accepted token was given."""


class Offline(StillhouseError):
    """The host that was asked cannot be reached."""


class DownloadError(StillhouseError):
    """The transfer broke, or its bytes are not the promised ones."""


class NotEnoughSpace(StillhouseError):
    """Disk or memory is too small; the message holds both numbers."""


class BadCheckpoint(StillhouseError):
    """The file is truncated, corrupted, hostile, or of a kind that is not read."""


class BadTemplate(StillhouseError):
    """A chat template that does not parse, or refuses these messages."""


class ContextTooLong(StillhouseError):
    """The request can never fit in the context; the message holds both numbers."""


class EngineStopped(StillhouseError):
    """The engine has failed or was closed; the message says why, the cause is the failure."""


class WorkerDied(StillhouseError):
    """The process that computed a model ended while it had work; a new one is started."""


class Overloaded(StillhouseError):
    """More requests wait already than may."""

    def __init__(self, message: str, *, retry_after_s: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return _overloaded, (self.message, self.retry_after_s, self.hint)


def _overloaded(message: str, retry_after_s: int, hint: str | None) -> Overloaded:
    return Overloaded(message, retry_after_s=retry_after_s, hint=hint)


class RequestFailed(StillhouseError):
    """A server that was asked over HTTP gave no whole reply. `status` is None if it gave none."""

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind,
        status: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind: FailureKind = kind
        self.status = status

    def __reduce__(self) -> tuple[object, ...]:
        return _request_failed, (self.message, self.kind, self.status, self.hint)


class FieldRefused(RequestFailed):
    """The server names a field of the request as its reason. Nothing was left out to please it."""

    def __init__(self, message: str, *, field: str, status: int, hint: str | None = None) -> None:
        super().__init__(message, kind="http_4xx", status=status, hint=hint)
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        return _field_refused, (self.message, self.field, self.status, self.hint)


def _request_failed(
    message: str, kind: FailureKind, status: int | None, hint: str | None
) -> RequestFailed:
    return RequestFailed(message, kind=kind, status=status, hint=hint)


def _field_refused(message: str, field: str, status: int, hint: str | None) -> FieldRefused:
    return FieldRefused(message, field=field, status=status, hint=hint)
