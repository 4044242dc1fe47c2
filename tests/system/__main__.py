"""`make system-test`: the prober in real runtimes.

`make system-test SYSTEM="service --only=stuck"` runs one part, and of that the checks with this in
their names.
"""

import os
import signal
import sys

from tests.packaging.bare_debian import ROOT
from tests.system import image, service
from tests.system.protocol import Protocol, say

PARTS = {"service": service.check, "image": image.check}


def main() -> None:
    """Check the parts that are named, all without names, and print a protocol at the end."""
    if os.geteuid() != 0:
        sys.exit("this needs root: it boots a machine, and builds an image")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # not without removing the trees
    only = [each.removeprefix("--only=") for each in sys.argv[1:] if each.startswith("--only=")]
    names = [each for each in sys.argv[1:] if not each.startswith("--")]
    protocol = Protocol(only=only[-1] if only else "")
    for name in names or PARTS:
        PARTS[name](protocol)
    table = protocol.table()
    (ROOT / "build" / "system" / "protocol.txt").write_text(f"{table}\n")
    say(f"\n{table}")
    sys.exit(0 if protocol.is_green else 1)


if __name__ == "__main__":
    main()
