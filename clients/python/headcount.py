"""A client of a headcount gateway, after the ten steps of docs/client.md. It needs the package websockets.

`async for frame in Client(url, ...)` hands out the server's frames, and `reset`, made here: the server has another
history of that stream now. At the end, after which nothing reconnects, `Closed` is raised.
"""

import asyncio
import base64
import json
import logging
import random
import re
import time
from contextlib import suppress
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

TERMINAL = {1000, 1002, 1003, 1007, 1008, 1009, 1010, 4405, *range(4200, 4400), *range(4500, 4600)}
# Seconds: the cap of a delay's growth; from an attempt to its welcome; from a ping to the next, and to its answer.
CAP, CONNECT, DEAD = 60.0, 15.0, 10.0
MAX_FRAME = 16 << 20  # Bytes: text that was merged while this client was away comes in one frame.


class Closed(Exception):
    """The server closed the connection for good."""
    def __init__(self, code, reason):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


class Client:
    """`token` is a string, or a function (async or not) that returns one; `user` is for development mode."""

    def __init__(self, url, *, token=None, user=None, thread=None):
        self.url, self.token, self.names = url, token, {"user": user, "thread": thread}
        self.own, self.connection = thread, None  # The thread and the connection of the last welcome.
        self.seen = {}  # Stream: {"epoch", "offset"}, or {} until the server has answered.
        self._socket, self._window, self._known, self._due = None, (0.25, 5.0), None, 0.0

    async def join(self, room):
        """Joins now, or once connected; the answer is a frame `joined`, or `left` with a code."""
        seen = self.seen.setdefault(f"room/{room}", {})
        await self._send({"type": "join", "room": room, "id": f"join {room}", **seen})

    async def leave(self, room):
        self.seen.pop(f"room/{room}", None)
        await self._send({"type": "leave", "room": room})

    async def follow(self, thread):
        """Follows another thread now, or once connected; the answer is a frame `followed`, or `unfollowed` with a code."""
        seen = self.seen.setdefault(self._stream(thread), {})
        await self._send({"type": "follow", "thread": thread, "id": f"follow {thread}", **seen})

    async def unfollow(self, thread):
        self._forget(self._stream(thread))
        await self._send({"type": "unfollow", "thread": thread})

    async def request(self, run, input, thread=None):
        """Requests a run, if there is a connection. The answer is the event `run_requested`, or a frame `error`."""
        within = {"thread": thread} if thread else {}
        await self._send({"type": "run_request", "run": run, "input": input, "id": f"request {run}", **within})

    async def cancel(self, run, reason=None):
        """Wishes that a run is cancelled, if there is a connection. The back end decides."""
        await self._send({"type": "run_cancel", "run": run, "id": f"cancel {run}", **({"reason": reason} if reason else {})})

    async def ack(self, stream, offset):
        await self._send({"type": "ack", "stream": stream, "offset": offset})

    async def __aiter__(self):
        failures, refused = 0, False
        while True:
            opened, code, reason, renewal = None, 1006, "", None
            try:
                fields = {**self.names, **self.seen.get("session", {}), "previous": self.connection}
                query = urlencode({name: value for name, value in fields.items() if value is not None})
                protocols = ["headcount.v1"] + ([f"bearer.{await self._credentials()}"] if self.token else [])
                async with connect(f"{self.url}?{query}", subprotocols=protocols, open_timeout=CONNECT,
                                   ping_interval=DEAD, ping_timeout=DEAD, close_timeout=1, max_size=MAX_FRAME) as socket:
                    with suppress(ConnectionClosed):
                        welcome = await asyncio.wait_for(socket.recv(), CONNECT)
                        opened, refused, self._socket = time.monotonic(), False, socket
                        for frame in self._receive(json.loads(welcome)):
                            yield frame
                        for kind, _, name in [stream.partition("/") for stream in self.seen]:
                            if name:
                                await (self.join if kind == "room" else self.follow)(name)
                        renewal = asyncio.create_task(self._renew())
                        async for text in socket:
                            for frame in self._receive(json.loads(text)):
                                yield frame
                    code, reason = socket.close_code or 1006, socket.close_reason or ""
            except (OSError, WebSocketException, asyncio.TimeoutError) as error:
                reason = str(error)
            finally:
                self._socket = None
                if renewal:
                    renewal.cancel()
            if code in (4405, 4500) and callable(self.token) and not (code == 4500 and refused):
                refused, self._due = code == 4500, 0.0
            elif code in TERMINAL:
                raise Closed(code, reason)
            logging.getLogger("headcount").warning("away: %s %s", code, reason)
            low, high = self._window
            failures = 0 if opened and time.monotonic() - opened > high else failures + 1
            top = max(high, min(CAP, high * 2 ** min(failures - 1, 16)))
            asked = re.search(r"retry_after=(\d+)", reason)
            await asyncio.sleep(random.uniform(low, top) + (min(int(asked[1]), 3600) if asked else 0))

    def _receive(self, frame):
        request = str(frame.get("request", ""))
        self._window = [ms / 1000 for ms in frame.get("reconnect_ms", ())] or self._window
        if frame["type"] == "welcome":
            self.own, self.connection = frame["thread"], frame["connection"]
            self.seen.pop(f"session/{self.own}", None)
            yield from self._go_on("session", {**frame["session"], "recovered": frame["recovered"]})
        elif frame["type"] in ("event", "gap") and (stream := frame.get("stream")):
            seen = self.seen.get(stream) or {"offset": -1}
            last = frame["to"] if frame["type"] == "gap" else frame["offset"]
            if last <= seen["offset"]:
                return
            seen["offset"] = last
        elif frame["type"] in ("joined", "followed"):
            stream = f"room/{frame['room']}" if "room" in frame else self._stream(frame["thread"])
            if stream not in self.seen and request:
                return  # It was left before the answer came.
            yield from self._go_on(stream, frame)
        elif frame["type"] == "error" and request.startswith("join "):
            frame = {**frame, "type": "left", "room": request.removeprefix("join ")}
        elif frame["type"] == "error" and request.startswith("follow "):
            frame = {**frame, "type": "unfollowed", "thread": request.removeprefix("follow ")}
        if frame["type"] == "left":
            self._forget(f"room/{frame['room']}")
        elif frame["type"] == "unfollowed":
            self._forget(self._stream(frame["thread"]))
        if frame["type"] not in ("ok", "welcome"):
            yield frame

    def _go_on(self, stream, place):
        epoch, offset, before = place["epoch"], place["offset"], self.seen.get(stream)
        if before and before["epoch"] == epoch and place["recovered"] != "gap":
            offset = max(before["offset"], offset)
        self.seen[stream] = {"epoch": epoch, "offset": offset}
        if before and before["epoch"] != epoch:
            yield {"type": "reset", "stream": stream, "epoch": epoch}

    def _stream(self, thread):
        return "session" if thread == self.own else f"session/{thread}"

    def _forget(self, stream):
        if stream != "session":  # A reconnect goes on there.
            self.seen.pop(stream, None)

    async def _credentials(self):
        if time.time() > self._due:
            try:
                token = self.token() if callable(self.token) else self.token
                token = token if isinstance(token, str) else await asyncio.wait_for(token, CONNECT)
                if not re.fullmatch(r"[\w.-]+", token, re.ASCII):
                    raise ValueError("malformed")  # It is not shown: it may be a secret.
            except Exception as error:
                raise ConnectionError(f"no token: {error!r}") from error
            self._known, self._due = token, float("inf")
            with suppress(LookupError, TypeError, ValueError):  # Unchecked: it only says when to ask again.
                claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
                self._due = time.time() + 0.8 * (claims["exp"] - claims.get("iat", time.time()))
        return self._known

    async def _renew(self):
        while callable(self.token):
            await asyncio.sleep(max(DEAD, self._due - time.time()))
            with suppress(ConnectionError):  # It is asked for again.
                await self._send({"type": "refresh", "id": "refresh", "token": await self._credentials()})

    async def _send(self, frame):
        if self._socket:
            with suppress(ConnectionClosed):  # The next connection says again what matters.
                await self._socket.send(json.dumps(frame))
