"""The edge: warnings about limits of the process that are too low for its configuration.

A prober that reaches a limit goes on, and its runs are `resource_exhausted`.
"""

import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from prober.config.addresses import is_ip_address
from prober.config.resolve import Config
from prober.config.yaml import Note
from prober.http_client.dns import MAX_LOOKUPS, MAX_LOOKUPS_PER_NAME
from prober.models import ConnectionPolicy, Tenant

OTHER_FILES = 64
"""Listening sockets, databases, the log, and files that are open briefly."""
OTHER_THREADS = 48
"""The main thread, the history's, the passwords', and the 32 of the event loop's executor."""
_CGROUP_DIRECTORY = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """How many files and threads the process may have at once; None if that is not limited."""

    files: int | None = None
    threads: int | None = None


def current_limits() -> ProcessLimits:
    """Return the limits of this process: `ulimit -n`, `ulimit -u`, and its control group's."""
    threads = [_cgroup_threads()]
    if os.geteuid() != 0:  # root may have more
        threads.append(_limit(resource.RLIMIT_NPROC))
    known = [each for each in threads if each is not None]
    return ProcessLimits(_limit(resource.RLIMIT_NOFILE), min(known, default=None))


def limit_warnings(config: Config, limits: ProcessLimits) -> list[Note]:
    """Return a warning for each limit that the configuration can reach. Pure."""
    warnings: list[Note] = []
    files = needed_files(config)
    if limits.files is not None and limits.files < files:
        message = (
            f"{files} open files can be necessary (runs, kept connections, web clients), and this"
            f" process may have {limits.files}: raise the limit ('ulimit -n {files}',"
            f" LimitNOFILE={files} in systemd), or lower this and web.max_connections"
        )
        warnings.append((("scheduler", "max_concurrent"), message))
    threads = needed_threads(config.tenants)
    if limits.threads is not None and limits.threads < threads:
        message = (
            f"{threads} threads can be necessary while name servers do not respond, and this"
            f" process may have {limits.threads}: raise the limit ('ulimit -u', TasksMax={threads}"
            " in systemd, the limit of processes of the container)"
        )
        warnings.append((("tenants",), message))
    return warnings


def needed_files(config: Config) -> int:
    """Return how many files can be open at once."""
    tenants = config.tenants
    shared = config.scheduler.max_concurrent + len(tenants)  # and one run of each tenant
    runs = min(shared, sum(min(each.concurrency, len(each.probes)) for each in tenants))
    kept = sum(
        probe.connection is ConnectionPolicy.REUSE for each in tenants for probe in each.probes
    )
    return runs + kept + config.web.max_connections + MAX_LOOKUPS + OTHER_FILES


def needed_threads(tenants: Iterable[Tenant]) -> int:
    """Return how many threads there can be at once: most of them look up names."""
    urls = [tenant.base_url for tenant in tenants]
    urls += [each.token.location for each in tenants if each.token.client is not None]
    hosts = {urlsplit(url).hostname or "" for url in urls}
    names = [host for host in hosts if not is_ip_address(host)]
    return min(MAX_LOOKUPS, MAX_LOOKUPS_PER_NAME * len(names)) + OTHER_THREADS


def _limit(number: int) -> int | None:
    soft, _ = resource.getrlimit(number)
    return None if soft == resource.RLIM_INFINITY else soft


def _cgroup_threads() -> int | None:
    """Return pids.max of the process's control group (version 2), None if it is unknown."""
    try:
        own = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
        path = next(line[3:] for line in own if line.startswith("0::/"))
        written = (_CGROUP_DIRECTORY / path.lstrip("/") / "pids.max").read_text("ascii").strip()
    except (OSError, ValueError, StopIteration):
        return None
    return int(written) if written.isdigit() else None
