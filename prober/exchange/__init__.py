"""One timed question: the only room that knows aiohttp's client and its exceptions."""
