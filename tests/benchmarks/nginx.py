"""A target that costs next to nothing: nginx with one static answer in the platform's form."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.benchmarks.processes import running
from tests.programs import free_port

_CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_certificate {directory}/server.pem;
    ssl_certificate_key {directory}/server.pem;
    default_type application/json;
    add_header Server-Timing "total;dur=0.01" always;
    location / {{ return 200 '{{"status": "ok", "datasets": [{{}}]}}'; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class StaticPlatform:
    """Where it answers."""

    plain_url: str
    tls_url: str
    ca_file: Path

    def url(self, *, tls: bool) -> str:
        """Return the address by kind of connection."""
        return self.tls_url if tls else self.plain_url


@contextmanager
def static_platform(directory: Path) -> Iterator[StaticPlatform]:
    """Start nginx with files of its own in `directory`; its keep-alive is the client's choice."""
    home = directory / "nginx"
    home.mkdir()
    authority = trustme.CA()
    ca_file = home / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(
        str(home / "server.pem")
    )
    plain, tls = free_port(), free_port()
    configuration = home / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(directory=home, plain=plain, tls=tls))
    command = ["nginx", "-p", str(home), "-e", str(home / "start.log"), "-c", str(configuration)]
    with running(command, home / "output.log", tls):
        yield StaticPlatform(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}", ca_file)
