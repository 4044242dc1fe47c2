"""A result that can be kept, whatever the other side sent."""

from dataclasses import replace

from prober.model import Result

KEPT_BODY_BYTES = 4096  # an error envelope is far shorter


def light(result: Result) -> Result:
    """Return a result without a body worth speaking of."""
    response = result.exchange.response
    if response is None or len(response.body) <= KEPT_BODY_BYTES:
        return result
    emptied = replace(response, body=b"", body_over_limit=True)
    return replace(result, exchange=replace(result.exchange, response=emptied))
