"""Fixtures of the unit tests."""

import functools
from collections.abc import Iterator
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses


@pytest.fixture
def http_responses(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Responses in place of everything that an aiohttp session would send.

    aioresponses 0.7.9 makes a ClientResponse without `stream_writer`, which aiohttp 3.14 requires
    and of which it reads `output_size` alone (github.com/pnuckowski/aioresponses issue 289). This
    supplies it; a release with pull request 288 makes it unnecessary.
    """
    response = functools.partial(aiohttp.ClientResponse, stream_writer=Mock(output_size=0))
    monkeypatch.setattr("aioresponses.core.ClientResponse", response)
    with aioresponses() as responses:
        yield responses
