"""Pictures of the docs: one style, and the same bytes from the same figures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib.figure import Figure

INK, OURS, THEIRS = "#1b2a2f", "#2d8a6b", "#9fb0b3"
# Names inside the file come from a fixed seed; letters are left to the reader's fonts.
_STYLE = {
    "svg.hashsalt": "lacewing", "svg.fonttype": "none", "font.size": 10, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#e3e8e8", "axes.axisbelow": True,
}  # fmt: skip


@contextmanager
def drawing(inches: tuple[float, float] = (7.6, 4.2)) -> Iterator[Figure]:
    """A figure to draw on; ``svg`` belongs inside."""
    with matplotlib.rc_context(_STYLE):
        yield Figure(inches, layout="constrained")


def svg(figure: Figure) -> str:
    """The file."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
