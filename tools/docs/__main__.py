"""Write the generated part of every document: `python -m tools.docs`, or `make reference`."""

from tools.docs.sections import DOCS, SECTIONS, filled


def main() -> None:
    """Write them, and say which files changed."""
    for path in sorted(DOCS.rglob("*.md")):
        before = path.read_text()
        after = filled(before, SECTIONS)
        if after != before:
            path.write_text(after)
            print(path.relative_to(DOCS.parent))  # noqa: T201 -- a command


if __name__ == "__main__":
    main()
