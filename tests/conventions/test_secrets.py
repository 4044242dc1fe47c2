"""What holds secrets is read only by the modules that send or remove them."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATES = [
    path for path in (ROOT / "prober").rglob("*") if path.suffix in {".html", ".js", ".md"}
]

READERS: Mapping[str, Mapping[str, str]] = {
    "get_secret_value": {
        "prober/cli/init.py": "writes the token into its private file",
        "prober/http_client/client.py": "sends Authorization",
        "prober/probe.py": "makes the value of Authorization",
        "prober/redaction.py": "makes the patterns of what is removed",
        "prober/tokens/manager.py": "makes the fingerprint, and reads a JWT's expiry",
        "prober/tokens/oauth.py": "sends the client's secret, and reads a JWT's expiry",
    },
    # A path may have secret query parameters. Everything else shows `Probe.shown_path`.
    "sent_path": {
        "prober/cli/discover.py": "compares requests, to add none twice",
        "prober/models.py": "makes `shown_path` of it",
        "prober/probe.py": "makes the request, and chooses another route",
    },
    "sent_headers": {"prober/probe.py": "makes the request"},
    "proxy_url": {
        "prober/config/proxies.py": "warns of a password in it, without quoting it",
        "prober/http_client/client.py": "connects to the proxy",
    },
    "other_secrets": {"prober/probe.py": "has them removed from responses"},
    # These show all fields of a value, and so the secret ones too.
    "asdict": {
        "prober/cli/report.py": "a report, which is made to be shown",
        "prober/config/discovery.py": "an inventory of names",
        "prober/history/annotations.py": "the users' notes",
        "prober/history/published_statuses.py": "incidents of a public status page",
        "prober/render/checks.py": "the document of a check",
        "prober/render/documents.py": "a canary's steps, a certificate, TCP statistics",
        "prober/report/builder.py": "a report, which is made to be shown",
        "prober/simulator/admin_api.py": "settings of the simulator",
        "prober/simulator/state.py": "settings of the simulator",
        "prober/tokens/store.py": "fingerprints and times",
    },
    "astuple": {},
    "vars": {},
    "__dict__": {},
}
"""Attributes and functions that show secrets, the modules that may use each, and why."""

REQUEST_MODULES = {
    "prober/http_client/client.py": "sends requests",
    "prober/monitors.py": "makes requests without any secret",
    "prober/probe.py": "makes the requests of probes",
    "prober/tokens/oauth.py": "makes token requests",
    "prober/tokens/oauth_client.py": "has token requests sent",
}
"""The modules that may use `models.Request`: its URL, headers and body hold secrets."""


def _names(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module reads: of attributes, functions, imports, and in `getattr`."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(origin), names=imported):
                yield from (f"{origin}.{each.name}" for each in imported)
            case (
                ast.Attribute(attr=name, ctx=ast.Load())
                | ast.Name(id=name, ctx=ast.Load())
                | ast.alias(name=name)
            ):
                yield name
            case ast.Call(func=ast.Name(id="getattr" | "attrgetter"), args=arguments):
                for each in arguments:
                    if isinstance(each, ast.Constant):
                        yield str(each.value)


@cache  # all modules are parsed once, when the first test needs them
def names_by_module() -> Mapping[str, frozenset[str]]:
    return {
        str(path.relative_to(ROOT)): frozenset(_names(ast.parse(path.read_text())))
        for path in (ROOT / "prober").rglob("*.py")
    }


@pytest.mark.parametrize("name", READERS)
def test_a_secret_is_read_only_where_it_is_sent_or_removed(name: str) -> None:
    """If this fails: show what has no secrets, such as `probe.shown_path`, or add the reason."""
    found = {module for module, names in names_by_module().items() if name in names}
    assert found == set(READERS[name])


def test_requests_are_known_only_to_what_makes_or_sends_them() -> None:
    found = {
        module for module, names in names_by_module().items() if "prober.models.Request" in names
    }
    assert found == set(REQUEST_MODULES)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_and_scripts_name_no_secret(path: Path) -> None:
    text = path.read_text()
    named = {name for name in READERS.keys() - {"vars"} if name in text}
    assert named == set()


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("print(each.sent_path)", True),
        ("def f(p): return p.sent_path", True),
        ("getattr(probe, 'sent_path')", True),
        ("from operator import attrgetter\nattrgetter('sent_path')", True),
        ("print(probe.shown_path)", False),
        ("Probe(sent_path='/')", False),
    ],
)
def test_the_search_finds_each_way_to_read(source: str, *, is_found: bool) -> None:
    assert ("sent_path" in _names(ast.parse(source))) is is_found
