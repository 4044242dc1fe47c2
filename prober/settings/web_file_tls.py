"""`tls_server_config` of web.yml, from what is written to how TLS is spoken. Pure."""

from pathlib import Path

from prober.access.rules import ClientCertificates, Pem, TlsOptions
from prober.settings.web_file_schema import TlsServerConfig
from prober.settings.yaml_file import Note

SECTION = "tls_server_config"
_CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
_OF_TLS_1_3 = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
_CIPHERS = {  # Go's names, and OpenSSL's
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
_DEMANDING = frozenset({"RequireAndVerifyClientCert"})
_UNVERIFIED = frozenset({"RequireAnyClientCert", "RequireClientCert"})
_VERIFYING = {each.value: each for each in ClientCertificates}


def tls_options(
    written: TlsServerConfig, directory: Path
) -> tuple[TlsOptions | None, list[Note], list[Note]]:
    """Return how TLS is spoken (None if it is not), problems and warnings."""
    if not written.is_enabled:
        warnings = [_note("", "has neither 'cert_file' nor 'cert': plain HTTP is spoken")]
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
        _VERIFYING.get(written.client_auth_type or "", ClientCertificates.NOT_ASKED),
        authority if written.client_auth_type in _VERIFYING else None,
        None if written.client_allowed_sans is None else frozenset(written.client_allowed_sans),
        lowest_is_1_3=written.min_version == "TLS13" or bool(written.cipher_suites and not ciphers),
        highest_is_1_2=written.max_version == "TLS12",
        ciphers=tuple(ciphers) or None,
        server_prefers_ciphers=written.prefer_server_cipher_suites,
        curve=_CURVES[curves[0]] if curves else None,
    )
    return options, [], _warnings(written)


def _pem(name: str, text: str | None, file: str | None, directory: Path) -> Pem | None:
    if file:
        return Pem(f"{name}_file", directory / file)
    return Pem(name, None, text) if text else None


def _client_problems(written: TlsServerConfig, authority: Pem | None) -> list[Note]:
    kind = written.client_auth_type or "NoClientCert"
    if kind in _UNVERIFIED:
        message = (
            "would let in every certificate, also one that a client has made for itself, which is"
            " not done here: write 'RequireAndVerifyClientCert', with 'client_ca_file'"
        )
        return [_note("client_auth_type", message)]
    problems: list[Note] = []
    verifies = kind in _VERIFYING and kind != "NoClientCert"
    if verifies and authority is None:
        message = "needs 'client_ca_file' (or 'client_ca'): who signs clients' certificates"
        problems.append(_note("client_auth_type", message))
    if authority is not None and kind == "NoClientCert":
        message = "has no effect without 'client_auth_type: RequireAndVerifyClientCert'"
        problems.append(_note(authority.key, message))
    if written.client_allowed_sans is not None and kind not in _DEMANDING:
        message = "needs 'client_auth_type: RequireAndVerifyClientCert'"
        problems.append(_note("client_allowed_sans", message))
    return problems


def _version_problems(written: TlsServerConfig) -> list[Note]:
    problems: list[Note] = []
    if written.max_version in {"TLS10", "TLS11"}:
        problems.append(_note("max_version", "write 'TLS12' or 'TLS13': older ones are not spoken"))
    if (written.min_version, written.max_version) == ("TLS13", "TLS12"):
        problems.append(_note("min_version", "is above 'max_version'"))
    for number, name in enumerate(written.cipher_suites or ()):
        if name not in _CIPHERS and name not in _OF_TLS_1_3:
            message = f"is no cipher suite of Go's list; there are {', '.join(_CIPHERS)}"
            problems.append(((SECTION, "cipher_suites", number), message))
    return problems


def _warnings(written: TlsServerConfig) -> list[Note]:
    warnings = [
        _note(name, f"has no effect beside '{name}_file'")
        for name in ("cert", "key", "client_ca")
        if getattr(written, name) and getattr(written, f"{name}_file")
    ]
    if written.client_auth_type == "RequestClientCert":
        message = "asks for certificates that nobody verifies: here none is asked for"
        warnings.append(_note("client_auth_type", message))
    if written.min_version in {"TLS10", "TLS11"}:
        warnings.append(_note("min_version", "is taken as TLS12: older ones are not spoken"))
    curves = written.curve_preferences or []
    if len(curves) > 1:
        warnings.append(_note("curve_preferences", f"the first alone is used, {curves[0]}"))
    return warnings


def _note(key: str, message: str) -> Note:
    return ((SECTION, key) if key else (SECTION,)), message
