"""`make deb-check`: install, use, remove and purge the Debian package on a bare Debian.

`python3 -m tests.packaging.deb_check`. The package is for the Debian that built it, so the bare
tree is of the same release. Needs root. systemd does not run there: `make system-test` is for that.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.packaging.bare_debian import ROOT, command_in, copied, environment, plain

_SECONDS = 600
_CHECK = r"""
set -eux
cd /root
touch before; sleep 1.1
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends ./prober_*.deb
prober --version
prober --help | grep -q Commands
TOKEN=x prober validate /etc/prober/prober.yaml
test -f /usr/lib/systemd/system/prober.service || test -f /lib/systemd/system/prober.service
grep -q Apache-2.0 /usr/share/doc/prober/copyright
prober demo --once --port 0 > demo.log 2>&1 || { tail -20 demo.log; exit 1; }
mkdir -p /var/lib/private/prober /var/lib/prober && touch /var/lib/private/prober/history.sqlite3
apt-get remove -qq --yes prober
test -f /etc/prober/prober.yaml
test ! -e /usr/bin/prober
test -f /var/lib/private/prober/history.sqlite3
apt-get purge -qq --yes prober
left=$(find /etc /opt /usr /var -newer /root/before -path '*prober*' \
  ! -path '/var/cache/*' ! -path '/var/log/*')
test -z "$left" || { echo "purge left: $left"; exit 1; }
echo "the package installs, runs and goes without a trace"
"""


def main() -> int:
    """Check the package in dist/; return 0 if all of it holds."""
    (package,) = sorted((ROOT / "dist").glob("prober_*.deb"))
    with copied(plain(_release(), ("python3",))) as tree:
        shutil.copy(package, tree / "root")
        command = command_in(tree, ["/bin/bash", "-c", _CHECK])
        done = subprocess.run(command, env=environment(), timeout=_SECONDS, check=False)
    return done.returncode


def _release() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    (name,) = (line.partition("=")[2] for line in lines if line.startswith("VERSION_CODENAME="))
    return name


if __name__ == "__main__":
    sys.exit(main())
