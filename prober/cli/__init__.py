"""The commands, one file each where they need more than a few lines."""
