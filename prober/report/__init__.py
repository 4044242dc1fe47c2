"""What happened to a tenant, as a document to hand over: one value, told in three formats.

`past.py` reads the history, `build.py` makes the document of it; the formats are pure.
"""
