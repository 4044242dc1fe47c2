"""The stage, a program: a network namespace with a resolver, good servers and hostile ones.

Run as `unshare --net --mount python -m tests.faults.netns DIRECTORY`. It writes the settings of a
daemon with one tenant for each fault to DIRECTORY, says READY, and ends with its standard input.
Since nobody outside can reach its network, it bridges: who connects to DIRECTORY/bridge and names a
port in one line is connected with that port.
"""

import asyncio
import fcntl
import json
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from prober.simulator.faults import FaultLayer
from prober.simulator.platform import Latency, TenantAddress
from prober.simulator.scenario import Action, apply_action
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.state import SimulatedTenant
from tests.faults.cases import BASE, OF_OUR_OWN, SIMULATED
from tests.faults.certificates import REFUSING, contexts
from tests.faults.dns_server import Resolver
from tests.faults.malicious_server import Talk, says, whole

_SET_FLAGS, _UP = 0x8914, 0x1  # SIOCSIFFLAGS, IFF_UP: netdevice(7)
_OF_THE_ANSWER = frozenset({FaultLayer.RESPONSE, FaultLayer.WIRE})

Tenants = dict[str, dict[str, Any]]


def loopback_up() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", b"lo", _UP))


def resolve_here(directory: Path) -> None:
    """Let the system's resolver ask ours, in this mount namespace alone."""
    for name, content in (
        ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
    ):
        file, system = directory / name, Path("/etc") / name
        file.write_text(content)
        if system.exists():
            subprocess.run(["mount", "--bind", file, system], check=True)


def refuse_by_alert(context: ssl.SSLContext) -> int:
    """Serve handshakes alone, in a thread: asyncio hangs up without the alert. Return the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            accepted, _ = listener.accept()
            with (
                accepted,
                suppress(OSError),
                context.wrap_socket(accepted, server_side=True) as tls,
            ):
                tls.recv(65536)

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


async def listen(talk: Talk, context: ssl.SSLContext | None, servers: AsyncExitStack) -> int:
    """Serve `talk`; return the port."""

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            try:
                await talk(reader, writer)
            finally:
                writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=context, backlog=64)
    servers.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


def filled(value: object, port: int) -> Any:  # noqa: ANN401 -- settings, as JSON has them
    """Put the port into settings."""
    if isinstance(value, str):
        return value.replace("{port}", str(port))
    if isinstance(value, Mapping):
        return {key: filled(inner, port) for key, inner in value.items()}
    return value


async def hostile_tenants(made: Mapping[str, ssl.SSLContext], servers: AsyncExitStack) -> Tenants:
    good_port = await listen(says(whole()), None, servers)
    tenants: Tenants = {
        "good-name": filled({"base_url": "http://good.test:{port}/acme"}, good_port),
        "good-plain": filled({"base_url": BASE}, good_port),
        "good-tls": filled(
            {"base_url": "https://good.test:{port}/acme"},
            await listen(says(whole()), made["good"], servers),
        ),
    }
    for case in OF_OUR_OWN:
        context = made.get(case.tls or "")
        if case.talk is None:
            port = good_port
        elif context is not None and case.tls in REFUSING:
            port = refuse_by_alert(context)
        else:
            port = await listen(case.talk, context, servers)
        base_url = BASE
        if case.row == "4":
            base_url = "https://good.test:{port}/acme"
        tenants[case.name] = filled({"base_url": base_url, **case.tenant}, port)
    return tenants


async def simulated_tenants(directory: Path, servers: AsyncExitStack) -> Tenants:
    """Start the simulated platform once for all faults of answers, and once for each other."""
    together = [fault.name for fault in SIMULATED if fault.layer in _OF_THE_ANSWER]
    alone = [fault.name for fault in SIMULATED if fault.layer not in _OF_THE_ANSWER]
    tenants: Tenants = {}
    for names in (together, *([name] for name in alone)):
        tls = names != together
        config = SimulatorConfig(
            tuple(SimulatedTenant(name, TenantAddress("acme", name), user=name) for name in names),
            tls=tls,
            latency=Latency(0.005, 0.0),
        )
        simulator = await servers.enter_async_context(Simulator(config))
        for name in names:
            await apply_action(Action(fault=name, tenant=None if tls else name), simulator)
            (directory / f"{name}.token").write_text(simulator.token(name))
            tenants[name] = {
                "base_url": simulator.base_url(name),
                "token": {"file": f"{name}.token"},
            }
            if simulator.certificates is not None:
                simulator.certificates.write_authority(directory / f"{name}.pem")
                tenants[name]["ca_file"] = f"{name}.pem"
    return tenants


async def bridge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join a connection of the outer world with a port in here."""
    with suppress(OSError):
        port = int(await reader.readline())
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
    writer.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(directory: Path) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as servers:
        transport, _ = await loop.create_datagram_endpoint(Resolver, ("127.0.0.1", 53))
        servers.callback(transport.close)
        server = await asyncio.start_unix_server(bridge, directory / "bridge")
        servers.callback(server.close)
        tenants = await hostile_tenants(contexts(directory), servers)
        tenants |= await simulated_tenants(directory, servers)
        (directory / "tenants.json").write_text(json.dumps(tenants))
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    loopback_up()
    resolve_here(Path(sys.argv[1]))
    asyncio.run(main(Path(sys.argv[1])))
