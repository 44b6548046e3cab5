"""The metrics of a training as one SVG file without scripts or fonts, readable on light and dark backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from train.metrics import Log, series

Points = list[tuple[int, float]]
PANELS = (
    ("loss", ("loss",)),
    ("margin of rewards, chosen minus rejected", ("rewards/margins",)),
    ("share of pairs whose chosen answer has the higher reward", ("rewards/accuracies",)),
    ("share of tokens that were predicted", ("mean_token_accuracy",)),
)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 200, 64, 16, 30, 34
MOST_POINTS = 300
COLOURS = {"training": "#2a6fb0", "evaluation": "#c4541b"}


def plot(logs: Sequence[Log]) -> str | None:
    """Return an SVG with a panel per measure that was logged at two steps or more, with training and evaluation; None if
    there is no such measure."""
    panels: list[str] = []
    for title, names in PANELS:
        lines = {
            what: points
            for what, prefix in (("training", ""), ("evaluation", "eval_"))
            for name in names
            if len(points := series(logs, prefix + name)) > 1
        }
        if lines:
            panels.append(_panel(title, lines, len(panels) * HEIGHT))
    if not panels:
        return None
    height = HEIGHT * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="loss, margins and accuracies by step" font-family="sans-serif" font-size="12" fill="#777">\n'
        + "\n".join(panels)
        + "\n</svg>\n"
    )


def _panel(title: str, lines: dict[str, Points], y: int) -> str:
    points = [point for line in lines.values() for point in line]
    (first, last), (low, high) = (_ends([point[axis] for point in points]) for axis in (0, 1))
    right, bottom = WIDTH - RIGHT, y + HEIGHT - BOTTOM
    key = " ".join(f'<tspan fill="{COLOURS[what]}">{what}</tspan>' for what in lines)
    parts = [
        f'<text x="{LEFT}" y="{y + 18}" font-weight="bold">{escape(title)}: {key}</text>',
        f'<path d="M{LEFT} {y + TOP}V{bottom}H{right}" fill="none" stroke="#999"/>',
        f'<text x="{LEFT - 6}" y="{y + TOP + 8}" text-anchor="end">{high:.3g}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{LEFT}" y="{bottom + 18}">{first:.0f}</text>',
        f'<text x="{right}" y="{bottom + 18}" text-anchor="end">{last:.0f} steps</text>',
    ]
    for what, line in lines.items():
        placed = (
            f"{LEFT + (step - first) / (last - first) * (right - LEFT):.1f},"
            f"{bottom - (value - low) / (high - low) * (bottom - y - TOP):.1f}"
            for step, value in _thinned(line)
        )
        parts.append(f'<polyline points="{" ".join(placed)}" fill="none" stroke="{COLOURS[what]}" stroke-width="1.5"/>')
    return "\n".join(parts)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Return the range of an axis, which is never empty."""
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _thinned(line: Points) -> list[tuple[float, float]]:
    """Return at most MOST_POINTS points: the means of equal parts of the line."""
    size = -(-len(line) // MOST_POINTS)
    parts = [line[at : at + size] for at in range(0, len(line), size)]
    return [(sum(step for step, _ in part) / len(part), sum(value for _, value in part) / len(part)) for part in parts]
