"""Binding the web server's address, and letting it go."""

import os
from dataclasses import dataclass, field

from aiohttp import web

from prober.errors import ListenError

_SHUTDOWN_SECONDS = 2.0  # a scraper that holds its connection must not hold up the daemon's end


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that is bound and answers. `port` is the one bound, also where 0 was asked for."""

    host: str
    port: int
    _runner: web.AppRunner = field(repr=False)

    @property
    def url(self) -> str:
        """Where it is found."""
        return f"http://{_in_url(self.host)}:{self.port}"

    async def close(self) -> None:
        """Free the address and end what is still being answered."""
        await self._runner.cleanup()


async def listen(app: web.Application, host: str, port: int) -> Listening:
    """Serve `app` at an address; port 0 takes a free one. Raises ListenError."""
    runner = web.AppRunner(
        app, handle_signals=False, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ListenError(
            f"cannot listen on {_in_url(host)}:{port}: {_why(error)};"
            " stop what uses this address, or set web.listen to another"
        ) from error
    return Listening(host, site.port, runner)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _why(error: OSError) -> str:
    """Return the system's own words, or those of name resolution, whose numbers are negative."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower()
