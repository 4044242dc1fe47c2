"""Cases of alerts about one probe, about all probes of a tenant, and about several tokens."""

from tests.alerting.cases import (
    CAUSE,
    CREDENTIAL,
    FAILURES,
    NETWORK,
    PLATFORM,
    PROBER,
    REJECTED,
    SERVER_ERROR,
    STATE,
    SUPERSEDED,
    Case,
    network,
    probe,
    prober,
    runs,
    seen,
    tenant,
)

REQUEST = {"culprit": "request"}
UNDECIDED = {"culprit": "undecided"}
LAST_RUN = "prober_probe_last_run_timestamp_seconds"
LAST_SUCCESS = "prober_probe_last_success_timestamp_seconds"
INTERVAL = "prober_probe_interval_seconds"
SUCCESS = "prober_probe_success"
RATE_LIMITED = probe("prober_probe_skipped_total", 'cause="rate_limited"')
FAILS = "0x9 1 1 2 2 3 3 4 4 5x200"
"""One run a minute, each of which fails from 5 minutes on: three in a row at 7 minutes."""


def failing(culprit: str, name: str = "sources", values: str = FAILS) -> dict[str, str]:
    return {probe(FAILURES, f'culprit="{culprit}"', name=name): values}


def well(name: str = "datasets") -> dict[str, str]:
    every = ("credential", "request", "tenant", "platform", "network", "undecided", "prober")
    return {probe(FAILURES, f'culprit="{each}"', name=name): "0x400" for each in every}


def rejected(name: str, *labels: str) -> dict[str, str]:
    return {
        tenant(STATE, 'state="rejected"', name=name): "0x9 1x200",
        tenant(CAUSE, 'cause="superseded"', name=name): "0x9 1x200",
        **({tenant("prober_token_info", *labels, name=name): "1x300"} if labels else {}),
    }


def token(fingerprint: str, source: str = "file") -> tuple[str, str]:
    return (f'fingerprint="{fingerprint}"', f'source="{source}"')


def of_project(environment: str, severity: str, name: str = "sources") -> dict[str, str]:
    """Return what a probe of a project with its own environment exports."""
    labels = (f'severity="{severity}"', f'environment="{environment}"')
    return {probe("prober_probe_info", *labels, name=name): "1x400"}


def severity(value: str, name: str = "sources") -> dict[str, str]:
    return {probe("prober_probe_info", f'severity="{value}"', name=name): "1x400"}


CODES = "prober_probe_http_responses_total"


def answered(code: int, name: str = "sources") -> dict[str, str]:
    return {probe(CODES, f'code="{code}"', name=name): "_x9 1 1 2 2 3 3 4 4 5 5 6x200"}


OF_ONE_PROBE = (
    *(
        Case(
            "ProberProbeFailing",
            f"{culprit}, while another probe succeeds",
            {**well(), **failing(culprit)},
            "17m",
            labels={"probe": "sources", "severity": "ticket", "culprit": culprit},
        )
        for culprit in ("request", "tenant", "platform", "network", "undecided")
    ),
    Case(
        "ProberProbeFailing",
        "a probe that is to page",
        {**well(), **failing("request"), **severity("page")},
        "17m",
        labels={"severity": "page", **REQUEST},
    ),
    Case(
        "ProberProbeFailing",
        "a probe of a project with its own environment",
        {**well(), **failing("request"), **of_project("development", "page")},
        "17m",
        labels={"severity": "page", "environment": "development", **REQUEST},
    ),
    Case(
        "ProberProbeFailing",
        "a probe of the tenant's own environment",
        {**well(), **failing("request"), **severity("ticket")},
        "17m",
        labels={"severity": "ticket", "environment": "production", **REQUEST},
    ),
    Case(
        "ProberProbeFailing",
        "one location has other settings than another",
        {
            **well(),
            **failing("request"),
            **of_project("development", "ticket"),
            **{name.replace('"a"', '"b"'): "1x400" for name in of_project("production", "ticket")},
        },
        "17m",
        labels={"severity": "ticket", **REQUEST},
    ),
    Case(
        "ProberProbeFailing",
        "one location says that it pages, another that it does not",
        {
            **well(),
            **failing("request"),
            **severity("page"),
            **{name.replace('"a"', '"b"'): "1x400" for name in severity("ticket")},
        },
        "17m",
        labels={"severity": "page", **REQUEST},
    ),
    Case(
        "ProberProbeFailing",
        "an hourly probe: three runs, not ten minutes",
        {**well(), **failing("request", values="0x119 1x119 2x119 3x119 4x300")},
        "3h10m",
        until="4h",
        labels=REQUEST,
    ),
    Case(
        "ProberProbeFailing",
        "the only probe of its tenant, from its first run",
        failing("request", "datasets", "1 1 2 2 3 3 4x200"),
        "12m",
        labels=REQUEST,
    ),
    Case(
        "ProberProbeFailing",
        "each time another culprit, never a success",
        {
            **well(),
            **{
                probe(FAILURES, f'culprit="{culprit}"', name="sources"): values
                for culprit, values in (
                    ("network", "1 1 0 0 " * 100),
                    ("platform", "0 0 1 1 " * 100),
                )
            },
            probe(SUCCESS, name="sources"): "0x400",
            probe(LAST_RUN, name="sources"): " ".join(
                f"{30 * each} {30 * each}" for each in range(0, 400, 2)
            ),
        },
        "15m",
        labels=UNDECIDED,
    ),
    Case(
        "ProberProbeFailing",
        "each time another culprit, a run each five minutes",
        {
            **well(),
            **{
                probe(FAILURES, f'culprit="{culprit}"', name="sources"): values * 10
                for culprit, values in (("network", "1x9 0x9 "), ("platform", "0x9 1x9 "))
            },
            probe(INTERVAL, name="sources"): "300x400",
            probe(SUCCESS, name="sources"): "0x400",
            probe(LAST_RUN, name="sources"): " ".join(f"{300 * each}x9" for each in range(40)),
        },
        "35m",
        labels=UNDECIDED,
    ),
    Case(
        "ProberProbeFailing", "twice", {**well(), **failing("request", values="0x9 1 1 2 2 0x300")}
    ),
    Case(
        "ProberProbeFailing",
        "for nine minutes",
        {**well(), **failing("request", values="0x9 1 1 2 2 3x19 0x300")},
    ),
    Case(
        "ProberProbeFailing",
        "its tenant is cut off, as all of them are",
        {**failing("network", "datasets"), **failing("network"), network("two"): "0x400"},
        until="40m",
    ),
    Case(
        "ProberProbeFailing",
        "its tenant's token is rejected",
        {**well(), **failing("request"), **rejected("acme")},
        until="40m",
    ),
    Case(
        "ProberProbeFailing",
        "the location reaches no tenant",
        {
            **failing("network", "datasets"),
            **failing("network"),
            network("two"): "0x9 9x300",
        },
        until="40m",
    ),
    Case(
        "ProberProbeFailing",
        "silent here, an error there: one alert, the platform's",
        {
            seen("undecided", "here", probe_name="sources"): FAILS,
            seen("platform", "there", probe_name="sources"): FAILS,
            seen("undecided", "here"): "0x300",
            seen("platform", "there"): "0x300",
        },
        "17m",
        labels={"location": "there", **PLATFORM},
    ),
    Case(
        "ProberProbeFailing",
        "a used-up quota is a ticket of its own",
        {**well(), **failing("tenant"), **answered(402)},
        until="40m",
    ),
    Case(
        "ProberProbeFailing",
        "a used-up quota, and a probe that is to page",
        {**well(), **failing("tenant"), **answered(402), **severity("page")},
        "17m",
        labels={"severity": "page", "culprit": "tenant"},
    ),
    Case(
        "ProberPermissionDenied",
        "from the start, with a token that was never accepted",
        {
            **well(),
            **failing("credential", values="1 1 2 2 3 3 4x200"),
            tenant(STATE, 'state="unverified"'): "1x400",
        },
        "4m",
        labels={"probe": "sources", "severity": "ticket", **CREDENTIAL},
    ),
    Case(
        "ProberPermissionDenied",
        "on every probe: that is the tenant's alert",
        {**failing("credential", "datasets"), **failing("credential")},
    ),
    Case(
        "ProberProbeFlapping",
        "every other run",
        {**well(), **failing("network", values="1 1 0 0 " * 100)}
        | {probe(SUCCESS, name="sources"): "0 0 1 1 " * 100},
        "8m",
        labels={"probe": "sources", "severity": "ticket", **NETWORK},
    ),
    Case(
        "ProberProbeFlapping",
        "every other run of a probe each ten minutes",
        {
            **dict.fromkeys(well(), "0x1000"),
            **failing("network", values="1x19 0x19 " * 20),
            probe(SUCCESS, name="sources"): "0x19 1x19 " * 20,
            probe(INTERVAL, name="sources"): "600x1000",
        },
        "1h2m",
        until="4h",
        labels={"probe": "sources", **NETWORK},
    ),
    Case(
        "ProberProbeFlapping",
        "three failures in half an hour",
        {
            **well(),
            **failing("network", values=("1 1" + " 0" * 18 + " ") * 20),
            probe(SUCCESS, name="sources"): ("0 0" + " 1" * 18 + " ") * 20,
        },
        until="60m",
    ),
    Case(
        "ProberProbeFlapping",
        "two outages that are over",
        {
            **well(),
            **failing("network", values="0x9 1x9 0x9 1x9 0x300"),
            probe(SUCCESS, name="sources"): "1x9 0x9 1x9 0x9 1x300",
        },
        until="60m",
    ),
)

RUNS = "prober_probe_runs_total"
QUOTA = ('reason="quota_exceeded"', 'culprit="tenant"', 'outcome="api_error"')
OF_CODES = (
    *(
        Case(
            alert,
            f"{code}, while another probe succeeds",
            {**well(), **failing(culprit), **answered(code)},
            "9m",
            labels={"severity": "ticket", "culprit": culprit},
        )
        for alert, code in (("ProberObjectMissing", 404), ("ProberQuotaExceeded", 402))
        for culprit in ("request", "tenant")
    ),
    *(
        Case(
            alert,
            f"{code} on every probe: that is the tenant's alert",
            {
                **failing("request", "datasets"),
                **failing("request"),
                **answered(code),
                **answered(code, "datasets"),
            },
        )
        for alert, code in (("ProberObjectMissing", 404), ("ProberQuotaExceeded", 402))
    ),
    Case(
        "ProberQuotaExceeded",
        "a 403 that says so",
        {
            **well(),
            **failing("tenant"),
            probe(RUNS, *QUOTA, name="sources"): "0x9 1 1 2 2 3 3 4 4 5 5 6x200",
        },
        "9m",
        labels={"severity": "ticket", "culprit": "tenant"},
    ),
    Case("ProberObjectMissing", "an expected 404 is a success", {**well(), **answered(404)}),
    Case("ProberQuotaExceeded", "another 4xx", {**well(), **failing("request"), **answered(400)}),
    Case(
        "ProberProbeFailing",
        "a 404 has an alert of its own",
        {**well(), **failing("request"), **answered(404)},
        until="40m",
    ),
)

OF_A_TENANT = (
    *(
        Case(
            "ProberTenantRefused",
            f"every probe, {culprit}",
            {**failing(culprit, "datasets"), **failing(culprit)},
            "9m",
            labels={"severity": "page", "culprit": culprit},
        )
        for culprit in ("credential", "request", "tenant")
    ),
    Case("ProberTenantRefused", "one of two probes", {**well(), **failing("request")}),
    Case("ProberTenantRefused", "the only probe of its tenant", failing("request", "datasets")),
    Case(
        "ProberTenantRefused",
        "the only probes of two tenants",
        {seen("request", "here"): FAILS, seen("request", "here", "two"): FAILS},
        "9m",
        labels={"severity": "page", **REQUEST},
    ),
    Case(
        "ProberTenantRefused",
        "a rejected token is another alert",
        {**failing("credential", "datasets"), **failing("credential"), REJECTED: "1x300"},
    ),
    Case(
        "ProberTenantFlapping",
        "every other run of every probe",
        {
            **failing("undecided", "datasets", "1 1 0 0 " * 100),
            probe(SUCCESS): "0 0 1 1 " * 100,
        },
        "8m",
        labels={"severity": "page", **UNDECIDED},
    ),
    Case(
        "ProberTenantFlapping",
        "one probe of three",
        {
            **well(),
            **well("projects"),
            **failing("undecided", values="1 1 0 0 " * 100),
            probe(SUCCESS, name="sources"): "0 0 1 1 " * 100,
        },
    ),
    Case(
        "ProberTenantUnreachable",
        "an hourly probe has not run since, and is not waited for",
        {
            network("acme"): FAILS,
            network("acme").replace("datasets", "sources"): "0x300",
            tenant(INTERVAL, 'probe="sources"'): "3600x400",
            tenant(LAST_RUN, 'probe="datasets"'): "0+30x400",
            tenant(LAST_RUN, 'probe="sources"'): "120x400",
            tenant(LAST_SUCCESS, 'probe="datasets"'): "0+30x9 270x300",
            tenant(LAST_SUCCESS, 'probe="sources"'): "120x400",
            network("two"): "0x400",
        },
        "8m",
        labels={"tenant": "acme", **NETWORK},
    ),
    Case(
        "ProberTenantUnreachable",
        "an hourly probe succeeded meanwhile",
        {
            network("acme"): FAILS,
            network("acme").replace("datasets", "sources"): "0x300",
            tenant(INTERVAL, 'probe="sources"'): "3600x400",
            tenant(LAST_RUN, 'probe="datasets"'): "0+30x400",
            tenant(LAST_RUN, 'probe="sources"'): "120x14 450x400",
            tenant(LAST_SUCCESS, 'probe="datasets"'): "0+30x9 270x300",
            tenant(LAST_SUCCESS, 'probe="sources"'): "120x14 450x400",
            network("two"): "0x400",
        },
        until="60m",
    ),
)


def everywhere(culprit: str, location: str, *names: str, values: str = FAILS) -> dict[str, str]:
    return {seen(culprit, location, name): values for name in names}


OF_A_LOCATION = (
    Case(
        "ProberLocationSilent",
        "three tenants hang, one location",
        everywhere("undecided", "here", "acme", "two", "three"),
        "6m30s",
        labels={"tenant": "all", "severity": "page", **UNDECIDED},
    ),
    Case(
        "ProberLocationSilent",
        "some hang, some are cut off",
        {
            **everywhere("undecided", "here", "acme", "two"),
            **everywhere("network", "here", "three", "four"),
            **everywhere("network", "here", "acme", "two", values="0x400"),
            **everywhere("undecided", "here", "three", "four", values="0x400"),
        },
        "6m30s",
        labels=UNDECIDED,
    ),
    Case(
        "ProberLocationSilent",
        "another location is answered: that is the network's",
        {
            **everywhere("undecided", "here", "acme", "two", "three"),
            **everywhere("undecided", "there", "acme", "two", "three", values="0x400"),
        },
    ),
    Case(
        "ProberLocationSilent",
        "two locations: that is the platform's",
        {
            **everywhere("undecided", "here", "acme", "two", "three"),
            **everywhere("undecided", "there", "acme", "two", "three"),
        },
    ),
    Case(
        "ProberLocationSilent",
        "one tenant of three",
        {
            **everywhere("undecided", "here", "acme"),
            **everywhere("undecided", "here", "two", "three", values="0x400"),
        },
    ),
    Case(
        "ProberTenantSilent",
        "most tenants of the location: that is another alert",
        everywhere("undecided", "here", "acme", "two", "three"),
    ),
    Case(
        "ProberVantagePointOffline",
        "all are silent here, another location is answered",
        {
            **everywhere("undecided", "here", "acme", "two", "three"),
            **everywhere("undecided", "there", "acme", "two", "three", values="0x400"),
        },
        "6m30s",
        labels={"location": "here", **NETWORK},
    ),
    Case(
        "ProberPlatformDown",
        "the platform's own errors, two of two tenants, one location",
        everywhere("platform", "here", "acme", "two"),
        "7m30s",
        labels={"tenant": "all", **PLATFORM},
    ),
)

OF_TOKENS = (
    Case(
        "ProberTokenRejected",
        "one token of two tenants: two alerts with one fingerprint",
        {**rejected("acme", *token("x")), **rejected("two", *token("x"))},
        "6m",
        labels={"fingerprint": "x", "source": "file", **CREDENTIAL},
    ),
    Case(
        "ProberTokenRejected",
        "an OAuth client, whose token is no more",
        {SUPERSEDED: "0x9 1x200"},
        "6m",
        labels={"fingerprint": "", "source": "", **CREDENTIAL},
    ),
    Case(
        "ProberTokenRejected",
        "three tokens at once: that is another alert",
        {
            **rejected("acme", *token("x")),
            **rejected("two", *token("y")),
            **rejected("three", *token("z")),
        },
    ),
    Case(
        "ProberManyTokensRejected",
        "three tokens at once",
        {
            **rejected("acme", *token("x")),
            **rejected("two", *token("y")),
            **rejected("three", *token("z")),
        },
        "5m30s",
        labels={"severity": "page", "tenant": "all", **CREDENTIAL},
    ),
    Case(
        "ProberManyTokensRejected",
        "three OAuth clients at once",
        {**rejected("acme"), **rejected("two"), **rejected("three")},
        "5m30s",
        labels={"tenant": "all", **CREDENTIAL},
    ),
    Case(
        "ProberManyTokensRejected",
        "three tenants with one token",
        {
            **rejected("acme", *token("x")),
            **rejected("two", *token("x")),
            **rejected("three", *token("x")),
        },
    ),
    Case(
        "ProberManyTokensRejected",
        "three of seven tenants",
        {
            **rejected("acme", *token("x")),
            **rejected("two", *token("y")),
            **rejected("three", *token("z")),
            **{
                tenant(STATE, 'state="rejected"', name=name): "0x300"
                for name in ("four", "five", "six", "seven")
            },
        },
    ),
)

OF_THE_SCHEDULE = (
    Case(
        "ProberProbesNeverRan",
        "one each minute",
        {probe(LAST_RUN): "0x300"},
        "7m",
        labels={"tenant": "acme", "severity": "ticket", **PROBER},
    ),
    Case(
        "ProberProbesNeverRan",
        "one each five minutes, and a restart",
        {probe(INTERVAL): "300x300", probe(LAST_RUN): "0x30 _x3 0x300"},
        "33m",
        until="60m",
        labels=PROBER,
    ),
    Case("ProberProbesNeverRan", "its first run comes late", {probe(LAST_RUN): "0x8 270+30x300"}),
    Case(
        "ProberProbesNeverRan",
        "it ran before the restart",
        {probe(INTERVAL): "300x300", probe(LAST_RUN): "30x10 0x40 1560+30x300"},
        until="40m",
    ),
    Case(
        "ProberProbesNeverRan",
        "a rejected token holds them back",
        {probe(LAST_RUN): "0x300", REJECTED: "1x300"},
    ),
    Case(
        "ProberProbesNeverRan",
        "a rate limit holds them back",
        {probe(LAST_RUN): "0x300", RATE_LIMITED: "0+1x300"},
    ),
    Case("Watchdog", "always", {}, "0s", labels={"severity": "none"}),
)
OF_RATE_LIMITS = (
    Case(
        "ProberRateLimited",
        "one 429 with a Retry-After that pauses the tenant for four minutes",
        {runs("request", "rate_limited"): "0x40 1x200", RATE_LIMITED: "0x40 0.5+0.5x7 4x200"},
        "24m",
        until="60m",
        labels={"tenant": "acme", "severity": "ticket", "culprit": "request"},
    ),
    Case(
        "ProberRateLimited",
        "a pause of two minutes",
        {runs("request", "rate_limited"): "0x40 1x200", RATE_LIMITED: "0x40 0.5+0.5x3 2x200"},
    ),
    Case(
        "ProberRateLimited",
        "paused for another cause",
        {probe("prober_probe_skipped_total", 'cause="overlap"'): "0+0.5x300"},
    ),
)
PLATFORM_DOWN = 'ALERTS{alertname="ProberPlatformDown",alertstate="firing",job="prober"}'
OF_BUDGETS = (
    Case(
        "ProberErrorBudgetBurnsSlowly",
        "an hour's outage that paged, and two failures seven hours later",
        {
            SERVER_ERROR: "0x20 0.5+0.5x119 60x840 61 62x300",
            PLATFORM_DOWN: "_x25 1x128 _x1000",
        },
        until="10h",
    ),
    Case(
        "ProberErrorBudgetBurnsFast",
        "one failure within the hour after an outage that paged",
        {
            SERVER_ERROR: "0x120 0.5+0.5x49 25x40 26x200",
            PLATFORM_DOWN: "_x125 1x58 _x300",
        },
        until="3h",
    ),
    Case(
        "ProberErrorBudgetBurnsFast",
        "every run fails again within the hour after an outage that paged",
        {
            SERVER_ERROR: "0x120 0.5+0.5x49 25x40 25.5+0.5x200",
            PLATFORM_DOWN: "_x125 1x58 _x300",
        },
        "1h48m30s",
        labels={"severity": "page", **PLATFORM},
    ),
)
OF_SINKS = (
    Case(
        "ProberSinkFails",
        "one result is lost",
        {prober("prober_sink_failures_total", 'sink="history"'): "0x9 1x300"},
        "10m",
        labels={"severity": "ticket", "sink": "history", **PROBER},
    ),
    Case(
        "ProberSinkFails",
        "before the last restart",
        {prober("prober_sink_failures_total", 'sink="history"'): "7x20 0x300"},
    ),
)

MORE_CASES = (
    *OF_ONE_PROBE,
    *OF_CODES,
    *OF_A_TENANT,
    *OF_A_LOCATION,
    *OF_TOKENS,
    *OF_THE_SCHEDULE,
    *OF_RATE_LIMITS,
    *OF_SINKS,
    *OF_BUDGETS,
)
