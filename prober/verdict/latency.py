"""Where the time went: the server or the network, and whether to believe the number. Pure."""

from prober.model import Exchange, Latency, Probe
from prober.outcomes import ServerTimingAnomaly, Side


def split(total_seconds: float, own_seconds: float, server: float | ServerTimingAnomaly) -> Latency:
    """Split a response's time into server, network and the prober's own.

    An anomaly is passed on, without a split. A server time larger than all that passed outside the
    prober is EXCEEDS_TOTAL: one of both clocks is wrong, and a negative network time would hide
    which.
    """
    outside_seconds = total_seconds - own_seconds
    if isinstance(server, ServerTimingAnomaly):
        return Latency(total_seconds, own_seconds=own_seconds, anomaly=server)
    if server > outside_seconds:
        anomaly = ServerTimingAnomaly.EXCEEDS_TOTAL
        return Latency(total_seconds, own_seconds=own_seconds, anomaly=anomaly)
    return Latency(total_seconds, server, outside_seconds - server, own_seconds)


def is_trustworthy(exchange: Exchange, max_loop_lag_seconds: float) -> bool:
    """Tell whether a latency may enter the histograms.

    What the kernel has timed is. Where an arrival was timed by the event loop, its lag during the
    attempt is the measurement's error.
    """
    return exchange.timing_fallback is None or exchange.loop_lag_seconds <= max_loop_lag_seconds


def slow_sides(latency: Latency, probe: Probe) -> tuple[Side, ...]:
    """Return the sides that are over the probe's objectives; none where there is no split."""
    over = (
        (Side.SERVER, latency.server_seconds, probe.server_objective_seconds),
        (Side.NETWORK, latency.network_seconds, probe.network_objective_seconds),
    )
    return tuple(side for side, took, most in over if took is not None and took > most)
