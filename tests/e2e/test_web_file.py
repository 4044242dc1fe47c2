"""docs/how-to/tls-and-auth.md, command by command, and its web.yml given to Prometheus as well."""

import json
import os
import re
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.programs import PROBER, free_port, started
from tests.prometheus import running

pytestmark = pytest.mark.prometheus  # the documented commands include promtool

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"```(yaml|sh)\n(.*?)```", (ROOT / "docs/how-to/tls-and-auth.md").read_text(), re.DOTALL
)
RIGHT = {"Authorization": "Basic " + b64encode(b"prometheus:correct horse battery").decode()}
WRONG = {"Authorization": "Basic " + b64encode(b"prometheus:battery").decode()}
LIMIT_SECONDS = 120


class Documented:
    """What the document says, done in a directory, with ports of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.log = directory / "log"

    def here(self, text: str) -> str:
        nowhere = "base_url: 'http://127.0.0.1:1/acme/prod/reinfer_'"
        return text.replace("9824", str(self.port)).replace(
            "organisation: acme, tenant: prod", nowhere
        )

    def write(self, text: str) -> None:
        name = text.partition("\n")[0].removeprefix("# ")
        (self.directory / name).write_text(self.here(text))

    def do(self, commands: str) -> str:
        path = f"{Path(PROBER).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(commands)],
            cwd=self.directory,
            env={**os.environ, "PATH": path, "ACME_TOKEN": "a-token"},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(
        self, url: str, headers: dict[str, str], method: str = "GET"
    ) -> tuple[int, str, str | None]:
        trust = ssl.create_default_context(cafile=self.directory / "prober.crt")
        request = Request(url, headers=headers, method=method)
        try:
            with urlopen(request, timeout=LIMIT_SECONDS, context=trust) as answer:
                return answer.status, answer.read().decode(), None
        except HTTPError as error:
            with error:
                return error.code, error.read().decode(), error.headers["WWW-Authenticate"]


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Documented]:
    """Do all of it, with the daemon running from where the document starts it."""
    doing = Documented(tmp_path_factory.mktemp("access"))
    blocks = iter(BLOCKS)
    for kind, text in blocks:
        if kind == "yaml":
            doing.write(text)
            continue
        before, starts, _ = text.partition("prober run ")
        doing.do(before)
        if starts:
            break
    run = ("run", "--config", str(doing.directory / "prober.yaml"))
    with started(*run, until=r'"listening": "(https://[^"]+)"', log=doing.log):
        for kind, text in blocks:
            if kind == "yaml":
                doing.write(text)
            else:
                doing.do(text)
        yield doing


def test_the_daemon_answers_as_documented(documented: Documented) -> None:
    url = f"https://localhost:{documented.port}"
    assert documented.ask(url + "/-/healthy", {}) == (200, "healthy\n", None)
    for path in ("/", "/metrics", "/api/v1/overview", "/live"):
        status, _, challenge = documented.ask(url + path, {})
        assert (status, challenge) == (401, 'Basic realm="prober", charset="UTF-8"')
    assert documented.ask(url + "/metrics", WRONG)[0] == 401
    run = url + "/api/v1/tenants/acme-prod/probes/datasets/run"
    assert documented.ask(run, {}, "POST")[0] == 401
    log = documented.log.read_text()
    for secret in ("a-token", "correct horse", "$2b$", "Traceback"):
        assert secret not in log


def test_the_same_file_serves_prometheus_which_scrapes_with_it(documented: Documented) -> None:
    directory, port = documented.directory, free_port()
    file = directory / "prometheus.yml"
    file.write_text("global: {scrape_interval: 1s}\n" + file.read_text())
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.config.file={directory / 'web.yml'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    url = f"https://localhost:{port}"
    with running(command, directory / "prometheus.log", "Server is ready to receive web requests"):
        for headers, expected in (({}, 401), (WRONG, 401), (RIGHT, 200)):
            assert documented.ask(f"{url}/api/v1/targets", headers)[0] == expected
            ours = f"https://localhost:{documented.port}/metrics"
            assert documented.ask(ours, headers)[0] == expected
        deadline = time.monotonic() + LIMIT_SECONDS
        health, targets = {"unknown"}, []
        while health <= {"unknown"} and time.monotonic() < deadline:
            time.sleep(0.1)
            _, text, _ = documented.ask(f"{url}/api/v1/targets", RIGHT)
            targets = json.loads(text)["data"]["activeTargets"]
            health = {each["health"] for each in targets}
        assert health == {"up"}, targets


def test_prometheus_and_prober_agree_on_the_example(tmp_path: Path, documented: Documented) -> None:
    for name in ("prober.crt", "prober.key"):
        (tmp_path / name).write_bytes((documented.directory / name).read_bytes())
    (tmp_path / "clients.crt").write_bytes((tmp_path / "prober.crt").read_bytes())
    text = (ROOT / "config" / "web.example.yml").read_text()
    (tmp_path / "web.yml").write_text(text)
    command = [PROBER, "validate", str(documented.directory / "prober.yaml")]
    done = subprocess.run(
        [*command, "--web-config-file", str(tmp_path / "web.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
        env={**os.environ, "ACME_TOKEN": "token"},  # validate warns if it is not set
    )
    of_old_pythons = "curve_preferences: is not supported by this Python"  # such as Debian 12's
    said = [line for line in done.stderr.splitlines() if of_old_pythons not in line]
    assert (done.returncode, said) == (0, [])
    older = text.partition("rate_limit:")[0]  # which Debian's promtool does not know yet
    older = older.replace("  client_allowed_sans: [prometheus.example.org]", "  ")
    (tmp_path / "older.yml").write_text(older)
    checked = subprocess.run(
        ["promtool", "check", "web-config", str(tmp_path / "older.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
