"""Charts as SVG inside a page: no script, no style attribute, no request, readable in light and dark.

Colours of marks are var() with the light scheme's value as fallback, for pages whose policy refuses the style sheet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

Row = dict[str, Any]
Chart = alt.LayerChart | alt.FacetChart
ACCENT = "var(--accent, #2b5fb3)"
GOOD = "var(--good, #1b7837)"
BAD = "var(--bad, #b2182b)"
DIM = "var(--dim, #595d66)"
LINE = "var(--line, #d5d8de)"
INK = "currentColor"
FACETS_APART = 36  # keeps the last label of one apart from the first of the next
WIDTH = 1000  # width of all facets together, in pixels of the page
TAG = re.compile(r"<[^>]+>")
IDLE = re.compile(  # attributes that marks do not need: set at the root, the default, or unused
    r' (?:aria-[a-z]+|role|class|pointer-events|font-family|xmlns:xlink)="[^"]*"'
    r'| font-size="12px"| (?:opacity|stroke-width)="1"'
)
EMPTY = re.compile(r'<path(?: d="(?:M0,0h0v0h0Z)?"| display="none")+/>')
FONT = "Arial, Liberation Sans, sans-serif"
PADDING = {"left": 36, "right": 24, "top": 12, "bottom": 4}  # text is measured with Liberation Sans; others are wider
SIZE = 12
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


@dataclass(frozen=True)
class Grid:
    """How a chart is repeated: by run if there are several, and by a column of its rows."""

    runs: list[str]

    @property
    def several(self) -> bool:
        return len(self.runs) > 1

    def draw(self, rows: list[Row], *layers: alt.Chart, height: int, by: str | None = None, width: int = 620) -> Chart:
        """Return one chart of the rows for each value of `by` and each run, with a common scale unless the figure sets
        another."""
        if by is None and not self.several:
            return alt.layer(*layers, data=alt.InlineData(values=rows)).properties(width=width, height=height)
        names = ["run"] * self.several + [by or ""] * (by is not None)
        marked = [{**row, "_facet": ": ".join(str(row[name]) for name in names)} for row in rows]
        values = list(dict.fromkeys(row["_facet"] for row in marked))
        columns = min(len(values), 4) if by else len(values)
        chart = alt.layer(*layers, data=alt.InlineData(values=marked))
        sized = chart.properties(width=min(width, max(130, WIDTH / columns - 40 - FACETS_APART)), height=height)
        header = alt.Header(title=None, labelLimit=400, labelFontSize=SIZE, labelExpr="split(datum.value, ': ')")
        return sized.facet(facet=alt.Facet("_facet:N", sort=values, header=header), columns=columns, spacing=FACETS_APART)


def as_svg(chart: alt.TopLevelMixin, label: str, number: int) -> Markup:
    """Return the chart as one <svg> with the accessible name `label`; `number` makes its ids unique on the page."""
    words = {"labelColor": INK, "titleColor": INK, "labelLimit": 260, "labelFontSize": SIZE, "titleFontSize": SIZE}
    lines = {"domainColor": LINE, "tickColor": LINE, "gridColor": LINE, "gridOpacity": 0.6}
    spec = (
        chart.configure(background="transparent", font=FONT, padding=PADDING)
        .configure_view(stroke=None)
        .configure_mark(aria=False)
        .configure_axis(titleFontWeight="normal", labelOverlap=True, labelFlush=False, aria=False, **words, **lines)
        .configure_legend(titleFontWeight="normal", aria=False, **words)
        .configure_header(labelColor=INK, titleColor=INK)
        .configure_text(color=INK, fontSize=SIZE)
        .to_dict()
    )
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
    svg = EMPTY.sub("", TAG.sub(lambda tag: _lean(tag.group(), number), svg.strip()))
    head = '<svg role="img" font-family="{}" font-size="{}" aria-label="{}"'
    return Markup(head).format(FONT, SIZE, label) + Markup(svg.removeprefix("<svg"))


def _lean(tag: str, number: int) -> str:
    """Return a tag with its chart's ids, at most hundredths of a pixel, and no labels of marks: the table has them."""
    tag = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>plot{number}-", IDLE.sub("", tag))
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag)


def cells(rows: list[Row], grid: Grid, x: str, y: str, across: list[str], down: list[str]) -> Chart:
    """Draw a table of `share` by the columns x and y, with values in this order; a larger share is darker.

    Below a share is its interval if the rows have one (`95% from`, `95% to`).
    """
    column = min(110, max(42, 900 // len(across)))
    long = max(map(len, across)) * 6.5 > column
    heads = alt.Axis(orient="bottom" if grid.several else "top", domain=False, ticks=False, labelOverlap=False)
    heads.labelAngle, heads.labelAlign = (0, "center") if not long else (-30, "right" if grid.several else "left")
    drawn = alt.Chart().encode(
        x=alt.X(f"{x}:N", sort=across, title=None, axis=heads),
        y=alt.Y(f"{y}:N", sort=down, title=None, axis=alt.Axis(domain=False, ticks=False)),
    )
    shade = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 0.6]), legend=None)
    layers, height = [drawn.mark_rect(color=ACCENT).encode(opacity=shade)], 26
    if all("95% from" in row for row in rows):
        height = 36
        rows = [{**row, "_ends": f"{row['95% from']:.0%}..{row['95% to']:.0%}"} for row in rows]
        layers += [drawn.mark_text(dy=-6).encode(text=alt.Text("share:Q", format=".0%"))]
        layers += [drawn.mark_text(dy=8, fontSize=10).encode(text="_ends:N")]
    else:
        layers += [drawn.mark_text().encode(text=alt.Text("share:Q", format=".0%"))]
    return grid.draw(rows, *layers, height=height * len(down), width=column * len(across))


def boxes(rows: list[Row], grid: Grid, names: str, title: str, colour: alt.Color | None = None) -> Chart:
    """Draw `10% below` to `90% below`: a line over the middle 80 %, a bar over the middle half, a tick at the median."""
    up = alt.Y(f"{names}:N", sort=(order := list(dict.fromkeys(row[names] for row in rows))), title=None)
    logarithm = alt.Scale(type="log", nice=False)
    drawn = alt.Chart().encode(y=up, color=colour if colour is not None else alt.value(ACCENT))
    lines = drawn.mark_rule().encode(x=alt.X("10% below:Q", scale=logarithm, title=title), x2="90% below")
    bars = drawn.mark_bar(size=12, opacity=0.6).encode(x=alt.X("25% below:Q", scale=logarithm), x2="75% below")
    ticks = alt.Chart().mark_tick(color=INK, size=18, thickness=2).encode(y=up, x=alt.X("median:Q", scale=logarithm))
    return grid.draw(rows, lines, bars, ticks, height=32 * len(order))
