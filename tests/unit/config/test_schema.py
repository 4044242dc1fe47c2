from datetime import date

import pytest
from pydantic import TypeAdapter, ValidationError

from prober.config.addresses import listen_address
from prober.config.schema import CustomProbe, Defaults, Expectation, ProbeRef
from prober.config.sections import References, StatusPage, StatusPageSettings, WebSettings
from tests.unit.config.factories import an_entry


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9824", ("127.0.0.1", 9824)),
        ("[::1]:0", ("::1", 0)),
        ("prober.example:65535", ("prober.example", 65535)),
    ],
)
def test_an_address_to_listen_on_has_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize(
    "text", ["", ":", "[]:1", "9824", "localhost", "::1:9824", "h:", "h:-1", "h:65536", "a b:1"]
)  # fmt: skip
def test_what_is_no_address_to_listen_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write ADDRESS:PORT"):
        listen_address(text)


@pytest.mark.parametrize(
    "url",
    [
        "lab.example", "ftp://lab.example", "https://", "https://lab.example/", "https://lab.example/a/",
        "https://lab.example/a?b", "https://lab.example/a#b", "https://user:word@lab.example",
        "https://lab.example:port", "https://lab.example:0", "https://lab.example:65536", "https://[::1",
        "https://lab example", "",
    ],
)  # fmt: skip
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="with no '/' at the end"):
        an_entry(domain=None, base_url=url)


@pytest.mark.parametrize(
    "proxy", ["proxy:3128", "socks5://proxy", "", "none ", "http://proxy:99999"]
)
def test_what_is_no_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ValidationError, match="write 'environment', 'none', or a URL"):
        Defaults(proxy=proxy)


@pytest.mark.parametrize("proxy", ["environment", "none", "http://me:word@proxy:3128/"])
def test_a_proxy_is_a_word_or_a_url(proxy: str) -> None:
    assert Defaults(proxy=proxy).proxy == proxy


@pytest.mark.parametrize(
    "label", ["tenant", "environment", "base_url", "probe", "job", "instance", "__name__"]
)
def test_a_label_that_prober_or_prometheus_sets_is_taken(label: str) -> None:
    with pytest.raises(ValidationError, match=f"the label {label} is reserved"):
        an_entry(labels={label: "x"})


@pytest.mark.parametrize("status", [100, 199, 301, 302, 401, 403, 429, 500, 503, 4040, -200])
def test_a_status_that_means_trouble_cannot_be_expected(status: int) -> None:
    with pytest.raises(ValidationError, match="write a 2xx, or a 4xx other than"):
        Expectation(status=status)


@pytest.mark.parametrize("status", [None, 200, 299, 400, 404, 499])
def test_a_good_answer_or_a_refusal_can_be_expected(status: int | None) -> None:
    assert Expectation(status=status).status == status


def test_no_expression_is_no_mistake() -> None:
    assert Expectation(jmespath=None).jmespath is None


@pytest.mark.parametrize(
    "name",
    ["Authorization", "authorization", "HOST", "Content-Length", "Transfer-Encoding", "Connection",
     "User-Agent", "Accept-Encoding", "Proxy-Authorization", "Cookie"],
)  # fmt: skip
def test_the_probers_own_headers_cannot_be_set(name: str) -> None:
    with pytest.raises(ValidationError, match=f"the header {name} is set by prober itself"):
        CustomProbe(path="/", headers={name: "x"})


@pytest.mark.parametrize(
    ("name", "value"), [("", "x"), ("a:b", "x"), ("a\nb", "x"), ("X", "a\rb"), ("X", "é")]
)
def test_no_header_can_break_a_request(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match="contains characters that HTTP does not allow"):
        CustomProbe(path="/", headers={name: value})


@pytest.mark.parametrize(
    "path",
    ["", "api/v1", "//evil.example/", "https://evil.example/", "/a b", "/a#b", "/a\nb", "/é", '/"'],
)  # fmt: skip
def test_a_path_cannot_lead_to_another_host(path: str) -> None:
    with pytest.raises(ValidationError, match="begin with one '/'"):
        CustomProbe(path=path)


@pytest.mark.parametrize("path", ["/..", "/a/../b", "/a/./b", "/a/.", "/a/%2e%2E/b", "/a/.%2e?x"])
def test_a_path_cannot_lead_upwards(path: str) -> None:
    with pytest.raises(ValidationError, match=r"leave out '\.' and '\.\.'"):
        CustomProbe(path=path)


@pytest.mark.parametrize("path", ["/", "/api/v1/a.b/..c", "/api/v1/a?next=/../x", "/a%2Fb"])
def test_other_dots_are_good(path: str) -> None:
    assert CustomProbe(path=path).path == path


@pytest.mark.parametrize("body", [{"a": [1, 1.5, None, True, "x"]}, [], "text", 0])
def test_a_body_is_whatever_json_can_say(body: object) -> None:
    given = {"path": "/", "json": body}
    assert CustomProbe.model_validate(given).json_body == body


@pytest.mark.parametrize("body", [float("nan"), {"a": float("inf")}, b"x", {1, 2}])
def test_a_body_that_json_cannot_say_is_refused(body: object) -> None:
    with pytest.raises(ValidationError, match="a value that is not JSON"):
        ProbeRef.model_validate({"use": "predict", "json": body})


@pytest.mark.parametrize(("given", "kept"), [(7, "7"), ("7", "7"), (None, None)])
def test_a_model_version_may_be_a_number(given: object, kept: str | None) -> None:
    use = ProbeRef.model_validate({"use": "predict", "model_version": given})
    assert use.model_version == kept


@pytest.mark.parametrize("given", [True, 1.5, [7]])
def test_a_model_version_is_nothing_else(given: object) -> None:
    with pytest.raises(ValidationError):
        ProbeRef.model_validate({"use": "predict", "model_version": given})


@pytest.mark.parametrize("literal", ["secret", ["secret"], 7, None])
def test_a_token_never_stands_in_the_file(literal: object) -> None:
    with pytest.raises(ValidationError, match="a token must not be in this file"):
        an_entry(token=literal)


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", date(3000, 1, 1)]
)
def test_an_expiry_that_some_time_zone_cannot_show_is_refused(time: object) -> None:
    with pytest.raises(ValidationError, match="write a year from 1970 to 2999"):
        an_entry(token={"env": "T", "expires_at": time})


@pytest.mark.parametrize("moment", [20270301, 1.5, True, "soon", "", "2027-13-01"])
def test_an_expiry_is_a_date_and_never_a_number(moment: object) -> None:
    with pytest.raises(ValidationError, match="write a date such as 2027-03-01"):
        an_entry(token={"env": "T", "expires_at": moment})


@pytest.mark.parametrize(
    "url",
    [
        "example.com",
        "ftp://example.com/",
        "https://user@example.com/",
        "https://example.com/?token=x",
        "https://example.com/#x",
        "https://example.com:0/",
        "https://example.com/ x",
        "https://example.com/" + "x" * 300,
    ],
)
def test_a_reference_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(References).validate_python([url])


def test_references_are_few() -> None:
    urls = [f"https://{number}.example/" for number in range(9)]
    assert TypeAdapter(References).validate_python(urls[:8]) == tuple(urls[:8])
    with pytest.raises(ValidationError):
        TypeAdapter(References).validate_python(urls)


@pytest.mark.parametrize("written", ["https://status.example", {"url": "https://status.example"}])
def test_a_status_page_is_its_address_or_a_mapping(written: object) -> None:
    page = TypeAdapter(StatusPage).validate_python(written)
    assert page == StatusPageSettings(url="https://status.example")


@pytest.mark.parametrize("written", ["status.example", {"url": "https://a/?x=1"}, {}, 7])
def test_a_status_page_that_cannot_be_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(StatusPage).validate_python(written)


@pytest.mark.parametrize("runbooks", [None, "https://runbooks.example/prober", "http://a:8080"])
def test_runbooks_are_at_an_address(runbooks: str | None) -> None:
    assert WebSettings(runbooks=runbooks).runbooks == runbooks


@pytest.mark.parametrize(
    "runbooks",
    [
        "",
        "runbooks.example",
        "https://a/",
        "javascript:alert(1)",
        "//a",
        "https://a/?b",
    ],
)
def test_runbooks_elsewhere_are_refused(runbooks: str) -> None:
    with pytest.raises(ValidationError, match="write http"):
        WebSettings(runbooks=runbooks)
