"""What keys of `web` and web.yml mean together. Pure."""

from pathlib import Path

from prober.access.rules import Access
from prober.settings import schema
from prober.settings.resolve import WebOptions
from prober.settings.url import is_loopback
from prober.settings.yaml_file import Note

_WRITES = ("ad_hoc_runs", "reload")
"""Keys that let clients do more than read."""


def web_options(web: schema.Web, config_file: Path | None) -> WebOptions:
    """Return the options of the web server, whose web.yml is `config_file`."""
    host, port = schema.listen_address(web.listen)
    return WebOptions(
        host,
        port,
        web.max_series,
        web.histograms,
        web.ad_hoc_runs,
        web.reload,
        tuple(web.hosts),
        config_file,
        web.max_connections,
    )


def open_writes(web: schema.Web, access: Access) -> list[Note]:
    """Return what is wrong when clients may write and none of them can show who it is."""
    if access.knows_clients:
        return []
    message = (
        "would let everybody do it who reaches the address: name a web.config_file with"
        " basic_auth_users or client certificates, or leave it false"
    )
    return [(("web", key), message) for key in _WRITES if getattr(web, key)]


def exposure(web: schema.Web, access: Access) -> list[Note]:
    """Return what is to be said when other machines reach the web server."""
    host, _ = schema.listen_address(web.listen)
    if is_loopback(host):
        return []
    warnings: list[Note] = []
    if not access.is_closed:
        message = (
            f"{host} is reached from other machines, and nobody is asked who they are: name a"
            " web.config_file with basic_auth_users or client certificates, or listen on 127.0.0.1"
        )
        warnings.append((("web", "listen"), message))
    if access.users and access.tls is None:
        message = "passwords travel in plain HTTP: add tls_server_config to web.config_file"
        warnings.append((("web", "listen"), message))
    return warnings
