"""Reads web.yml and the certificates that it names, and reports all problems at once."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from prober.config.error_messages import format_validation_error, unknown_key
from prober.config.resolve import Config, WebConfig
from prober.config.web_schema import Headers, TlsServerConfig, WebConfigFile
from prober.config.yaml import KeyPath, Note, format_key_path, read_text, read_yaml
from prober.errors import ConfigProblem, SettingsError
from prober.web.auth import AccessPolicy, ClientCertificates, PemSource, RateLimit, TlsOptions
from prober.web.tls import ServerTlsError, can_set_curve, server_context

SECTION = "tls_server_config"
_CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
_TLS_1_3_CIPHERS = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
# Names of Go's crypto/tls, and the same suites in OpenSSL
_CIPHERS = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
_REQUIRING = frozenset({"RequireAndVerifyClientCert"})
_UNVERIFIED = frozenset({"RequireAnyClientCert", "RequireClientCert"})
_VERIFYING = {each.value: each for each in ClientCertificates}


def tls_options(
    written: TlsServerConfig, directory: Path
) -> tuple[TlsOptions | None, list[Note], list[Note]]:
    """Return the TLS options (None for plain HTTP), problems and warnings. Pure."""
    if not written.is_enabled:
        warnings = [_note("", "has neither 'cert_file' nor 'cert': the server speaks plain HTTP")]
        return None, [], warnings if written.model_fields_set else []
    certificate = _pem("cert", written.cert, written.cert_file, directory)
    private_key = _pem("key", written.key, written.key_file, directory)
    authority = _pem("client_ca", written.client_ca, written.client_ca_file, directory)
    problems = [
        _note("", f"needs '{name}_file' (or '{name}') as well")
        for name, pem in (("cert", certificate), ("key", private_key))
        if pem is None
    ]
    problems += _client_problems(written, authority) + _version_problems(written)
    if problems or certificate is None or private_key is None:
        return None, problems, []
    ciphers = [_CIPHERS[name] for name in written.cipher_suites or () if name in _CIPHERS]
    curves = written.curve_preferences
    options = TlsOptions(
        certificate,
        private_key,
        _VERIFYING.get(written.client_auth_type or "", ClientCertificates.NOT_REQUESTED),
        authority if written.client_auth_type in _VERIFYING else None,
        None if written.client_allowed_sans is None else frozenset(written.client_allowed_sans),
        minimum_is_tls_1_3=written.min_version == "TLS13"
        or bool(written.cipher_suites and not ciphers),
        maximum_is_tls_1_2=written.max_version == "TLS12",
        ciphers=tuple(ciphers) or None,
        server_prefers_ciphers=written.prefer_server_cipher_suites,
        curve=_CURVES[curves[0]] if curves else None,
    )
    return options, [], _warnings(written)


def _pem(name: str, text: str | None, file: str | None, directory: Path) -> PemSource | None:
    if file:
        return PemSource(f"{name}_file", directory / file)
    return PemSource(name, None, text) if text else None


def _client_problems(written: TlsServerConfig, authority: PemSource | None) -> list[Note]:
    kind = written.client_auth_type or "NoClientCert"
    if kind in _UNVERIFIED:
        message = (
            "would accept any certificate, even a self-signed one, which prober does not support:"
            " write 'RequireAndVerifyClientCert', with 'client_ca_file'"
        )
        return [_note("client_auth_type", message)]
    problems: list[Note] = []
    verifies = kind in _VERIFYING and kind != "NoClientCert"
    if verifies and authority is None:
        message = "needs 'client_ca_file' (or 'client_ca'): the CA that signs client certificates"
        problems.append(_note("client_auth_type", message))
    if authority is not None and kind == "NoClientCert":
        message = "has no effect without 'client_auth_type: RequireAndVerifyClientCert'"
        problems.append(_note(authority.key, message))
    if written.client_allowed_sans is not None and kind not in _REQUIRING:
        message = "needs 'client_auth_type: RequireAndVerifyClientCert'"
        problems.append(_note("client_allowed_sans", message))
    return problems


def _version_problems(written: TlsServerConfig) -> list[Note]:
    problems: list[Note] = []
    if written.max_version in {"TLS10", "TLS11"}:
        message = "write 'TLS12' or 'TLS13': older versions are not supported"
        problems.append(_note("max_version", message))
    if (written.min_version, written.max_version) == ("TLS13", "TLS12"):
        problems.append(_note("min_version", "is above 'max_version'"))
    for number, name in enumerate(written.cipher_suites or ()):
        if name not in _CIPHERS and name not in _TLS_1_3_CIPHERS:
            message = f"is not a cipher suite of Go's list, which has {', '.join(_CIPHERS)}"
            problems.append(((SECTION, "cipher_suites", number), message))
    return problems


def _warnings(written: TlsServerConfig) -> list[Note]:
    warnings = [
        _note(name, f"has no effect beside '{name}_file'")
        for name in ("cert", "key", "client_ca")
        if getattr(written, name) and getattr(written, f"{name}_file")
    ]
    if written.client_auth_type == "RequestClientCert":
        message = "requests certificates without verifying them: prober requests none instead"
        warnings.append(_note("client_auth_type", message))
    if written.min_version in {"TLS10", "TLS11"}:
        warnings.append(_note("min_version", "means TLS12 here: older versions are not supported"))
    curves = written.curve_preferences or []
    if len(curves) > 1:
        warnings.append(_note("curve_preferences", f"only the first is used, {curves[0]}"))
    return warnings


def _note(key: str, message: str) -> Note:
    return ((SECTION, key) if key else (SECTION,)), message


def read_web_config(path: Path) -> WebConfig:
    """Read web.yml and the certificates that it names; raises SettingsError with all problems."""
    document, syntax = read_yaml(read_text(path), str(path), example="basic_auth_users: ...")
    if syntax:
        raise SettingsError(syntax)
    written, notes = _validate(document.content)
    tls, problems, warnings = tls_options(written.tls_server_config, path.absolute().parent)
    notes += problems
    if written.http_server_config.http2:
        message = "HTTP/2 is not supported: clients get HTTP/1.1, which all of them support"
        warnings.append((("http_server_config", "http2"), message))
    notes += _tls_problems(tls)
    if tls is not None and tls.curve is not None and not can_set_curve(tls.curve):
        message = "is not supported by this Python: OpenSSL's default order applies, X25519 first"
        warnings.append(((SECTION, "curve_preferences"), message))

    def located(notes: list[Note]) -> tuple[ConfigProblem, ...]:
        return tuple(
            ConfigProblem(str(path), document.line_of(at), format_key_path(at), message)
            for at, message in notes
        )

    if notes:
        in_order = sorted(located(notes), key=lambda each: (each.line or 0, each.key))
        raise SettingsError(tuple(in_order))
    limit, users = written.rate_limit, written.basic_auth_users
    access = AccessPolicy(
        tls,
        {name.encode(): hashed.encode() for name, hashed in users.items()},
        _headers(written.http_server_config.headers),
        RateLimit(limit.interval, limit.burst) if limit.interval else None,
        (path, *_files(tls)),
    )
    return WebConfig(access, located(warnings))


def web_config_reader(config: Config) -> Callable[[], AccessPolicy] | None:
    """Return a function that reads web.yml again (raises SettingsError), None without a file."""
    path = config.web_config_file
    return None if path is None else lambda: read_web_config(path).access


def _validate(content: Mapping[str, object]) -> tuple[WebConfigFile, list[Note]]:
    """Return the valid sections, with defaults for invalid ones, and what is wrong."""
    known = WebConfigFile.model_fields
    notes: list[Note] = [((key,), unknown_key(key, known)) for key in content if key not in known]
    valid: dict[str, object] = {}
    for name in known:
        if content.get(name) is None:
            continue
        try:
            section = WebConfigFile.model_validate({name: content[name]})
        except ValidationError as error:
            for each in error.errors(include_url=False, include_input=False):
                at: KeyPath = each["loc"]
                message = format_validation_error(each["type"], each["msg"], at, WebConfigFile)
                notes.append((at, message))
        else:
            valid[name] = getattr(section, name)
    return WebConfigFile.model_validate(valid), notes


def _tls_problems(tls: TlsOptions | None) -> list[Note]:
    if tls is None:
        return []
    try:
        server_context(tls)
    except ServerTlsError as error:
        return [((SECTION, error.key), str(error))]
    return []


def _files(tls: TlsOptions | None) -> list[Path]:
    pems = () if tls is None else (tls.certificate, tls.private_key, tls.client_ca)
    return [pem.file for pem in pems if pem is not None and pem.file is not None]


def _headers(written: Headers) -> dict[str, str]:
    return written.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
