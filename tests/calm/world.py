"""Ninety days of three tenants, seen from two locations: what happens, and what must be noticed.

Time is in minutes from the start, a Monday at 0:00 UTC. Every probe runs once a minute.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

DAY = 1440
HOUR = 60
DAYS = 90
LOCATIONS = ("dublin", "frankfurt")
PROBES = {"acme": ("datasets", "sources", "stream"), "beta": ("datasets",), "core": ("datasets",)}
CLOCK_CHANGES_ON_DAY = 55
RENEWAL_MINUTES = 50
"""The token of `core` lives an hour and is renewed so often."""
LEFT_OUT = {"a": (14 * DAY + 7, 4), "b": (41 * DAY + 903, 6), "c": (77 * DAY + 400, 3)}
"""Restarts of Prometheus: since when, and how many minutes are missing."""
RESTARTS = {
    "dublin": (5 * DAY + 610, 30 * DAY + 1200, 63 * DAY + 75),
    "frankfurt": (5 * DAY + 640, 47 * DAY + 200, 84 * DAY + 930),
}
"""When the prober of a location is restarted: its counters begin at 0."""
CERTIFICATE = (50 * DAY + 125, 240 * DAY)
"""When the certificate expires, and when the one that replaces it does."""
CERTIFICATE_RENEWED_AT = CERTIFICATE[0] + 95
ACME_TOKEN = (100 * DAY, 60 * DAY + 500)
"""When the token of `acme` expires, and when it is replaced by one that lives as long."""


@dataclass(frozen=True)
class Cause:
    """Something that must be noticed: once, by one of these alerts."""

    name: str
    begins_at: int
    ends_at: int
    alerts: tuple[str, ...]


CAUSES = (
    Cause("the platform answers 500 to all", 9 * DAY + 555, 9 * DAY + 580, ("ProberPlatformDown",)),
    Cause(
        "a location loses its network",
        16 * DAY + 1100,
        16 * DAY + 1135,
        ("ProberVantagePointOffline",),
    ),
    Cause(
        "the token of beta is regenerated", 23 * DAY + 840, 23 * DAY + 900, ("ProberTokenRejected",)
    ),
    Cause("a stream of acme is deleted", 27 * DAY + 600, 28 * DAY + 700, ("ProberObjectMissing",)),
    Cause(
        "the certificate expires in 21 days",
        CERTIFICATE[0] - 21 * DAY,
        CERTIFICATE[0],
        ("ProberCertificateExpires",),
    ),
    Cause("a prober dies", 34 * DAY + 130, 34 * DAY + 160, ("ProberDown",)),
    Cause(
        "beta hangs, seen from one location",
        38 * DAY + 700,
        38 * DAY + 730,
        ("ProberTenantSilentFromLocation",),
    ),
    Cause("acme loses its permissions", 44 * DAY + 480, 44 * DAY + 540, ("ProberTenantRefused",)),
    Cause(
        "the certificate has expired",
        CERTIFICATE[0],
        CERTIFICATE_RENEWED_AT,
        ("ProberPlatformDown",),
    ),
    Cause("the platform hangs for all", 58 * DAY + 1000, 58 * DAY + 1045, ("ProberPlatformDown",)),
    Cause(
        "every other answer is lost on the path to core",
        66 * DAY + 300,
        66 * DAY + 390,
        ("ProberTenantFlapping",),
    ),
    Cause("core answers 500", 70 * DAY + 200, 70 * DAY + 225, ("ProberTenantDown",)),
    Cause("acme becomes slower by the day", 74 * DAY, 83 * DAY, ("ProberServerLatencyDrifts",)),
    Cause(
        "the stream of acme fails with 400", 86 * DAY + 500, 86 * DAY + 700, ("ProberProbeFailing",)
    ),
)
_BY_NAME = {cause.name: cause for cause in CAUSES}


def _on(name: str, at: int) -> bool:
    cause = _BY_NAME[name]
    return cause.begins_at <= at < cause.ends_at


def culprit(location: str, tenant: str, probe: str, at: int) -> str | None:
    """Return who is responsible for what goes on at that time, None if nothing does."""
    for holds, found in _RULES:
        if holds(location, tenant, probe, at):
            return found
    return None


_Rule = tuple[Callable[[str, str, str, int], bool], str]
_RULES: tuple[_Rule, ...] = (
    (lambda _l, _t, _p, at: _on("the platform answers 500 to all", at), "platform"),
    (lambda _l, _t, _p, at: _on("the certificate has expired", at), "platform"),
    (lambda _l, _t, _p, at: _on("the platform hangs for all", at), "undecided"),
    (
        lambda place, _t, _p, at: place == "dublin" and _on("a location loses its network", at),
        "network",
    ),
    (
        lambda place, tenant, _p, at: (
            (place, tenant) == ("dublin", "beta") and _on("beta hangs, seen from one location", at)
        ),
        "undecided",
    ),
    (
        lambda _l, tenant, _p, at: tenant == "acme" and _on("acme loses its permissions", at),
        "credential",
    ),
    (
        lambda place, tenant, _p, at: (
            (place, tenant) == ("dublin", "core")
            and at % 2 == 0
            and _on("every other answer is lost on the path to core", at)
        ),
        "network",
    ),
    (lambda _l, tenant, _p, at: tenant == "core" and _on("core answers 500", at), "platform"),
    (
        lambda _l, tenant, probe, at: (
            (tenant, probe) == ("acme", "stream")
            and (
                _on("a stream of acme is deleted", at)
                or _on("the stream of acme fails with 400", at)
            )
        ),
        "request",
    ),
    # Every Wednesday at 3:10 something new is rolled out: 500 for a minute or two.
    (lambda _l, _t, _p, at: at // DAY % 7 == 2 and at % DAY in {190, 191}, "platform"),
)


def is_quiet(at: int) -> bool:
    """Tell whether nothing of `_RULES` holds for that whole day, which saves asking."""
    day = at // DAY
    return day % 7 != 2 and not any(
        cause.begins_at // DAY <= day <= cause.ends_at // DAY for cause in CAUSES
    )


def token_is_rejected(tenant: str, at: int) -> bool:
    """Tell whether the tenant's token is refused, by every probe."""
    return tenant == "beta" and _on("the token of beta is regenerated", at)


def prober_is_dead(location: str, at: int) -> bool:
    """Tell whether no scrape of that location succeeds, beside single ones that are lost."""
    return location == "frankfurt" and _on("a prober dies", at)


def noise(seed: str, day: int) -> Iterator[tuple[int, str]]:
    """Yield (minute, culprit) of single failures of a day, of which no one should hear."""
    source = random.Random(f"{seed} {day}")  # noqa: S311 -- a simulation
    chances = (("platform", 0.35), ("undecided", 0.4), ("network", 0.4))
    for found, per_day in chances:
        while source.random() < per_day:
            yield source.randrange(DAY), found
            per_day /= 2  # noqa: PLW2901 -- seldom more than one


def lost_scrapes(location: str, day: int) -> frozenset[int]:
    """Return the minutes of a day of which Prometheus knows nothing."""
    source = random.Random(f"scrapes {location} {day}")  # noqa: S311 -- a simulation
    lost = {source.randrange(DAY)} if source.random() < 0.3 else set()
    for begins_at, length in LEFT_OUT.values():
        lost |= {at - day * DAY for at in range(begins_at, begins_at + length)}
    return frozenset(each for each in lost if 0 <= each < DAY)


def server_seconds(tenant: str, at: int) -> float:
    """Return the platform's own time: slower by day, slower still on Monday mornings."""
    wall = at + (HOUR if at // DAY >= CLOCK_CHANGES_ON_DAY else 0)
    day, hour = wall // DAY % 7, wall % DAY // HOUR
    seconds = 0.12
    if day < 5 and 8 <= hour < 18:
        seconds = 0.36 if day == 0 and hour < 11 else 0.22
    cause = _BY_NAME["acme becomes slower by the day"]
    if tenant == "acme" and _on(cause.name, at):
        seconds *= 1.3 ** (1 + (at - cause.begins_at) / DAY)
    return seconds


def token_loads(tenant: str) -> tuple[tuple[int, int], ...]:
    """Return (since when, expiry) of each token of a tenant that has an expiry."""
    if tenant == "core":
        return tuple((at, at + HOUR) for at in range(0, DAYS * DAY, RENEWAL_MINUTES))
    if tenant == "acme":
        expires_at, replaced_at = ACME_TOKEN
        return ((0, expires_at), (replaced_at, replaced_at + expires_at))
    return ()


assert all(one.begins_at <= other.begins_at for one, other in pairwise(CAUSES))
