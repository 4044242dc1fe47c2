"""The HTTP client of a probe, and how it measures time with the kernel's help."""
