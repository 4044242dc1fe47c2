"""The secrets of saved requests: the responses may contain them, too."""

import re
from collections.abc import Iterable

from pydantic import SecretStr

_SECRET_HEADER = re.compile(
    r"(proxy-)?authorization|cookie|(.*[-_])?(api)?(key|token|secret|password)", re.IGNORECASE
)
MAX_SECRETS = 20
"""More secrets of one file are not looked for."""


def header_secrets(headers: Iterable[tuple[str, str]]) -> tuple[SecretStr, ...]:
    """Return what is secret in the headers of requests: with its scheme, and without."""
    found: dict[str, None] = {}
    for name, value in headers:
        if _SECRET_HEADER.fullmatch(name):
            found |= dict.fromkeys((value, value.rpartition(" ")[2]))
    return tuple(SecretStr(each) for each in list(found)[:MAX_SECRETS])
