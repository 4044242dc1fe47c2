"""The whole simulated platform: servers, lines and tokens, started and ended together."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from prober.simulator import identity
from prober.simulator.certificates import Certificates
from prober.simulator.delay_line import DelayLine
from prober.simulator.faults import Stage
from prober.simulator.latency import Latency
from prober.simulator.server import PlatformServer
from prober.simulator.world import ActiveFault, SimulatedTenant, World, fault_named


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """What to simulate, and where to listen; port 0 takes a free one."""

    tenants: tuple[SimulatedTenant, ...]
    seed: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    latency: Latency = field(default_factory=Latency)
    token_directory: Path | None = None
    issued_token_seconds: float = 3600.0


class Simulator:
    """Use as an asynchronous context manager: within it, the platform is there."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.world = World(config.tenants, config.seed, config.latency, config.issued_token_seconds)
        self.certificates = Certificates() if config.tls else None
        self.lines: dict[str, DelayLine] = {}
        self._server = PlatformServer(self.world, self.certificates)
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Listen; raises OSError."""
        await self._server.start(self.config.host, self.config.port)
        self._resources.push_async_callback(self._server.close)
        for tenant in self.config.tenants:
            if tenant.behind_delay_line:
                line = DelayLine(self._server.address)
                await line.start()
                self._resources.push_async_callback(line.cut)
                self.lines[tenant.name] = line
            if self.config.token_directory is not None:
                await self.deliver(tenant.name)
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End everything."""
        await self._resources.aclose()

    @property
    def url(self) -> str:
        """Return where the platform is, without any tenant's path."""
        return self._url(self._server.address[1])

    def base_url(self, tenant: str) -> str:
        """Return what a tenant's `/api/...` follows, through its own network if it has one."""
        line = self.lines.get(self.world.known(tenant))
        prefix = self.world.tenants[tenant].address.prefix
        return f"{self.url if line is None else self._url(line.port)}{prefix}"

    def token(self, tenant: str) -> str:
        """Return the one token that is accepted for a tenant."""
        return self.world.accounts.token(self.world.known(tenant))

    def regenerate(self, tenant: str) -> str:
        """Generate a new token for a tenant's user: the one before is dead at once."""
        return self.world.accounts.regenerate(self.world.known(tenant))

    @property
    def token_url(self) -> str:
        """Return where OAuth clients ask for tokens."""
        return f"{self.url}{identity.PATH}"

    def replace_secret(self, tenant: str) -> str:
        """Give a tenant's OAuth client a new secret."""
        return self.world.identity.replace_secret(self.world.known(tenant))

    async def deliver(self, tenant: str) -> Path:
        """Write a tenant's present token and its client's secret to the token directory.

        Each by renaming; returns the token's file.
        """
        directory = self.config.token_directory
        if directory is None:
            raise ValueError("the simulator was started without a directory for tokens")
        token, secret = self.token(tenant), self.world.identity.secret(tenant)
        await asyncio.to_thread(_write, directory / f"{tenant}.client-secret", secret)
        return await asyncio.to_thread(_write, directory / f"{tenant}.token", token)

    async def set_fault(
        self,
        name: str,
        tenant: str | None = None,
        path: str | None = None,
        times: int | None = None,
    ) -> None:
        """Put a fault of `faults.FAULTS` in force; raises KeyError, or ValueError if it cannot be.

        `path` is a shell pattern for what follows a tenant's base address.
        """
        fault = fault_named(name)
        if fault.stage is Stage.HANDSHAKE and self.certificates is None:
            raise ValueError(f"'{name}' needs TLS: this simulator speaks plain HTTP")
        if fault.stage in {Stage.HANDSHAKE, Stage.LISTENER} and (tenant or path or times):
            raise ValueError(f"'{name}' happens before any request: it hits all tenants")
        self.world.set_fault(ActiveFault(fault, tenant, path, times))
        if fault.stage in {Stage.HANDSHAKE, Stage.LISTENER}:
            await self._server.listen_anew()

    async def clear_faults(self, tenant: str | None = None) -> None:
        """End the faults of one tenant, or all."""
        before = (self.world.handshake_fault(), self.world.listener_fault())
        self.world.clear_faults(tenant)
        if before != (self.world.handshake_fault(), self.world.listener_fault()):
            await self._server.listen_anew()

    def line(self, tenant: str) -> DelayLine:
        """Return the network before a tenant; raises ValueError if there is none."""
        if self.world.known(tenant) not in self.lines:
            raise ValueError(f"tenant '{tenant}' has no network of its own to slow down or cut")
        return self.lines[tenant]

    def _url(self, port: int) -> str:
        scheme = "http" if self.certificates is None else "https"
        return f"{scheme}://{self.config.host}:{port}"


def _write(file: Path, token: str) -> Path:
    new = file.with_name(f"{file.name}.new")
    new.touch(mode=0o600)
    new.write_text(f"{token}\n")
    return new.replace(file)
