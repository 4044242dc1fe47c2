"""Results and status as text, SVG and JSON documents."""
