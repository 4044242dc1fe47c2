"""Draws docs/demo.svg: the demo as a terminal shows it while a token is dead. `make picture`."""

import asyncio
import io
import re
import tempfile
from pathlib import Path

from rich.console import Console

from prober.cli.demo import Demo

WIDTH = 100
FONT = r"@font-face \{.*?\}\s*"  # a picture loads nothing from elsewhere
PICTURE = Path(__file__).with_name("demo.svg")


async def main() -> None:
    """Play the demo fast, and keep what the screen shows in its last phase but one."""
    out = Console(force_terminal=True, width=WIDTH, file=io.StringIO())
    with tempfile.TemporaryDirectory(prefix="prober-demo-") as directory:
        demo = Demo(Path(directory), 5.0, 0, out)
        watched = demo.screenshot

        def keep(watch):
            picture = watched(watch)
            if watch.phase is not None and watch.phase.name == "token regenerated":
                drawn = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
                drawn.print(picture)
                text = drawn.export_text(clear=False)
                if "token_rejected" in text:
                    svg = drawn.export_svg(title="prober demo")
                    PICTURE.write_text(re.sub(FONT, "", svg, flags=re.DOTALL))
            return picture

        demo.screenshot = keep
        await demo.play(once=True)


asyncio.run(main())
