from pathlib import Path

from click.testing import CliRunner

from prober.cli.main import main

CONFIG = """\
tenants:
  - name: acme
    base_url: https://cloud.uipath.com/acme/prod/reinfer_
    token: {env: TOKEN}
    probes:
      - {use: datasets, name: short, timeout: 2900ms, connect_timeout: 1s}
      - {use: datasets, name: long, timeout: 3s, connect_timeout: 1s}
"""


def test_probes_whose_timeout_is_too_short_to_decide_a_silence_are_named(tmp_path: Path) -> None:
    file = tmp_path / "prober.yaml"
    file.write_text(CONFIG)
    result = CliRunner().invoke(main, ["validate", str(file)])
    assert result.exit_code == 0
    assert "acme: short: with a timeout under 3s, a response that does not come" in result.output
    assert "long" not in result.output
