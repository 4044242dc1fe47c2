"""The platform, honest or faulty. Shares no code with the rest, since the rest is tested on it."""
