"""Makes a canary of a built-in probe: its paths, and what is wrong with its stages. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace

from prober.config.builtin_checks import CANARY
from prober.config.builtin_probes import path_segment
from prober.config.schema import ProbeRef
from prober.config.yaml import Note
from prober.models import CanaryTarget, Check, Probe
from prober.permissions import CANARY_STREAM_NEEDS

_READABLE, _STREAMED = "readable", "streamed"


def canary_problems(checks: Sequence[Check], interval_seconds: float) -> list[Note]:
    """Return what is wrong with the checks of a canary, which are its stages."""
    names = {check.name for check in checks}
    if _READABLE not in names:
        message = f"'{_READABLE}' cannot be off: it finds what the other stages ask for"
        return [(("checks",), message)]
    unknown = names - {check.name for check in CANARY}
    if unknown:
        stages = ", ".join(check.name for check in CANARY)
        return [(("checks",), f"'{min(unknown)}' is not a stage of a canary: {stages}")]
    longest = max(check.max or 0.0 for check in checks)
    if longest >= interval_seconds:
        message = f"is {interval_seconds:g}s: write more than the longest limit, {longest:g}s"
        return [(("interval",), message)]
    return []


def with_canary(probe: Probe, target: CanaryTarget, use: ProbeRef) -> Probe:
    """Return a canary with its paths; without a stream it has no stage of the stream.

    The parameters of `use` are known to be valid.
    """
    has_stream = use.stream is not None and target.stream_path is not None
    filled = CanaryTarget(
        _filled(target.comment_path, use),
        _filled(target.predict_path, use),
        _filled(target.stream_path or "", use) if has_stream else None,
    )
    checks = tuple(check for check in probe.checks if has_stream or check.name != _STREAMED)
    needs = (*(probe.needs or ()), *(CANARY_STREAM_NEEDS if has_stream else ()))
    return replace(probe, canary=filled, checks=checks, needs=needs)


def _filled(path: str, use: ProbeRef) -> str:
    for parameter in re.findall(r"\{(\w+)\}", path):
        segment = path_segment(parameter, str(getattr(use, parameter)), use.project)
        path = path.replace(f"{{{parameter}}}", segment)
    return path
