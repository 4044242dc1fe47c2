from prober.web.middleware import response_headers


def test_nothing_is_run_framed_or_guessed() -> None:
    headers = response_headers({}, is_tls=False)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Strict-Transport-Security" not in headers
    assert response_headers({}, is_tls=True)["Strict-Transport-Security"] == "max-age=86400"


def test_a_file_goes_over_them_but_never_weakens_the_policy() -> None:
    written = {
        "X-Frame-Options": "sameorigin",
        "Strict-Transport-Security": "",
        "Content-Security-Policy": "default-src *",
    }
    headers = response_headers(written, is_tls=True)
    ours = response_headers({}, is_tls=False)["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "sameorigin"
    assert "Strict-Transport-Security" not in headers
    assert headers["Content-Security-Policy"] == f"{ours}, default-src *"
