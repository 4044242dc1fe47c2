"""The words and colours of the status page, for Grafana. A colour never has a meaning of its own.

Colours are read from the dark half of the page's style sheet: Grafana has one colour for light and
dark backgrounds, and dashboards are mostly read in the dark theme.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from importlib.resources import files
from types import MappingProxyType

from prober.outcomes import Culprit, LatencyComponent, SkipCause, TokenState
from prober.render.text import CULPRIT_LABELS, SKIPS, symbol, token_symbol


def _colours() -> Mapping[str, str]:
    sheet = files("prober.web").joinpath("static/prober.css").read_text()
    dark = sheet.partition("prefers-color-scheme: dark")[2].partition("}")[0]
    return MappingProxyType(dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", dark)))


COLOURS = _colours()
GOOD, BAD, WARNING = COLOURS["good"], COLOURS["platform"], COLOURS["credential"]
NEUTRAL = COLOURS["link"]  # no culprit has it
PLAIN = "text"  # Grafana's name for a colour that is readable on both backgrounds
CULPRIT_COLOURS: Mapping[Culprit, str] = MappingProxyType(
    {culprit: COLOURS["good" if culprit is Culprit.NONE else culprit] for culprit in Culprit}
)
CULPRIT_WORDS: Mapping[Culprit, str] = MappingProxyType(
    {culprit: f"{symbol(culprit)} {CULPRIT_LABELS[culprit]}" for culprit in Culprit}
)
SIDE_COLOURS: Mapping[LatencyComponent, str] = MappingProxyType(
    {side: COLOURS[f"{side}-time"] for side in LatencyComponent}
)
_TOKEN_COLOURS: Mapping[TokenState, str] = MappingProxyType(
    {
        TokenState.MISSING: COLOURS["prober"],
        TokenState.UNVERIFIED: COLOURS["nothing"],
        TokenState.VALID: COLOURS["good"],
        TokenState.REJECTED: COLOURS["credential"],
    }
)


@dataclass(frozen=True, slots=True)
class Shown:
    """How one value is shown: as a word, with a colour."""

    text: str
    colour: str


class Code(IntEnum):
    """The value of a status in queries; the greater of two is worse."""

    OK = 0
    MAINTENANCE = 1
    WAITING = 2
    PAUSED = 3
    NETWORK_SLOW = 4
    PLATFORM_SLOW = 5


# The page names the culprit of most probes; of two with equally many, the first one in its order.
_WORST_LAST = [culprit for culprit in reversed(list(CULPRIT_LABELS)) if culprit is not Culprit.NONE]
CULPRIT_CODES: Mapping[Culprit, int] = MappingProxyType(
    {culprit: Code.PLATFORM_SLOW + place for place, culprit in enumerate(_WORST_LAST, 1)}
)
STATUSES: Mapping[int, Shown] = MappingProxyType(
    {
        Code.OK: Shown(CULPRIT_WORDS[Culprit.NONE], COLOURS["good"]),
        Code.MAINTENANCE: Shown("· in maintenance", COLOURS["line"]),
        Code.WAITING: Shown("· no run yet", COLOURS["nothing"]),
        Code.PAUSED: Shown(f"· {SKIPS[SkipCause.TOKEN_REJECTED]}", COLOURS["nothing"]),
        Code.NETWORK_SLOW: Shown("~ network path, slow", COLOURS["slow-ground"]),
        Code.PLATFORM_SLOW: Shown("~ platform, slow", COLOURS["slow-ground"]),
        **{
            code: Shown(CULPRIT_WORDS[culprit], CULPRIT_COLOURS[culprit])
            for culprit, code in CULPRIT_CODES.items()
        },
    }
)
TOKEN_CODES: Mapping[TokenState, int] = MappingProxyType(
    {
        TokenState.VALID: 0,
        TokenState.UNVERIFIED: 1,
        TokenState.MISSING: 2,
        TokenState.REJECTED: 3,
    }
)
TOKENS: Mapping[int, Shown] = MappingProxyType(
    {
        code: Shown(f"{token_symbol(state)} {state}", _TOKEN_COLOURS[state])
        for state, code in TOKEN_CODES.items()
    }
)
CULPRITS: Mapping[str, Shown] = MappingProxyType(
    {culprit.value: Shown(CULPRIT_WORDS[culprit], CULPRIT_COLOURS[culprit]) for culprit in Culprit}
)
YES_NO: Mapping[int, Shown] = MappingProxyType({1: Shown("✓ yes", GOOD), 0: Shown("✗ no", BAD)})
