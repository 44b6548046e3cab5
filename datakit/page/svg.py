"""A chart as SVG that stands in a page: no script, no style attribute, no request, readable in light and dark.

Colours of marks are var() with the light scheme's value behind it, which counts where a policy refuses the page's style sheet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

Row = dict[str, Any]
ACCENT = "var(--accent, #2b5fb3)"
GOOD = "var(--good, #1b7837)"
BAD = "var(--bad, #b2182b)"
DIM = "var(--dim, #595d66)"
LINE = "var(--line, #d5d8de)"
INK = "currentColor"
WIDTH = 1000  # of all facets together, in pixels of the page
TAG = re.compile(r"<[^>]+>")
ROLES = re.compile(r' (?:aria-[a-z]+|role|pointer-events)="[^"]*"')
FONT = "Arial, Liberation Sans, sans-serif"  # it is measured with the second, and others are wider: hence the padding
SIZE = 12
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


@dataclass(frozen=True)
class Grid:
    """How a chart is repeated: by run where there are several, and by a column of its rows."""

    runs: list[str]

    def draw(
        self, rows: list[Row], *layers: alt.Chart, height: int, by: str | None = None, width: int = 620
    ) -> alt.TopLevelMixin:
        """One chart of the rows for each value of `by` and each run, with one scale if the figure does not say otherwise."""
        chart = alt.layer(*layers, data=alt.InlineData(values=rows))
        values = list(dict.fromkeys(str(row[by]) for row in rows)) if by else []
        several = len(self.runs) > 1
        if by is None and not several:
            return chart.properties(width=width, height=height)
        columns = len(self.runs) if several else min(len(values), 4)
        sized = chart.properties(width=min(width, max(130, WIDTH / columns - 50)), height=height)
        if by is None:
            return sized.facet(column=_facet("run", self.runs))
        if several:
            return sized.facet(column=_facet("run", self.runs), row=_facet(by, values))
        return sized.facet(facet=_facet(by, values), columns=columns)


def _facet(name: str, values: list[str]) -> Any:
    header = alt.Header(title=None, labelLimit=400, labelFontSize=SIZE)
    return alt.Facet(f"{name}:N", sort=values, header=header)


def as_svg(chart: alt.TopLevelMixin, label: str, number: int) -> Markup:
    """The chart as one <svg>, read aloud as `label`; `number` keeps its ids apart from those of the page's other charts."""
    spec = (
        chart.configure(background="transparent", font=FONT, padding={"left": 36, "right": 24, "top": 4, "bottom": 4})
        .configure_view(stroke=None)
        .configure_mark(aria=False)
        .configure_axis(
            labelColor=INK, titleColor=INK, domainColor=LINE, tickColor=LINE, gridColor=LINE, gridOpacity=0.6, labelLimit=260, aria=False,
            labelFontSize=SIZE, titleFontSize=SIZE, labelOverlap=True,
            titleFontWeight="normal",
        )
        .configure_legend(labelColor=INK, titleColor=INK, labelLimit=260, titleFontWeight="normal", labelFontSize=SIZE, titleFontSize=SIZE, aria=False)
        .configure_header(labelColor=INK, titleColor=INK)
        .configure_text(color=INK, fontSize=SIZE)
        .to_dict()
    )  # fmt: skip
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
    svg = TAG.sub(lambda tag: _lean(tag.group(), number), svg.strip())
    return Markup('<svg role="img" aria-label="{}"').format(label) + Markup(svg.removeprefix("<svg"))


def _lean(tag: str, number: int) -> str:
    """A tag with ids of its chart, hundredths of a pixel at most, and no words for marks: the table has them."""
    tag = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>plot{number}-", ROLES.sub("", tag))
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag)


def cells(rows: list[Row], grid: Grid, x: str, y: str, across: list[str], down: list[str]) -> alt.TopLevelMixin:
    """A table of `share` by the columns x and y, whose values stand in this order; each cell the darker the larger."""
    drawn = alt.Chart().encode(
        x=alt.X(f"{x}:N", sort=across, title=None, axis=alt.Axis(orient="top", labelAngle=0, domain=False, ticks=False)),
        y=alt.Y(f"{y}:N", sort=down, title=None, axis=alt.Axis(domain=False, ticks=False)),
    )
    shade = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 0.6]), legend=None)
    squares = drawn.mark_rect(color=ACCENT).encode(opacity=shade)
    numbers = drawn.mark_text().encode(text=alt.Text("share:Q", format=".0%"))
    return grid.draw(rows, squares, numbers, height=26 * len(down), width=110 * len(across))
