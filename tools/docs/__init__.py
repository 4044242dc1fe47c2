"""The generated parts of the documents under docs/: `python -m tools.docs`, or `make reference`."""
