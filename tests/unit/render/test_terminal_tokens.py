from dataclasses import replace

import pytest

from prober.models import OAuthClient, TokenSource, TokenSourceKind, TokenStatus
from prober.outcomes import RejectionCause, TokenState
from prober.render.documents import token_document
from prober.render.terminal import TokenTable, token_remark, token_remedy
from tests.unit.render.factories import lines_of

FILE = TokenSource(TokenSourceKind.FILE, "/run/credentials/prober.service/acme-prod")
VALID = TokenStatus(
    "acme-prod",
    FILE,
    TokenState.VALID,
    "8402192c",
    loaded_at=1.7e9,
    first_accepted_at=1.7e9,
    last_accepted_at=1.7e9 + 60,
    rotations=2,
)
REJECTED = replace(
    VALID,
    tenant="acme-dev",
    state=TokenState.REJECTED,
    cause=RejectionCause.SUPERSEDED,
    rejected_since=1.7e9 + 90,
    expires_at=1.8e9,
)
MISSING = TokenStatus("lab", replace(FILE, location="/lab"), problem="the token file /lab is empty")
EVERY = {status.tenant: status for status in (VALID, REJECTED, MISSING)}
TABLE = """\
tenant     state                           fingerprint  first accepted        \
last accepted         expires
acme-prod  ✓ valid                         8402192c     2023-11-14 22:13:20Z  \
2023-11-14 22:14:20Z  -
acme-dev   ✗ rejected: replaced elsewhere  8402192c     2023-11-14 22:13:20Z  \
2023-11-14 22:14:20Z  2027-01-15 08:00:00Z
lab        ! missing                       -            -                     \
-                     -

tenant     rotations  shared with  source
acme-prod  2          acme-dev     file /run/credentials/prober.service/acme-prod
acme-dev   2          acme-prod    file /run/credentials/prober.service/acme-prod
lab        0          -            file /lab

acme-prod: uses the same token as acme-dev, where it is rejected
acme-dev: rejected since 2023-11-14 22:14:50Z; put the user's current token into the \
file that the unit loads the credential acme-prod from, and restart the service:
systemd copies credentials at the start
lab: no token: the token file /lab is empty"""


def test_the_table_shows_every_life_and_what_is_to_be_done() -> None:
    assert "\n".join(lines_of(TokenTable(EVERY, list(EVERY)), width=170)) == TABLE


def test_of_one_tenant_alone_the_others_are_not_shown_but_known() -> None:
    lines = lines_of(TokenTable(EVERY, ["acme-dev"]), width=170)

    assert [line for line in lines if "lab" in line or line.startswith("acme-prod")] == []
    assert any(line.startswith("acme-dev") and "acme-prod" in line for line in lines)


def test_a_narrow_terminal_without_unicode_loses_nothing() -> None:
    lines = lines_of(TokenTable(EVERY, list(EVERY)), width=80, encoding="ascii")

    assert any("x rejected" in line and "8402192c" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_who_is_well_gets_no_remark() -> None:
    assert token_remark({"acme-prod": VALID}, "acme-prod") is None


CLIENT = OAuthClient("prober", TokenSource(TokenSourceKind.ENVIRONMENT, "SECRET"))
OAUTH = TokenSource(TokenSourceKind.OAUTH, "https://x/token", client=CLIENT)


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        (
            TokenSource(TokenSourceKind.FILE, "/etc/token"),
            "put the user's current token into file /etc/token, no restart is needed",
        ),
        (
            TokenSource(TokenSourceKind.ENVIRONMENT, "TOKEN"),
            (
                "put the user's current token into env TOKEN, and restart the prober: a running"
                " process does not see a changed environment"
            ),
        ),
        (
            FILE,
            (
                "put the user's current token into the file that the unit loads the credential"
                " acme-prod from, and restart the service: systemd copies credentials at the start"
            ),
        ),
        (
            OAUTH,
            (
                "check the rights and the scope of the OAuth client prober, and put its current"
                " secret into env SECRET, and restart the prober: a running process does not see a"
                " changed environment"
            ),
        ),
        (
            replace(OAUTH, client=replace(CLIENT, secret=TokenSource(TokenSourceKind.FILE, "/s"))),
            (
                "check the rights and the scope of the OAuth client prober, and put its current"
                " secret into file /s, no restart is needed"
            ),
        ),
    ],
)
def test_a_remedy_is_that_of_the_source(source: TokenSource, remedy: str) -> None:
    assert token_remedy(source) == remedy


def test_the_document_has_every_key_and_no_token() -> None:
    assert token_document(EVERY, "acme-dev") == {
        "schema_version": 1,
        "tenant": "acme-dev",
        "source": "file /run/credentials/prober.service/acme-prod",
        "fingerprint": "8402192c",
        "state": "rejected",
        "cause": "superseded",
        "problem": None,
        "loaded_at_timestamp_seconds": 1.7e9,
        "first_accepted_at_timestamp_seconds": 1.7e9,
        "last_accepted_at_timestamp_seconds": 1.7e9 + 60,
        "rejected_since_timestamp_seconds": 1.7e9 + 90,
        "expires_at_timestamp_seconds": 1.8e9,
        "rotations": 2,
        "shared_with": ["acme-prod"],
    }
