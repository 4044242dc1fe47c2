"""With which token: sources, fingerprints, and the state that each tenant's token is in."""
