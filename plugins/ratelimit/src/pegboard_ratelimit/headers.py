"""The headers that tell a client how it stands.

They are those of draft-ietf-httpapi-ratelimit-headers-11, and the older `X-RateLimit-*` if wanted.
"""

import time

from pegboard_ratelimit.limits import Limit

POLICY = "RateLimit-Policy"
STATE = "RateLimit"
LEGACY = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


class Headers:
    """The headers of one rule, made ready but for the numbers."""

    __slots__ = ("_policy", "_quotas", "_template")

    def __init__(self, name: str, limit: Limit, *, legacy: bool) -> None:
        names = [f"{_plain(name)}-{policy.period}" for policy in limit.policies]
        described = ", ".join(
            f'"{name}";q={policy.quota};w={policy.window}'
            for name, policy in zip(names, limit.policies, strict=True)
        )
        self._policy = (POLICY, described)
        self._template = ", ".join(f'"{name.replace("%", "%%")}";r=%d;t=%d' for name in names)
        self._quotas = [policy.quota for policy in limit.policies] if legacy else None

    def add(self, headers: list[tuple[str, str]], numbers: tuple[int, ...]) -> None:
        """Add them to those of an answer; the numbers are those of a `Verdict`."""
        headers.append(self._policy)
        headers.append((STATE, self._template % numbers))
        if self._quotas is not None:
            # They can tell of one policy only: the one that is nearest to its end.
            nearest = min(range(len(self._quotas)), key=lambda place: numbers[2 * place])
            reset = int(time.time()) + numbers[2 * nearest + 1]
            values = (self._quotas[nearest], numbers[2 * nearest], reset)
            headers += [(header, str(value)) for header, value in zip(LEGACY, values, strict=True)]


def _plain(name: str) -> str:
    """Return a name as it may stand in a string of a structured field (RFC 9651)."""
    plain = "".join(letter if " " <= letter <= "~" else "?" for letter in name)
    return plain.replace("\\", "\\\\").replace('"', '\\"')
