"""Streams through unmodified SDKs, and the consumer group of the examples: every record once, in order for each key."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.environments import Environment

pytestmark = pytest.mark.client
Environments = Callable[[str], Environment]
Unique = Callable[[str], str]
GROUP = Path(__file__).parents[2] / "examples" / "consumer_group.py"


@pytest.mark.parametrize(
    ("name", "program"), [("boto3", "kinesis_streams.py"), ("aws-sdk-js", "kinesis_streams.cjs")], ids=["boto3", "js"]
)
def test_produce_consume_reshard_replay_and_fan_out(
    environment: Environments, unique: Unique, name: str, program: str
) -> None:
    assert environment(name).run(program, unique("stream")) == {
        "printed": "",
        "consumed": True,
        "shards": 15,
        "by_sequence": True,
        "by_time": True,
        "fanned_out": [True, True, True],
    }


def test_a_consumer_group_shares_a_stream(environment: Environments, unique: Unique) -> None:
    result = environment("boto3").run(str(GROUP), unique("group"))
    assert (result["processed"], result["in_order"], result["shards"]) == (1200, True, 10)
    assert result["workers"] > 1
