"""Maintenance windows as they may be written in the YAML file."""

from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator, model_validator

from prober.maintenance import Window, check_cron, first_moment
from prober.settings.probe_schema import Strict
from prober.settings.quantities import Duration

_LONGEST = timedelta(days=366)
_YEARS = range(1970, 3000)
"""Near the first and last year of a calendar a time of one zone has no counterpart in another."""


def _a_wall_clock_time(value: object) -> object:
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        raise ValueError("write a time such as 2026-12-01T22:00")  # noqa: TRY004 -- pydantic
    if moment.tzinfo is not None:
        raise ValueError("write it without a zone, such as 2026-12-01T22:00: see 'time_zone'")
    if moment.year not in _YEARS:
        raise ValueError(f"write a year from {_YEARS[0]} to {_YEARS[-1]}")
    return moment


WallClock = Annotated[datetime, BeforeValidator(_a_wall_clock_time, json_schema_input_type=str)]


class MaintenanceEntry(Strict):
    """A maintenance window: `cron` or `every` with a `duration`, or just `from` and `until`."""

    cron: str | None = None
    """When windows begin, in five fields: `0 2 * * sun`."""
    first: WallClock | None = Field(default=None, alias="from")
    """When the first or only window begins, on the wall clock: `2026-12-01T22:00`."""
    until: WallClock | None = None
    """When the only window ends."""
    every: Duration | None = None
    """How long from one window's beginning to the next one's, on the wall clock.

    Where a clock is set back: up to an hour, windows begin at both of two equal times, else once.
    """
    duration: Duration | None = None
    """How long a window is open."""
    time_zone: str = "UTC"
    """The wall clock's zone, such as `Europe/Berlin`."""

    @field_validator("cron")
    @classmethod
    def _comes_true(cls, value: str | None) -> str | None:
        if value is not None:
            check_cron(value)
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone: write one such as 'Europe/Berlin'") from None
        return value

    @model_validator(mode="after")
    def _is_one_form(self) -> "MaintenanceEntry":
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if given - {"time_zone"} not in (
            {"cron", "duration"},
            {"first", "until"},
            {"first", "every", "duration"},
        ):
            raise ValueError(
                "write 'cron' and 'duration', or 'from' and 'until',"
                " or 'from', 'every' and 'duration'"
            )
        seconds = self.window().duration_seconds
        if not 0 < seconds <= _LONGEST.total_seconds():
            raise ValueError("must be open for some time, and for a year at most")
        if self.every is not None and self.every < seconds:
            raise ValueError("'every' must be at least 'duration'")
        return self

    def window(self) -> Window:
        """Return it as the rest of the house knows it."""
        zone = ZoneInfo(self.time_zone)
        seconds = self.duration or 0.0
        if self.first is not None and self.until is not None:
            lasts = first_moment(self.until, zone) - first_moment(self.first, zone)
            seconds = lasts.total_seconds()
        return Window(seconds, self.time_zone, self.cron, self.first, self.every)
