"""Who gets in: passwords, certificates, and what becomes of those who have neither."""

import asyncio
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import encode_basic_auth

from tests.integration.web.app_factory import Installation, served
from tests.integration.web.connections import (
    ALICE,
    CLIENTS,
    DEMANDED,
    IF_GIVEN,
    SERVERS,
    TLS,
    USERS,
    ask,
    behind,
    client_tls,
    eventually,
    write_certificate,
    write_files,
)

PATHS = (
    "/",
    "/tenants/acme",
    "/incidents",
    "/nowhere",
    "/metrics",
    "/live",
    "/api/v1/overview",
    "/api/v1/openapi.json",
    "/badge/acme.svg",
    "/static/prober.css",
)
RUN = "/api/v1/tenants/acme/probes/datasets/run"
STRANGER = encode_basic_auth("mallory", "correct horse")
WRONG = encode_basic_auth("alice", "wrong")


async def test_without_a_password_there_is_health_alone(tmp_path: Path) -> None:
    async with behind(write_files(tmp_path, USERS), Installation(tmp_path)) as server:
        for path in PATHS:
            status, headers, text = await ask(server.url + path)
            assert status == 401, path
            assert headers["WWW-Authenticate"] == 'Basic realm="prober", charset="UTF-8"'
            assert "acme" not in text
            status, _, _ = await ask(server.url + path, auth=ALICE)
            assert status == (404 if path == "/nowhere" else 200), path
        for path in ("/-/healthy", "/-/ready"):
            assert (await ask(server.url + path))[0] == 200
        assert (await ask(server.url + "/-/healthy", "POST"))[0] == 401


@pytest.mark.parametrize("auth", [WRONG, STRANGER, encode_basic_auth("", "")])
async def test_a_wrong_password_and_an_unknown_user_are_answered_alike(
    tmp_path: Path, auth: str
) -> None:
    async with behind(write_files(tmp_path, USERS)) as server:
        status, _, text = await ask(server.url + "/metrics", auth=auth)
        assert (status, text) == (401, "invalid credentials\n")


async def test_wrong_passwords_are_throttled_and_the_one_known_as_right_is_not(
    tmp_path: Path,
) -> None:
    async with behind(write_files(tmp_path, USERS)) as server:
        url = server.url + "/metrics"
        assert (await ask(url, auth=ALICE))[0] == 200
        guesses = [encode_basic_auth("alice", str(number)) for number in range(14)]
        answers = [await ask(url, auth=guess) for guess in guesses]
        assert [status for status, _, _ in answers] == [401] * 10 + [429] * 4
        assert 0 < int(answers[-1][1]["Retry-After"]) <= 10
        bob = encode_basic_auth("bob", "battery staple")
        assert (await ask(url, auth=bob))[0] == 429  # nobody new gets in from there
        assert (await ask(url, auth=ALICE))[0] == 200  # and no scrape is shut out


async def test_many_wrong_passwords_at_once_are_no_way_around_it(tmp_path: Path) -> None:
    async with behind(write_files(tmp_path, USERS)) as server:
        guesses = (encode_basic_auth("alice", str(number)) for number in range(40))
        answers = await asyncio.gather(*(ask(server.url, auth=guess) for guess in guesses))
    assert sorted(status for status, _, _ in answers) == [401] * 10 + [429] * 30


async def test_whoever_has_shown_who_they_are_may_write(tmp_path: Path) -> None:
    installation = Installation(None)
    async with behind(write_files(tmp_path, USERS), installation, ad_hoc=True) as server:
        assert (await ask(server.url + RUN, "POST", json={}))[0] == 401
        assert (await ask(server.url + RUN, "POST", WRONG, json={}))[0] == 401
        assert installation.asked == []
        assert (await ask(server.url + RUN, "POST", ALICE, json={}))[0] == 200
        assert installation.asked == [("acme", "datasets")]
        headers = {"Sec-Fetch-Site": "cross-site"}  # a browser sends passwords by itself
        assert (await ask(server.url + RUN, "POST", ALICE, json={}, headers=headers))[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_without_a_way_to_show_it_nothing_is_written(tmp_path: Path, method: str) -> None:
    installation = Installation(None)
    async with behind(write_files(tmp_path, TLS), installation, ad_hoc=True) as server:
        for path in (RUN, "/tenants/acme/probes/datasets/run", "/-/healthy", "/nowhere"):
            status, _, text = await ask(server.url + path, method, tls=client_tls())
            assert status == 403
            assert "web.config_file" in text
    assert installation.asked == []


async def test_tls_is_spoken_and_plain_http_is_not_answered(tmp_path: Path) -> None:
    async with behind(write_files(tmp_path, TLS)) as server:
        assert server.url.startswith("https://")
        assert (await ask(server.url + "/metrics", tls=client_tls()))[0] == 200
        with pytest.raises(aiohttp.ClientError):
            await ask(server.url.replace("https", "http"))
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await ask(server.url)
        assert (await ask(server.url + "/-/healthy", tls=client_tls()))[0] == 200


async def test_a_client_certificate_is_demanded(tmp_path: Path) -> None:
    installation = Installation(None)
    async with behind(write_files(tmp_path, TLS + DEMANDED), installation, ad_hoc=True) as server:
        for nobody in (client_tls(), client_tls(SERVERS), client_tls(trustme.CA())):
            with pytest.raises((aiohttp.ClientError, OSError)):
                await ask(server.url + "/-/healthy", tls=nobody)  # no path is exempt
        known = client_tls(CLIENTS)
        assert (await ask(server.url + "/metrics", tls=known))[0] == 200
        assert (await ask(server.url + RUN, "POST", tls=known, json={}))[0] == 200
    assert installation.asked == [("acme", "datasets")]


async def test_a_client_certificate_is_looked_at_if_given(tmp_path: Path) -> None:
    installation = Installation(None)
    async with behind(write_files(tmp_path, TLS + IF_GIVEN), installation, ad_hoc=True) as server:
        assert (await ask(server.url + "/metrics", tls=client_tls()))[0] == 200
        assert (await ask(server.url + RUN, "POST", tls=client_tls(), json={}))[0] == 403
        with pytest.raises((aiohttp.ClientError, OSError)):
            await ask(server.url + "/metrics", tls=client_tls(SERVERS))
        assert (await ask(server.url + RUN, "POST", tls=client_tls(CLIENTS), json={}))[0] == 200
    assert installation.asked == [("acme", "datasets")]


async def test_a_client_certificate_must_bear_an_allowed_name(tmp_path: Path) -> None:
    web_yml = TLS + DEMANDED + "  client_allowed_sans: [prometheus.example, 192.0.2.7]\n"
    async with behind(write_files(tmp_path, web_yml)) as server:
        for name in ("prometheus.example", "192.0.2.7"):
            assert (await ask(server.url + "/metrics", tls=client_tls(CLIENTS, name)))[0] == 200
        with pytest.raises((aiohttp.ClientError, OSError)):
            await ask(server.url + "/metrics", tls=client_tls(CLIENTS, "other.example"))


async def test_a_certificate_takes_no_passwords_place(tmp_path: Path) -> None:
    async with behind(write_files(tmp_path, TLS + IF_GIVEN + USERS)) as server:
        known = client_tls(CLIENTS)
        assert (await ask(server.url + "/metrics", tls=known))[0] == 401
        assert (await ask(server.url + "/metrics", auth=ALICE, tls=known))[0] == 200


async def test_the_rate_limit_of_the_file_holds_for_all_but_health(tmp_path: Path) -> None:
    limit = "rate_limit: {interval: 1h, burst: 2}\n"
    async with behind(write_files(tmp_path, limit)) as server:
        found = [(await ask(server.url + "/metrics"))[0] for _ in range(3)]
        assert found == [200, 200, 429]
        assert (await ask(server.url + "/-/healthy"))[0] == 200


async def test_every_answer_bears_the_headers(tmp_path: Path) -> None:
    web_yml = USERS + "http_server_config: {headers: {X-XSS-Protection: '0'}}\n" + TLS
    async with behind(write_files(tmp_path, web_yml), Installation(tmp_path)) as server:
        tls, seen = client_tls(), set()
        asked: list[tuple[str, str, str | None]] = [
            ("GET", path, ALICE) for path in (*PATHS, "/-/ready", "/api/v1/nothing")
        ]
        asked += [("GET", "/", None), ("PUT", "/", ALICE), ("GET", "/failures/x", ALICE)]
        for method, path, auth in asked:
            status, headers, _ = await ask(server.url + path, method, auth, tls)
            assert "default-src 'none'" in headers["Content-Security-Policy"], path
            assert headers["X-Frame-Options"] == "DENY", path
            assert headers["X-Content-Type-Options"] == "nosniff", path
            assert headers["Strict-Transport-Security"] == "max-age=86400", path
            assert headers["X-XSS-Protection"] == "0", path
            assert headers["Server"] == "prober", path
            seen.add(status)
        assert seen == {200, 400, 401, 404, 405}


async def served_certificate(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_tls())
    del reader
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert isinstance(certificate, bytes)
    return certificate


async def test_a_renewed_certificate_and_a_new_user_are_picked_up(tmp_path: Path) -> None:
    file = write_files(tmp_path, TLS + USERS)
    async with behind(file) as server:
        url, tls = server.url + "/metrics", client_tls()
        before = await served_certificate(server.port)
        write_certificate(tmp_path)

        async def is_renewed() -> bool:
            return await served_certificate(server.port) != before

        await eventually(is_renewed)
        assert (await ask(url, auth=ALICE, tls=tls))[0] == 200
        file.write_text((TLS + USERS).replace("alice", "carol"))
        carol = encode_basic_auth("carol", "correct horse")

        async def carol_gets_in() -> bool:
            return (await ask(url, auth=carol, tls=tls))[0] == 200

        await eventually(carol_gets_in)
        assert (await ask(url, auth=ALICE, tls=tls))[0] == 401


async def test_a_name_of_another_site_is_not_answered(tmp_path: Path) -> None:
    for loopback, hosts, answered in (
        (True, (), 421),
        (False, (), 200),
        (False, ("a.example",), 421),
    ):
        site = replace(Installation(tmp_path).site(hosts=hosts), is_loopback=loopback)
        async with served(site) as client:
            for path in ("/", "/api/v1/overview", "/metrics"):
                async with client.get(path, headers={"Host": "evil.example"}) as response:
                    assert response.status == answered
                async with client.get(path) as response:
                    assert response.status == 200
            async with client.get("/-/healthy", headers={"Host": "evil.example"}) as response:
                assert response.status == 200
