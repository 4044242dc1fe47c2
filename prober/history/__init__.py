"""The memory: one SQLite file, one thread that writes it, and what can be read from it beside."""
