"""What clients are told: how they stand, with every answer, and that they are refused.

The headers are those of draft-ietf-httpapi-ratelimit-headers-11, and the older `X-RateLimit-*` if
wanted.
"""

import time
from http import HTTPStatus

from pegboard.stages import Answer, Call
from pegboard_ratelimit.counting import Verdict
from pegboard_ratelimit.rules import SECOND, Limit

POLICY = "RateLimit-Policy"
STATE = "RateLimit"
LEGACY = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

RETRY_AFTER = 1
"""Seconds after which a client may try again when nobody can count."""

UNCOUNTED = Answer.error(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Requests cannot be counted at the moment. Try again.",
    [("Retry-After", str(RETRY_AFTER))],
)


class Answers:
    """What clients are told under one limit, made ready but for the numbers."""

    __slots__ = ("_policy", "_quotas", "_refusal", "_template")

    def __init__(self, name: str, limit: Limit, *, legacy: bool) -> None:
        names = [f"{_plain(name)}-{policy.period}" for policy in limit.policies]
        described = ", ".join(
            f'"{name}";q={policy.quota};w={policy.window}'
            for name, policy in zip(names, limit.policies, strict=True)
        )
        self._policy = (POLICY, described)
        self._template = ", ".join(f'"{name.replace("%", "%%")}";r=%d;t=%d' for name in names)
        self._quotas = [policy.quota for policy in limit.policies] if legacy else None
        self._refusal = Answer.error(
            HTTPStatus.TOO_MANY_REQUESTS, f"Too many requests: at most {limit} are allowed."
        )

    def tell(self, call: Call, verdict: Verdict) -> Answer | None:
        """Add the headers to whatever answer the request gets; return it if that is a refusal."""
        numbers = verdict.numbers
        call.headers.append(self._policy)
        call.headers.append((STATE, self._template % numbers))
        if self._quotas is not None:
            call.headers += _legacy(self._quotas, numbers)
        if not verdict.wait:
            return None
        refusal = self._refusal
        retry_after = ("Retry-After", str(-(-verdict.wait // SECOND)))
        return Answer(refusal.status, [*refusal.headers, retry_after], refusal.body)


def _legacy(quotas: list[int], numbers: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return the older headers, which can tell of one policy only: that nearest to its end."""
    nearest = min(range(len(quotas)), key=lambda place: numbers[2 * place])
    reset = int(time.time()) + numbers[2 * nearest + 1]
    values = (quotas[nearest], numbers[2 * nearest], reset)
    return [(header, str(value)) for header, value in zip(LEGACY, values, strict=True)]


def _plain(name: str) -> str:
    """Return a name as it may stand in a string of a structured field (RFC 9651)."""
    plain = "".join(letter if " " <= letter <= "~" else "?" for letter in name)
    return plain.replace("\\", "\\\\").replace('"', '\\"')
