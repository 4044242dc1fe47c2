import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.proxy_environment import proxy_environment

PROXY = "http://proxy.example:3128"


def proxied(url: str, no_proxy: str) -> bool:
    found, problems = proxy_environment({"https_proxy": PROXY, "no_proxy": no_proxy})
    assert problems == ()
    return found.proxy_for(url) == PROXY


@pytest.mark.parametrize(
    ("no_proxy", "direct", "through"),
    [
        ("", [], ["example.com", "10.1.2.3", "[::1]", "localhost"]),
        ("example.com", ["example.com", "a.b.example.com", "EXAMPLE.com"], ["notexample.com"]),
        ("EXAMPLE.Com", ["example.com"], ["example.com.other"]),
        (".example.com", ["example.com", "a.example.com"], ["notexample.com"]),
        ("*.example.com", ["a.example.com", "a.b.example.com"], ["example.com", "xexample.com"]),
        ("example.com.", ["example.com", "a.example.com", "example.com."], ["com"]),
        (".example.com.", ["example.com.", "a.example.com"], []),
        ("example.com", ["example.com.", "a.example.com."], []),
        ("localhost", ["localhost"], ["127.0.0.1", "[::1]"]),
        ("*", ["example.com", "10.1.2.3", "[::1]"], []),
        ("other,*", ["example.com"], []),
        (" * ", ["example.com"], []),
        ("host , example.com", ["example.com", "host"], ["hos"]),
        ("host example.com", ["example.com", "host"], []),
        ("host,,example.com,", ["example.com", "host"], ["other"]),
        ("\thost,\nexample.com", ["example.com", "host"], []),
        ("example.com:443", ["example.com", "example.com:443", "a.example.com"], []),
        ("example.com:443", [], ["example.com:8443"]),
        ("example.com:8443", ["example.com:8443"], ["example.com"]),
        ("*.example.com:8443", ["a.example.com:8443"], ["a.example.com", "example.com:8443"]),
        ("10.1.2.3", ["10.1.2.3", "10.1.2.3:8443", "[::ffff:10.1.2.3]"], ["10.1.2.4"]),
        ("10.1.2.3:8443", ["10.1.2.3:8443"], ["10.1.2.3"]),
        ("10.0.0.0/8", ["10.1.2.3", "10.255.0.1:8443", "[::ffff:10.1.2.3]"], ["11.0.0.1"]),
        ("10.9.9.9/8", ["10.1.2.3"], ["11.0.0.1", "10.example.com"]),
        ("127.0.0.1/32", ["127.0.0.1"], ["127.0.0.2"]),
        ("0.0.0.0/0", ["10.1.2.3"], ["[::1]", "example.com"]),
        ("fd00::/8", ["[fd12::1]", "[FD12::1]:8443"], ["[fe80::1]", "10.1.2.3"]),
        ("[fd00::]/8", ["[fd12::1]"], ["[fe80::1]"]),
        ("::1", ["[::1]", "[0:0::1]", "[::1]:8443"], ["[::2]"]),
        ("0::0:1", ["[::1]"], []),
        ("[::1]", ["[::1]", "[::1]:8443"], ["[::2]"]),
        ("[::1]:443", ["[::1]"], ["[::1]:8443"]),
        ("::ffff:10.1.2.3", ["10.1.2.3"], []),
        ("bücher.example", ["xn--bcher-kva.example"], []),
    ],
)
def test_what_is_excepted_is_asked_directly(
    no_proxy: str, direct: list[str], through: list[str]
) -> None:
    got = {host: proxied(f"https://{host}/acme", no_proxy) for host in (*direct, *through)}
    assert got == {host: host not in direct for host in got}


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "http://a:1"),
        ({"HTTPS_PROXY": "http://b:1"}, "http://b:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:1"}, None),
        ({"HTTPS_PROXY": "  "}, None),
        ({"HTTP_PROXY": "http://b:1"}, None),
        ({"HTTPS_PROXY": "http://b:1", "NO_PROXY": "example.com"}, None),
        ({"HTTPS_PROXY": "http://b:1", "no_proxy": "", "NO_PROXY": "example.com"}, "http://b:1"),
        ({"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "proxy"}, "http://proxy"),
        ({"HTTPS_PROXY": "10.0.0.1:3128"}, "http://10.0.0.1:3128"),
        ({"HTTPS_PROXY": "[fd00::1]:3128"}, "http://[fd00::1]:3128"),
        ({"HTTPS_PROXY": "user:pass@proxy:3128"}, "http://user:pass@proxy:3128"),
        ({"HTTPS_PROXY": "HTTPS://proxy:3128/"}, "https://proxy:3128"),
    ],
)
def test_the_proxy_is_the_variable_s(environment: dict[str, str], proxy: str | None) -> None:
    found, problems = proxy_environment(environment)
    assert problems == ()
    assert found.proxy_for("https://example.com/acme") == proxy


def test_in_a_cgi_program_a_client_names_no_proxy() -> None:
    environment = {"HTTP_PROXY": "http://b:1", "REQUEST_METHOD": "GET"}
    assert proxy_environment(environment)[0].proxy_for("http://example.com/") is None
    del environment["REQUEST_METHOD"]
    assert proxy_environment(environment)[0].proxy_for("http://example.com/") == "http://b:1"


@pytest.mark.parametrize(
    "value",
    [
        "http://proxy:99999",
        "proxy:0",
        "proxy:",
        "proxy:port",
        "http://[::1",
        "http://::1]:3128",
        "http://[proxy]:3128",
        "[::1:3128",
        "http://",
        "http://:3128",
        "socks5://proxy:1080",
        "http://proxy:3128/path",
        "http://proxy:3128?x=1",
        "http://pro xy:3128",
    ],
)
def test_what_is_no_proxy_is_a_problem_of_its_variable(value: str) -> None:
    found, [problem] = proxy_environment({"HTTP_PROXY": value.replace("://", "://u:secret@")})
    assert problem.variable == "HTTP_PROXY"
    assert "http://HOST:PORT" in problem.message
    assert "secret" not in problem.message
    assert found.proxy_for("http://example.com/") is None


@pytest.mark.parametrize(
    "entry", ["10.0.0.0/99", "a/8", "[::1", "[host]", "[::1]x", "host:99999", "host:", "a*b", "*."]
)
def test_what_excepts_nothing_is_a_problem_of_its_variable(entry: str) -> None:
    found, [problem] = proxy_environment({"no_proxy": f"good,{entry}", "https_proxy": PROXY})
    assert problem.variable == "no_proxy"
    assert f"'{entry}'" in problem.message
    assert found.proxy_for("https://good/") is None


@given(st.text("abc.:*[]/,0123456789@ %-\x00ü", max_size=30))
def test_no_value_raises_anything(value: str) -> None:
    found, _ = proxy_environment({"http_proxy": value, "https_proxy": value, "no_proxy": value})
    found.proxy_for("https://example.com/")
    found.proxy_for("http://[::1]:80/")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "socks5://proxy:1080",
            "names a proxy of the kind 'socks5', which is not known: write http://HOST:PORT",
        ),
        ("proxy:0", "has an invalid port or brackets: write http://HOST:PORT"),
        ("proxy:65536", "has an invalid port or brackets: write http://HOST:PORT"),
        ("proxy:", "has an invalid port or brackets: write http://HOST:PORT"),
        ("http://proxy/path", "is more than the address of a proxy: write http://HOST:PORT"),
        ("http://proxy/?x", "is more than the address of a proxy: write http://HOST:PORT"),
        ("http://proxy/#x", "is more than the address of a proxy: write http://HOST:PORT"),
        ("http://[::1", "has an invalid port or brackets: write http://HOST:PORT"),
        ("http://a*b", "names no host: write http://HOST:PORT"),
        ("http://", "names no host: write http://HOST:PORT"),
    ],
)
def test_what_is_wrong_with_a_proxy_is_said(value: str, message: str) -> None:
    found, [problem] = proxy_environment({"https_proxy": value})
    assert (problem.variable, problem.message) == ("https_proxy", message)
    assert (found.proxies, found.variables) == ({}, {})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("10.0.0.0/99", "is not a network, such as 10.0.0.0/8 or fd00::/8"),
        ("[host]", "has brackets around what is no IPv6 address"),
        ("[::1", "has brackets around what is no IPv6 address"),
        ("[::1]443", "has brackets around what is no IPv6 address"),
        ("host:0", "has an invalid port"),
        ("host:65536", "has an invalid port"),
        ("host:000443", "has an invalid port"),
        ("host:4294967739", "has an invalid port"),
        ("host:\u0663", "has an invalid port"),
        ("[::1]:", "has an invalid port"),
        ("a*b", "is neither a host, a domain, an address nor a network"),
        ("a:b:c", "is neither a host, a domain, an address nor a network"),
    ],
)
def test_what_is_wrong_with_an_exception_is_said(entry: str, message: str) -> None:
    _, [problem] = proxy_environment({"NO_PROXY": entry})
    assert problem.variable == "NO_PROXY"
    assert problem.message == f"'{entry}' {message}: its requests would use the proxy"


def test_the_variable_of_each_proxy_is_known() -> None:
    environment = {"http_proxy": "a:1", "HTTPS_PROXY": "b:65535", "no_proxy": "h:1,[::1]:65535"}
    found, problems = proxy_environment(environment)
    assert problems == ()
    assert found.variables == {"http": "http_proxy", "https": "HTTPS_PROXY"}
    assert found.proxies == {"http": "http://a:1", "https": "http://b:65535"}
    assert found.proxy_for("http://h/") == "http://a:1"
    assert found.proxy_for("http://h:1/") is None
    assert found.proxy_for("https://[::1]:65535/") is None
    assert found.proxy_for("https://[::1]/") == "http://b:65535"
    assert found.proxy_for("ftp://h/") is None
    padded, _ = proxy_environment({"https_proxy": "b:1", "no_proxy": "h:00443"})
    assert padded.proxy_for("https://h/") is None
    assert found.proxy_for("http:///path") is None


def test_a_name_is_compared_in_the_form_of_the_dns() -> None:
    assert not proxied("https://b\u00fccher.example/", "xn--bcher-kva.example")
    assert not proxied("https://a.b\u00dcCHER.example./", "b\u00fccher.example")
    long = "\u00fc" * 70  # no name of the DNS: compared as it is
    assert not proxied(f"https://{long}/", long)
