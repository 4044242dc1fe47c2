"""Units, words and thresholds that several dashboards use."""

from tools.grafana.palette import (
    BAD,
    CULPRITS,
    GOOD,
    PLAIN,
    STATUSES,
    TOKENS,
    WARNING,
    YES_NO,
    Shown,
)
from tools.grafana.panels import Look

STATUS = Look(shown=STATUSES, is_filled=True)
CULPRIT = Look("string", shown=CULPRITS, is_filled=True)
TOKEN = Look(shown=TOKENS, is_filled=True)
YES = Look(shown=YES_NO)
COUNT = Look(decimals=0)
AVAILABILITY = Look("percentunit", 2)
AGO = Look("dateTimeFromNow")
SECONDS = Look("s")
# Prometheus keeps 15 days by default. A few hours are missing in a month with restarts.
DAYS_KNOWN = Look("suffix:days", 0, steps=((None, WARNING), (28.5, PLAIN)))
# At a quarter no alert fires yet, but risky changes should wait.
BUDGET = Look("percentunit", 1, steps=((None, BAD), (0.0, WARNING), (0.25, GOOD)))
# As ProberTokenExpiresVerySoon, ProberTokenExpiresSoon and ProberCertificateExpires have it.
_DAYS = "suffix:days"
TOKEN_DAYS = Look(_DAYS, 0, steps=((None, BAD), (3.0, WARNING), (14.0, PLAIN)))
CERTIFICATE_DAYS = Look(_DAYS, 0, steps=((None, BAD), (21.0, PLAIN)))
NONE_IS_OK = Look(shown={0: Shown("✓ none", GOOD)}, steps=((None, GOOD), (1.0, BAD)))
# As ProberRunsSkipped and ProberMeasurementsDiscarded have it.
SHARE_LOST = Look("percentunit", 2, steps=((None, GOOD), (0.05, WARNING)))
