"""`/static/`: the files of our own and of the installed apps, found where they were installed, with an ETag."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousFileOperation

PREFIX = "/static/"
CACHE = b"public, max-age=300"  # an upgrade is seen within five minutes; after them the ETag saves the transfer


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is sent."""

    path: Path
    etag: bytes
    content_type: bytes


class StaticFiles:
    """Files under `/static/`. What was found once is remembered; what does not exist is looked for again."""

    def __init__(self) -> None:
        self._known: dict[str, StaticFile] = {}

    async def answer(
        self, scope: MutableMapping[str, Any], send: Callable[[MutableMapping[str, Any]], Awaitable[None]]
    ) -> None:
        """Send the file that the path names, 304 where the browser has it, 404 where there is none."""
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, b"", [(b"allow", b"GET, HEAD")])
            return
        file = self._known.get(scope["path"]) or await asyncio.to_thread(self._find, scope["path"])
        if file is None:
            await _send(send, 404, b"there is no such file\n", [(b"content-type", b"text/plain; charset=utf-8")])
            return
        headers = [(b"etag", file.etag), (b"cache-control", CACHE), (b"x-content-type-options", b"nosniff")]
        asked = next((value for name, value in scope["headers"] if name == b"if-none-match"), b"")
        if file.etag in [tag.strip().removeprefix(b"W/") for tag in asked.split(b",")]:
            await _send(send, 304, None, headers)
            return
        body = await asyncio.to_thread(file.path.read_bytes)
        await _send(send, 200, body, [*headers, (b"content-type", file.content_type)], head=scope["method"] == "HEAD")

    def _find(self, path: str) -> StaticFile | None:
        try:
            found = finders.find(path.removeprefix(PREFIX))
        except (SuspiciousFileOperation, ValueError):  # "..", or a NUL byte
            return None
        if not isinstance(found, str) or not Path(found).is_file():
            return None
        content_type = mimetypes.guess_type(found)[0] or "application/octet-stream"
        if content_type.startswith("text/") or content_type in ("application/javascript", "image/svg+xml"):
            content_type += "; charset=utf-8"
        digest = hashlib.blake2b(Path(found).read_bytes(), digest_size=12).hexdigest()
        self._known[path] = StaticFile(Path(found), f'"{digest}"'.encode(), content_type.encode())
        return self._known[path]


async def _send(
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    status: int,
    body: bytes | None,
    headers: list[tuple[bytes, bytes]],
    *,
    head: bool = False,
) -> None:
    if body is not None:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head or body is None else body})
