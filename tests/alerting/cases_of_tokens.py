"""Cases of tokens that expire: what is news depends on the token's own life and habit."""

from tests.alerting.cases import CREDENTIAL, DAY, EXPIRY, Case, tenant

LOADED = "prober_token_loaded_timestamp_seconds"
HOUR = 3600
STEP = 30


def life(renewed_at: list[float], life_seconds: float, until: float) -> dict[str, str]:
    """Return the series of tokens that live so long, renewed at these times."""
    loads, expiries = [], []
    for step in range(int(until // STEP) + 1):
        loaded = max(at for at in renewed_at if at <= step * STEP)
        loads.append(loaded + 1)  # 0 stands for never
        expiries.append(loaded + life_seconds)
    return {
        tenant(LOADED): " ".join(f"{each:g}" for each in loads),
        tenant(EXPIRY): " ".join(f"{each:g}" for each in expiries),
    }


def every(seconds: float, until: float) -> list[float]:
    return [seconds * turn for turn in range(int(until // seconds) + 1)]


def named(name: str, source: str) -> dict[str, str]:
    return {tenant("prober_token_info", f'source="{source}"', f'fingerprint="{name}"'): "1x2000"}


HOURLY = life(every(3000, 6 * HOUR), HOUR, 6 * HOUR)
BROKEN = life(every(3000, 3 * HOUR), HOUR, 6 * HOUR)  # the last renewal is at 9,000 s
DAILY = life(every(20 * HOUR, 4 * DAY), DAY, 5 * DAY)
DAILY_BROKEN = life(every(20 * HOUR, 3 * DAY), DAY, 4 * DAY)  # the last renewal is at 60 h

TOKEN_CASES = (
    Case("ProberTokenExpiresSoon", "an hour's life, renewed in time", HOURLY, until="6h"),
    Case("ProberTokenExpiresVerySoon", "an hour's life, renewed in time", HOURLY, until="6h"),
    Case(
        "ProberTokenExpiresSoon",
        "an hour's life, its load time unknown",
        {name: values for name, values in HOURLY.items() if LOADED not in name},
        until="6h",
    ),
    Case(
        "ProberTokenExpiresVerySoon",
        "an hour's life, its load time unknown",
        {name: values for name, values in HOURLY.items() if LOADED not in name},
        until="6h",
    ),
    Case(
        "ProberTokenExpiresSoon",
        "an hour's life, the renewal is missing: half of the usual ten minutes are left",
        BROKEN,
        "3h26m30s",
        until="6h",
        labels={"severity": "ticket", **CREDENTIAL},
    ),
    Case(
        "ProberTokenExpiresVerySoon",
        "an hour's life, the renewal is missing: it is too late to act",
        BROKEN,
        until="6h",
    ),
    Case(
        "ProberTokenExpiresSoon",
        "an hour's life, the first token",
        life([0], HOUR, 2 * HOUR),
        "52m30s",
        until="2h",
        labels=CREDENTIAL,
    ),
    Case("ProberTokenExpiresSoon", "a day's life, renewed four hours ahead", DAILY, until="100h"),
    Case("ProberTokenExpiresVerySoon", "a day's life, renewed ahead", DAILY, until="100h"),
    Case(
        "ProberTokenExpiresVerySoon",
        "a day's life, the renewal is missing: a quarter of the usual four hours is left",
        DAILY_BROKEN,
        "83h1m30s",
        until="90h",
        labels={"severity": "page", **CREDENTIAL},
    ),
    Case(
        "ProberTokenExpiresSoon",
        "a new prober with a token that was issued long ago: its life here is eight days",
        life([0], 8 * DAY, HOUR),
        "1m",
        labels=CREDENTIAL,
    ),
)
