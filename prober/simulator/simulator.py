"""The simulator: starts and stops the platform's server, and a network proxy for each tenant."""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from prober.simulator import platform
from prober.simulator.faults import FaultLayer, with_message
from prober.simulator.platform import Latency
from prober.simulator.server import Certificates, PlatformServer
from prober.simulator.state import ActiveFault, SimulatedTenant, SimulatorState, fault_named

_CHUNK_BYTES = 64 * 1024
_IN_FLIGHT_CHUNKS = 64


class LatencyProxy:
    """A TCP proxy to `target` that delays what the target sends by `delay_seconds`."""

    def __init__(self, target: tuple[str, int], delay_seconds: float = 0.0) -> None:
        self.delay_seconds = delay_seconds
        self._target = target
        self._address = ("127.0.0.1", 0)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port; it stays the same when the network is cut and restored."""
        return self._address[1]

    @property
    def is_cut(self) -> bool:
        """Whether connections are refused."""
        return self._server is None

    async def start(self) -> None:
        """Start relaying."""
        self._server = await asyncio.start_server(self._on_connection, *self._address)
        self._address = self._server.sockets[0].getsockname()[:2]

    async def cut(self) -> None:
        """Refuse new connections and abort open ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def restore(self) -> None:
        """Relay again after `cut`."""
        if self._server is None:
            await self.start()

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- asyncio runs this in a task of its own
        self._connections.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            try:
                await self._forward((reader, writer), (far_reader, far_writer))
            finally:
                far_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # either end may disconnect at any time
        finally:
            self._connections.discard(task)
            writer.close()

    async def _forward(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Relay until the target closes the connection, or either end fails."""
        outbound = asyncio.create_task(_pass_on(near[0], far[1]), name="latency proxy: request")
        inbound = asyncio.create_task(
            self._forward_back(far[0], near[1]), name="latency proxy: response"
        )
        try:
            await inbound
        finally:
            for task in (outbound, inbound):
                task.cancel()
            await asyncio.gather(outbound, inbound, return_exceptions=True)

    async def _forward_back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        clock = asyncio.get_running_loop().time
        proxy: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT_CHUNKS)

        async def receive() -> None:
            data = b"-"
            while data:
                try:
                    data = await reader.read(_CHUNK_BYTES)
                except OSError:
                    data = b""
                await proxy.put((clock() + self.delay_seconds, data))

        receiving = asyncio.create_task(receive(), name="latency proxy: receive")
        try:
            while True:
                due, data = await proxy.get()
                await asyncio.sleep(max(0.0, due - clock()))
                if not data:
                    return
                writer.write(data)
                await writer.drain()
        finally:
            receiving.cancel()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """What to simulate, and where to listen; port 0 selects a free port."""

    tenants: tuple[SimulatedTenant, ...]
    seed: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    latency: Latency = field(default_factory=Latency)
    token_directory: Path | None = None
    issued_token_seconds: float = 3600.0
    jwt_seconds: float | None = None
    """The lifetime of users' tokens. With it all tokens are JWTs; without it they are opaque."""


class Simulator:
    """The simulated platform; an asynchronous context manager that serves while it is open."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.state = SimulatorState(
            config.tenants,
            config.seed,
            config.latency,
            config.issued_token_seconds,
            jwt_seconds=config.jwt_seconds,
            now=time.time(),
        )
        self.certificates = Certificates() if config.tls else None
        self.proxies: dict[str, LatencyProxy] = {}
        self._server = PlatformServer(self.state, self.certificates)
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start all servers. Raises OSError."""
        await self._server.start(self.config.host, self.config.port)
        self._resources.push_async_callback(self._server.close)
        for tenant in self.config.tenants:
            if tenant.behind_proxy:
                proxy = LatencyProxy(self._server.address)
                await proxy.start()
                self._resources.push_async_callback(proxy.cut)
                self.proxies[tenant.name] = proxy
            if self.config.token_directory is not None:
                await self.deliver(tenant.name)
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop all servers."""
        await self._resources.aclose()

    @property
    def url(self) -> str:
        """The platform's address, without the path of a tenant."""
        return self._url(self._server.address[1])

    def base_url(self, tenant: str) -> str:
        """Return a tenant's base address, through its own network proxy if it has one."""
        proxy = self.proxies.get(self.state.require_tenant(tenant))
        prefix = self.state.tenants[tenant].address.prefix
        return f"{self.url if proxy is None else self._url(proxy.port)}{prefix}"

    def token(self, tenant: str) -> str:
        """Return the active token of a tenant's user."""
        return self.state.accounts.token(self.state.require_tenant(tenant))

    def regenerate(self, tenant: str) -> str:
        """Generate a new token for a tenant's user. The previous one becomes invalid at once."""
        return self.state.accounts.regenerate(self.state.require_tenant(tenant), time.time())

    @property
    def token_url(self) -> str:
        """The token URL for OAuth clients."""
        return f"{self.url}{platform.PATH}"

    def replace_secret(self, tenant: str) -> str:
        """Replace the secret of a tenant's OAuth client."""
        return self.state.identity.replace_secret(self.state.require_tenant(tenant))

    async def deliver(self, tenant: str) -> Path:
        """Write a tenant's current token and client secret to the token directory, atomically.

        Returns the token's file.
        """
        directory = self.config.token_directory
        if directory is None:
            raise ValueError("the simulator was started without a token directory")
        token, secret = self.token(tenant), self.state.identity.secret(tenant)
        await asyncio.to_thread(_write, directory / f"{tenant}.client-secret", secret)
        return await asyncio.to_thread(_write, directory / f"{tenant}.token", token)

    async def set_fault(
        self,
        name: str,
        tenant: str | None = None,
        path: str | None = None,
        times: int | None = None,
        *,
        message: str | None = None,
    ) -> None:
        """Start a fault of `faults.FAULTS`. Raises KeyError, or ValueError if not possible.

        `path` is a shell pattern for the path relative to a tenant's base address.
        """
        fault = fault_named(name)
        with_message(fault, message)
        if fault.layer is FaultLayer.HANDSHAKE and self.certificates is None:
            raise ValueError(f"'{name}' needs TLS: this simulator speaks plain HTTP")
        if fault.layer in {FaultLayer.HANDSHAKE, FaultLayer.LISTENER} and (tenant or path or times):
            raise ValueError(f"'{name}' happens before any request: it applies to all tenants")
        self.state.set_fault(ActiveFault(fault, tenant, path, times, message))
        if fault.layer in {FaultLayer.HANDSHAKE, FaultLayer.LISTENER}:
            await self._server.restart_listener()

    async def clear_faults(self, tenant: str | None = None) -> None:
        """End the faults of one tenant, or all."""
        before = (self.state.handshake_fault(), self.state.listener_fault())
        self.state.clear_faults(tenant)
        if before != (self.state.handshake_fault(), self.state.listener_fault()):
            await self._server.restart_listener()

    def proxy(self, tenant: str) -> LatencyProxy:
        """Return a tenant's network proxy. Raises ValueError if it has none."""
        if self.state.require_tenant(tenant) not in self.proxies:
            raise ValueError(f"tenant '{tenant}' has no network of its own to slow down or cut")
        return self.proxies[tenant]

    def _url(self, port: int) -> str:
        scheme = "http" if self.certificates is None else "https"
        host = self.config.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _write(file: Path, token: str) -> Path:
    new = file.with_name(f"{file.name}.new")
    new.touch(mode=0o600)
    new.write_text(f"{token}\n")
    return new.replace(file)
