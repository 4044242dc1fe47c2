import click
import pytest

from prober.cli.options import SHARD
from prober.models import Shard


@pytest.mark.parametrize(
    ("text", "shard"), [("0/1", Shard()), ("0/3", Shard(0, 3)), ("11/12", Shard(11, 12))]
)
def test_a_shard_is_its_index_of_a_number(text: str, shard: Shard) -> None:
    assert SHARD.convert(text, None, None) == shard


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/3", "apps.kubernetes.io/pod-index"),
        ("$(POD_INDEX)/3", "write INDEX/COUNT"),
        ("1", "write INDEX/COUNT"),
        ("3/3", "of 3 shards the last is 2: they begin at 0"),
        ("0/0", "the number of shards is from 1 to 1000"),
        ("-1/3", "write INDEX/COUNT"),
        ("\u0661/3", "write INDEX/COUNT"),
    ],
)
def test_what_is_no_shard_is_answered_with_what_would_be(text: str, message: str) -> None:
    with pytest.raises(click.BadParameter, match=message):
        SHARD.convert(text, None, None)
