"""A simulated platform with faults. It shares no code with the prober, which is tested on it."""
