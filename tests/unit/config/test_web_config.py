import ssl
from pathlib import Path

import pytest
import trustme

from prober.config.loader import load
from prober.config.web_config import read_web_config
from prober.config.web_schema import go_duration_seconds
from prober.errors import SettingsError
from prober.web.auth import AccessPolicy, ClientCertificates, RateLimit

ROOT = Path(__file__).parents[3]
BAD = ROOT / "tests" / "fixtures" / "web" / "bad"
SPECIMENS = sorted(path.name for path in BAD.glob("*.yml"))
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt, "


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("web")
    authority = trustme.CA()
    server = authority.issue_cert("localhost")
    server.cert_chain_pems[0].write_to_path(path / "server.crt")
    server.private_key_pem.write_to_path(path / "server.key")
    authority.cert_pem.write_to_path(path / "ca.crt")
    return path


def read(directory: Path, text: str) -> tuple[AccessPolicy, str]:
    file = directory / "web.yml"
    file.write_text(text)
    found = read_web_config(file)
    return found.access, "\n".join(str(each) for each in found.warnings)


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_mistake_is_told_with_file_line_key_and_remedy(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(SettingsError) as caught:
        read_web_config(Path(name))
    reported = str(caught.value).replace(str(BAD), "DIRECTORY")
    assert reported == Path(name).with_suffix(".txt").read_text().rstrip("\n")
    assert "hunter2" not in reported
    assert "X0h1gDsPszWURQaxFh" not in reported


def test_an_empty_file_asks_for_nothing(directory: Path) -> None:
    access, warnings = read(directory, "")
    assert access == AccessPolicy(files=(directory / "web.yml",))
    assert warnings == ""


def test_everything_that_exporters_take_is_taken(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl.SSLContext, "set_ecdh_curve", lambda *_: None)  # as in 3.11.7
    access, warnings = read(
        directory,
        TLS + "client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [a, b],"
        " min_version: TLS12, max_version: TLS13, prefer_server_cipher_suites: false,"
        " cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256],"
        " curve_preferences: [X25519]}\n"
        "http_server_config: {http2: false, headers: {Strict-Transport-Security: max-age=1,"
        " X-Frame-Options: sameorigin}}\n"
        f"basic_auth_users: {{alice: {HASH}}}\n"
        "rate_limit: {interval: 1s, burst: 20}\n",
    )
    assert warnings == ""
    assert access.tls is not None
    assert access.tls.client_certificates is ClientCertificates.REQUIRED
    assert access.tls.allowed_sans == frozenset({"a", "b"})
    assert access.tls.ciphers == ("ECDHE-RSA-AES128-GCM-SHA256",)
    assert access.tls.curve == "X25519"
    assert access.users == {b"alice": HASH.encode()}
    assert access.headers == {
        "Strict-Transport-Security": "max-age=1",
        "X-Frame-Options": "sameorigin",
    }
    assert access.rate_limit == RateLimit(1.0, 20)
    names = ("web.yml", "server.crt", "server.key", "ca.crt")
    assert access.files == tuple(directory / name for name in names)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("tls_server_config: {min_version: TLS12}", "the server speaks plain HTTP"),
        ("http_server_config: {http2: true}", "HTTP/2 is not supported"),
        (TLS.replace("client_ca_file: ca.crt, ", "min_version: TLS10}"), "means TLS12 here"),
        (TLS + "client_auth_type: RequestClientCert}", "without verifying them"),
        (
            TLS.replace("client_ca_file: ca.crt, ", "curve_preferences: [CurveP384, X25519]}"),
            "only the first is used, CurveP384",
        ),
        (TLS.replace("client_ca_file: ca.crt, ", "cert: x}"), "has no effect beside 'cert_file'"),
    ],
)
def test_what_means_something_else_here_is_said(directory: Path, written: str, said: str) -> None:
    _, warnings = read(directory, written)
    assert said in warnings
    assert warnings.count("\n") == 0


def test_a_python_that_cannot_set_a_curve_says_so(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ssl.SSLError(1, "[EC: UNKNOWN_GROUP] unknown group")

    monkeypatch.setattr(ssl.SSLContext, "set_ecdh_curve", refuse)  # as Debian 12's own does
    text = TLS.replace("client_ca_file: ca.crt, ", "curve_preferences: [X25519]}")
    _, warnings = read(directory, text)
    assert "curve_preferences: is not supported by this Python" in warnings
    with pytest.raises(SettingsError, match=r"web\.yml:1: tls_server_config\.curve_preferences: "):
        read(directory, text.replace("X25519", "CurveP256"))


def test_suites_of_tls_1_3_alone_leave_tls_1_3_alone(directory: Path) -> None:
    text = TLS.replace("client_ca_file: ca.crt, ", "cipher_suites: [TLS_AES_256_GCM_SHA384]}")
    access, _ = read(directory, text)
    assert access.tls is not None
    assert access.tls.minimum_is_tls_1_3


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("1s", 1), ("500ms", 0.5), ("1m1.5s", 61.5), (0, 0), (1_000_000_000, 1), ("1h", 3600)],
)
def test_a_duration_is_read_as_go_reads_it(written: object, seconds: float) -> None:
    assert go_duration_seconds(written) == seconds


@pytest.mark.parametrize("written", [10**400, 2**63, "9" * 400 + "h", "2562048h"])
def test_a_duration_that_go_cannot_hold_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is too long: write at most '2562047h'"):
        go_duration_seconds(written)


def settings(directory: Path, web: str) -> Path:
    file = directory / "prober.yaml"
    file.write_text(f"web: {{{web}}}\ntenants: [{{name: a, domain: a, token: {{env: A}}}}]\n")
    return file


def test_the_settings_name_it_beside_them_and_the_command_line_goes_over_it(
    directory: Path,
) -> None:
    (directory / "web.yml").write_text(f"basic_auth_users: {{alice: {HASH}}}")
    (directory / "other.yml").write_text(f"basic_auth_users: {{bob: {HASH}}}")
    file = settings(directory, "config_file: web.yml")
    assert load(file).access.users.keys() == {b"alice"}
    assert load(file).web_config_file == directory / "web.yml"
    assert load(file, directory / "other.yml").access.users.keys() == {b"bob"}


def test_problems_of_both_files_are_told_at_once(directory: Path) -> None:
    (directory / "web.yml").write_text("basic_auth_users: {alice: plain}\n")
    with pytest.raises(SettingsError) as caught:
        load(settings(directory, "config_file: web.yml}\nlog: {level: loud"))
    reported = str(caught.value)
    assert f"{directory / 'web.yml'}:1: basic_auth_users.alice: write a bcrypt hash" in reported
    assert "prober.yaml:2: log.level: " in reported


@pytest.mark.parametrize("key", ["enable_run_now", "enable_reload", "enable_annotations"])
def test_writes_need_somebody_who_can_show_who_they_are(directory: Path, key: str) -> None:
    with pytest.raises(SettingsError, match=rf"prober\.yaml:1: web\.{key}: would allow it"):
        load(settings(directory, f"{key}: true"))
    (directory / "web.yml").write_text(f"basic_auth_users: {{alice: {HASH}}}")
    allowed = load(settings(directory, f"{key}: true, config_file: web.yml")).web
    assert getattr(allowed, key)


@pytest.mark.parametrize(
    ("listen", "web_yml", "said"),
    [
        ("127.0.0.1:1", "", ""),
        ("localhost:1", "", ""),
        ("[::1]:1", "", ""),
        ("0.0.0.0:1", "", "can reach 0.0.0.0 without authentication"),
        ("prober.example:1", "", "can reach prober.example without authentication"),
        ("[::]:1", f"basic_auth_users: {{alice: {HASH}}}", "passwords are sent over plain HTTP"),
        (
            "0.0.0.0:1",
            TLS + f"client_auth_type: VerifyClientCertIfGiven}}\nbasic_auth_users: {{a: {HASH}}}",
            "",
        ),
        ("0.0.0.0:1", TLS + "client_auth_type: VerifyClientCertIfGiven}", "without authentication"),
    ],
)
def test_an_address_that_others_reach_is_warned_of(
    directory: Path, listen: str, web_yml: str, said: str
) -> None:
    (directory / "web.yml").write_text(web_yml)
    warnings = load(settings(directory, f"listen: '{listen}', config_file: web.yml")).warnings
    assert len(warnings) == (1 if said else 0)
    assert said in "".join(map(str, warnings))
