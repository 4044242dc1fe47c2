"""The fuzz targets hold for their seeds, for what hypothesis finds, and would notice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_seeds(name: str) -> None:
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=200)
@given(st.data())
def test_a_target_holds_for_pieces_of_seeds_and_noise(name: str, data: st.DataObject) -> None:
    pieces = st.sampled_from(SEEDS[name]).map(lambda seed: seed[: len(seed) // 2])
    parts = data.draw(st.lists(st.one_of(st.binary(max_size=30), pieces), max_size=5))
    TARGETS[name](b"".join(parts))
