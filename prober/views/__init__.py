"""How a human sees it: pure text for page and terminal alike."""
