"""A bare Debian: made once with debootstrap and kept, copied for each use, and entered.

Needs root and util-linux. What is entered has this machine's network, its own processes and mounts,
and this machine's configuration of package sources. Only the standard library: it runs
before there is a virtual environment.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("DEBIAN_CACHE") or ROOT / "build" / "debian")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAKING_SECONDS = 1800
# Where packages come from, and whom to trust there: whatever this machine has of it.
_FILES = (
    "/etc/hosts",
    "/etc/pip.conf",
    "/etc/resolv.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/usr/local/share/ca-certificates",
    "/etc/apt/auth.conf.d",
    "/root/.config/pip",
    "/root/.pip",
)
_VARIABLES = ("PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
# Its mounts are private, and end with it; so do all its processes.
_APART = ("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child")
_ENTER = """
cd "$TREE"
mount --bind . .
cd "$TREE"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p old
pivot_root . old
cd /
umount -l /old
rmdir /old
unset TREE
exec /bin/sh -c '"$@"; exit $?' sh "$@"
"""  # a shell stays in front, as init: it reaps orphaned processes


def plain(suite: str, packages: Sequence[str] = ()) -> Path:
    """Return a Debian with `packages` beside the least, from the cache or made anew."""
    kept = CACHE / "-".join([suite, *packages])
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = CACHE / f"{kept.name}.{os.getpid()}"
        include = [f"--include={','.join(packages)}"] if packages else []
        bootstrap = ["debootstrap", "--variant=minbase", *include]
        try:
            subprocess.run(
                [*_APART, "--mount-proc", *bootstrap, suite, made, *_mirror()],
                check=True,
                timeout=MAKING_SECONDS,
                stdout=subprocess.DEVNULL,
            )
            made.rename(kept)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return kept


@contextmanager
def copied(base: Path) -> Iterator[Path]:
    """Yield a copy of a tree, with this machine's ways to packages; it is removed at the end."""
    tree = CACHE / f"{base.name}.used-{os.getpid()}"
    try:
        subprocess.run(["cp", "-a", "--reflink=auto", base, tree], check=True)
        _let_it_find_packages(tree)
        yield tree
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def command_in(tree: Path, command: Sequence[str]) -> list[str]:
    """Return the command that executes another in a tree; killing it ends all that began there."""
    return [*_APART, "env", f"TREE={tree}", "/bin/sh", "-ec", _ENTER, "sh", *command]


def environment(of: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what a command gets of this machine's environment."""
    return {"PATH": PATH, "HOME": "/root", **_of_packages(of)}


def _of_packages(of: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in of.items()
        if name.startswith(_VARIABLES) or name.lower() in _PROXIES
    }


def _let_it_find_packages(tree: Path) -> None:
    named = _of_packages(os.environ).values()
    paths = (value for value in named if value.startswith("/"))
    missing = (path for path in paths if Path(path).is_file() or not (tree / path[1:]).exists())
    for name in dict.fromkeys([*_FILES, *missing]):
        source, target = Path(name), tree / name.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy(source, target)
    dumped = _said_by("apt-config", "dump", "Acquire").splitlines(keepends=True)
    of_places = (each for each in dumped if not each.startswith("Acquire::IndexTargets"))
    (tree / "etc/apt/apt.conf.d/90this-machine").write_text("".join(of_places))


def _mirror() -> list[str]:
    """Return where this machine has Debian from, if it tells."""
    line = "$(ORIGIN) $(LABEL) $(REPO_URI)"
    reported = _said_by("apt-get", "indextargets", "--format", line, "Created-By: Packages")
    mirrors = [
        each.split()[2] for each in reported.splitlines() if each.startswith("Debian Debian ")
    ]
    return mirrors[:1]


def _said_by(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
