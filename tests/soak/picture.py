"""What a soak saw, as one SVG: a strip of its own for each figure."""

from collections.abc import Sequence
from dataclasses import fields

_WIDTH, _HEIGHT, _LEFT = 800, 110, 90


def picture(samples: Sequence[object]) -> str:
    """Return the picture of samples: values of one dataclass, whose first field is the time."""
    time_name, *names = (field.name for field in fields(samples[0]))  # type: ignore[arg-type]
    times = [getattr(sample, time_name) for sample in samples]
    strips = [
        _strip(name, times, [getattr(sample, name) for sample in samples], number)
        for number, name in enumerate(names)
    ]
    height = _HEIGHT * len(names) + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>{"".join(strips)}'
        f'<text x="{_WIDTH - 10}" y="{height - 6}" text-anchor="end">'
        f"{times[-1] / 60:.0f} min</text></svg>\n"
    )


def _strip(name: str, times: Sequence[float], values: Sequence[float], number: int) -> str:
    top, most = number * _HEIGHT, max(*values, 1.0) * 1.1
    x_scale = (_WIDTH - _LEFT - 10) / (times[-1] or 1.0)
    points = " ".join(
        f"{_LEFT + at * x_scale:.1f},{top + _HEIGHT - 8 - value / most * (_HEIGHT - 30):.1f}"
        for at, value in zip(times, values, strict=True)
    )
    base = top + _HEIGHT - 8
    return (
        f'<text x="8" y="{top + 18}" font-weight="bold">{name.replace("_", " ")}</text>'
        f'<text x="8" y="{top + 36}">{min(values):.0f} to {max(values):.0f}</text>'
        f'<path d="M{_LEFT},{base}H{_WIDTH - 10}" stroke="#bbb"/>'
        f'<polyline points="{points}" fill="none" stroke="#0b6e69" stroke-width="1.5"/>'
    )
