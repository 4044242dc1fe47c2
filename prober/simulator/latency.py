"""How long the simulated platform takes: drawn from a seeded distribution, or fixed. Pure."""

import math
import random
from dataclasses import dataclass

MAX_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Latency:
    """A log-normal distribution of seconds; `sigma` 0 makes it a constant."""

    median_seconds: float = 0.04
    sigma: float = 0.25

    def draw(self, source: random.Random) -> float:
        """Return the seconds that the next answer takes."""
        if self.sigma == 0:
            return self.median_seconds
        drawn = self.median_seconds * math.exp(source.gauss(0.0, self.sigma))
        return min(drawn, MAX_SECONDS)
