"""Draws docs/demo.svg: the demo as a terminal shows it while a token is dead. `make picture`."""

import asyncio
import io
import tempfile
from pathlib import Path

from rich.console import Console

from prober.cli.demo import Demo

WIDTH = 100
PICTURE = Path(__file__).with_name("demo.svg")


async def main() -> None:
    """Play the demo fast, and keep what the screen shows in its last phase but one."""
    out = Console(record=True, force_terminal=True, width=WIDTH, file=io.StringIO())
    with tempfile.TemporaryDirectory(prefix="prober-demo-") as directory:
        demo = Demo(Path(directory), 5.0, 0, out)
        watched = demo.picture

        def keep(watch):
            picture = watched(watch)
            if watch.phase is not None and watch.phase.name == "token regenerated":
                drawn = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
                drawn.print(picture)
                text = drawn.export_text(clear=False)
                if "token_rejected" in text:
                    PICTURE.write_text(drawn.export_svg(title="prober demo"))
            return picture

        demo.picture = keep
        await demo.play([], once=True)


asyncio.run(main())
