"""How often something may be done: a bounded table of debts that time pays off. Pure.

A debt is kept as the moment when it will be paid; times are monotonic seconds, passed in.
"""

from dataclasses import dataclass, field

_THE_REST = ""


@dataclass(slots=True)
class Throttle:
    """Each thing done costs `seconds_each`; whoever owes `burst` of them has to wait.

    Where `most` owe something, all others are counted as one.
    """

    burst: int
    seconds_each: float
    most: int = 1
    _paid_at: dict[str, float] = field(default_factory=dict)

    def wait_seconds(self, who: str, now: float) -> float:
        """Return how long `who` has to wait, 0 if not at all."""
        owed_seconds = self._paid_at.get(self._entry(who), now) - now
        return max(0.0, owed_seconds - (self.burst - 1) * self.seconds_each)

    def charge(self, who: str, now: float) -> None:
        """Count one."""
        if who not in self._paid_at and len(self._paid_at) >= self.most:
            self._paid_at = {each: paid for each, paid in self._paid_at.items() if paid > now}
        entry = self._entry(who)
        self._paid_at[entry] = max(self._paid_at.get(entry, now), now) + self.seconds_each

    def refund(self, who: str) -> None:
        """Take one back."""
        entry = self._entry(who)
        if entry in self._paid_at:
            self._paid_at[entry] -= self.seconds_each

    def __len__(self) -> int:
        return len(self._paid_at)

    def _entry(self, who: str) -> str:
        return who if who in self._paid_at or len(self._paid_at) < self.most else _THE_REST
