"""What `prober explain` says of saved exchanges that are easily blamed on the wrong side.

The specimens are files of the tests, so that the commands in the documents work.
"""

from collections.abc import Iterator
from pathlib import Path

from prober.classifier.rules import route_unauthorized
from prober.cli.explain import classify_recorded
from prober.outcomes import Reason
from prober.recorded.parse import parse_recorded
from prober.render.text import CULPRIT_LABELS

SPECIMENS = (
    "answers/redirect-unregistered.http",
    "answers/cloudflare-522.http",
    "answers/edge-502-html.http",
    "answers/cloudflare-1010.http",
    "answers/cloudflare-challenge.http",
    "results/certificate-expired.json",
    "results/certificate-not-yet-valid.json",
    "results/certificate-of-an-inspecting-proxy.json",
    "results/certificate-of-another-host.json",
    "results/route-unauthorized.json",
    "answers/permission-denied.http",
    "answers/quota-exceeded-403.http",
    "answers/payment-required-402.http",
    "answers/captive-portal.http",
)


def specimen_rows(fixtures: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield a specimen's path, reason, culprit and evidence."""
    for name in SPECIMENS:
        [saved] = parse_recorded((fixtures / name).read_bytes())
        verdict = classify_recorded(saved.exchange, saved.expectations)
        if saved.reason is Reason.ROUTE_UNAUTHORIZED:
            verdict = route_unauthorized(verdict, "another route")
        culprit = CULPRIT_LABELS[verdict.culprit]
        yield f"`{name}`", f"`{verdict.reason}`", culprit, _escaped(verdict.evidence)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
