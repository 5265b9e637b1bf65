"""Notice replicas that sign with a key which this one does not take.

Each process notes in Redis, every few seconds, a fingerprint of the key that it signs with, and
compares those of the others with the keys that it takes. Without that, such replicas would know no
session of each other, and each read what the other has cached as a miss.
"""

import hashlib
import hmac
import logging
import threading
import time
import weakref
from collections.abc import Sequence

from flask import Flask

from pegboard import clock
from pegboard.extensions import get_extension
from pegboard.problems import Code, Problem
from pegboard.redis.channel import Channel, ChannelError, Script, get_channel

logger = logging.getLogger(__name__)

EXTENSION = "pegboard.fleet_keys"

INTERVAL = 5.0
"""Seconds between two comparisons."""

KEPT = 20
"""Seconds after which a fingerprint is forgotten that no process has noted again."""

# Written with commands that the documented user of Redis may execute. It removes what no process
# can have noted: a key of another type, fields that are no fingerprint, and times that are no
# number or still to come.
_NOTE = Script("""
local now, kept = tonumber(redis.call('TIME')[1]), tonumber(ARGV[2])
local type = redis.call('TYPE', KEYS[1])['ok']
if type ~= 'hash' and type ~= 'none' then
    redis.call('UNLINK', KEYS[1])
end
redis.call('HSET', KEYS[1], ARGV[1], now)
redis.call('PEXPIRE', KEYS[1], kept * 1000)
local found = {}
local noted = redis.call('HGETALL', KEYS[1])
for i = 1, #noted, 2 do
    local name, at = noted[i], tonumber(noted[i + 1])
    local is_fingerprint = #name == #ARGV[1] and not string.find(name, '[^0-9a-f]')
    if is_fingerprint and at and at + kept >= now and at - kept <= now then
        found[#found + 1] = name
    else
        redis.call('HDEL', KEYS[1], name)
    end
end
return found
""")


class FleetKeys:
    """The keys of a process, compared with those of the others that share Redis and database."""

    def __init__(self, channel: Channel, fleet: str, keys: Sequence[str]) -> None:
        """`fleet` tells apart the services on one server of Redis; the first key is signed with."""
        self._channel = channel
        self._accepted = [_fingerprint(key) for key in keys]
        place = hashlib.sha256(fleet.encode()).hexdigest()[:16]
        self._note = _NOTE.call(
            keys=[f"pegboard:keys:{place}"], arguments=[self._accepted[0], KEPT]
        )
        self._due = float("-inf")
        self._lock = threading.Lock()
        self.foreign: frozenset[str] = frozenset()
        """Fingerprints of keys that others sign with, and this process does not take."""

    def compare(self) -> frozenset[str]:
        """Note the own key, unless it was a moment ago; return the `foreign` ones.

        Where Redis does not answer, or refuses, they stay as they are. The log says what changes.
        """
        with self._lock:
            now = clock.monotonic()
            if now >= self._due:
                self._due = now + INTERVAL
                self._compare()
            return self.foreign

    def watch(self) -> None:
        """Compare from now on, on a thread, for as long as the app is there."""
        arguments = (weakref.ref(self),)
        threading.Thread(target=_watch, args=arguments, name="pegboard-keys", daemon=True).start()

    def as_problem(self) -> Problem:
        """Return what is wrong as a problem, with a hint."""
        names = ", ".join(sorted(self.foreign))
        summary = (
            f"another process of this service signs with a SECRET_KEY that this one does not take "
            f"(this one: {self._accepted[0]}, others: {names})"
        )
        hint = (
            "Give all replicas the same SECRET_KEY. To replace it, add the new one to "
            "SECRET_KEY_FALLBACKS of all replicas first, and then make it the SECRET_KEY."
        )
        return Problem(Code.SECRET_KEYS_DIFFER, summary, hint)

    def _compare(self) -> None:
        try:
            [reply] = self._channel.exchange([self._note])
        except ChannelError as error:
            logger.debug("the keys of the fleet cannot be compared: %s", error)
            return
        if not isinstance(reply.value, list):
            logger.debug("the keys of the fleet cannot be compared: %s", reply.value)
            return
        before = self.foreign
        self.foreign = frozenset(one.decode() for one in reply.value).difference(self._accepted)
        if self.foreign - before:
            logger.warning("%s", self.as_problem())
        elif before and not self.foreign:
            logger.info("all processes of this service sign with keys that this one takes again")


def _watch(found: "weakref.ref[FleetKeys]") -> None:
    while (keys := found()) is not None:
        try:
            keys.compare()
        except Exception:  # the next time it may succeed
            logger.exception("the keys of the fleet could not be compared")
        del keys
        time.sleep(INTERVAL)


def _fingerprint(key: str) -> str:
    """Return what tells keys apart and does not help to guess one of 32 random bytes."""
    return hmac.new(key.encode(), b"pegboard: fingerprint of a key", "sha256").hexdigest()[:12]


def init_fleet_keys(app: Flask, fleet: str, keys: Sequence[str]) -> None:
    """Give the app what compares its keys; nothing is noted before it serves."""
    channel = get_channel(app)
    has_keys = channel is not None and all(keys)
    app.extensions[EXTENSION] = FleetKeys(channel, fleet, keys) if channel and has_keys else None


def get_fleet_keys(app: Flask) -> FleetKeys | None:
    """Return what compares the keys of an app; None without Redis or a key."""
    found: FleetKeys | None = get_extension(app, EXTENSION, "get_fleet_keys(app)")
    return found
