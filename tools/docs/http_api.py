"""The reference of the HTTP API: its own OpenAPI description as a table."""

from pydantic import BaseModel

from prober.web.annotate import WRITES
from prober.web.api import OPERATIONS


def http_api_reference() -> str:
    """Return a table of operations, and one of their parameters."""
    lines = ["| request | response | parameters |", "| --- | --- | --- |"]
    lines += [
        f"| `GET {each.path}` | {each.description} |"
        f" {', '.join(f'`{parameter.name}`' for parameter in each.parameters)} |"
        for each in OPERATIONS
    ]
    lines += ["", "| request that writes | body | effect |", "| --- | --- | --- |"]
    lines += [
        f"| `POST {each.path}` | {_fields(each.body_schema)} | {each.description} |"
        for each in WRITES
    ]
    parameters = {parameter.name: parameter for each in OPERATIONS for parameter in each.parameters}
    lines += ["", "| parameter | in | default | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{name}` | {each.where} | {f'`{each.default}`' if each.default else ''} |"
        f" {each.description} |"
        for name, each in sorted(parameters.items())
    ]
    return "\n".join(lines)


def _fields(body: type[BaseModel]) -> str:
    return ", ".join(f"`{name}`" for name in body.model_fields)
