"""Run every call of the vendor's client library against `prober simulate`: `make vendor-check`.

Needs `cargo`; without it the check says so and fails. The library is compiled once, some minutes;
its OpenSSL is compiled too, so a C compiler and perl are needed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.programs import call, started

HERE = Path(__file__).parent
LIBRARY = "reinfer-client"
BUILD_SECONDS = 1800
RUN_SECONDS = 120


def calls_of_library(source: str) -> set[str]:
    """Return the public methods of the library's client, from its source."""
    client = source.partition("\nimpl Client {")[2].partition("\n}\n")[0]
    return set(re.findall(r"^    pub fn (\w+)", client, re.MULTILINE))


def source_of_library() -> str:
    """Return the source of the library that was compiled."""
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version", "1"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, check=True, timeout=60)
    for package in json.loads(done.stdout)["packages"]:
        if package["name"] == LIBRARY:
            return (Path(package["manifest_path"]).parent / "src/lib.rs").read_text()
    raise RuntimeError(f"cargo does not know {LIBRARY}")


def build() -> Path:
    """Compile the check. Returns its program."""
    subprocess.run(
        ["cargo", "build", "--locked", "--quiet"], cwd=HERE, check=True, timeout=BUILD_SECONDS
    )
    target = os.environ.get("CARGO_TARGET_DIR")
    return (Path(target) if target else HERE / "target") / "debug/vendor-check"


def run(program: Path) -> str:
    """Run all calls against a simulator. Returns what they printed."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "simulator.log"
        simulate = ("simulate", "--port", "0", "--control-port", "0", "--server-ms", "1")
        with started(*simulate, until=r"control: (\S+)", log=log) as (_, control):
            tenant = call("GET", f"{control}/tenants")["acme-prod"]
            environment = {**os.environ, "ENDPOINT": tenant["base_url"], "TOKEN": tenant["token"]}
            done = subprocess.run(  # noqa: PLW1510 -- what it printed comes first
                [program], env=environment, stdout=subprocess.PIPE, text=True, timeout=RUN_SECONDS
            )
    sys.stdout.write(done.stdout)
    if done.returncode:
        sys.exit("vendor-check: a call of the library failed, see above")
    return done.stdout


def main() -> None:
    """Compile, run, and see that no call of the library is left out."""
    if shutil.which("cargo") is None:
        sys.exit("vendor-check: cargo is not installed. Get it from https://rustup.rs, then retry.")
    printed = run(build())
    made = set(re.findall(r"^ok (\w+)$", printed, re.MULTILINE))
    calls = calls_of_library(source_of_library())
    missing = calls - made
    if missing:
        sys.exit(f"vendor-check: these calls are not made: {', '.join(sorted(missing))}")
    sys.stdout.write(f"vendor-check: all {len(calls)} calls of {LIBRARY} succeed\n")


if __name__ == "__main__":
    main()
