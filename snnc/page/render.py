"""From plain values to HTML: templates with every text escaped, and nothing that is fetched."""

from __future__ import annotations

from importlib.resources import files

import jinja2

from snnc.console import number, visible
from snnc.page.charts import shares
from snnc.page.gather import Page
from snnc.version import __version__

#: Names and messages with more characters are cut.
LONG = 400


def render(page: Page) -> str:
    """The page; equal contents give equal bytes."""
    own = files("snnc.page")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: own.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seen": lambda text: shortened(visible(str(text))),
        "percent": percent,
        "n": lambda value: f"{value:,.0f}",
        "g": lambda value: f"{value:.4g}",
        "kb": lambda value: f"{value / 1000:,.1f} kB",
        "shape": lambda shape: "×".join(map(str, shape)) or "scalar",
    }
    template = environment.get_template("report.html.j2")
    return template.render(
        page=page,
        manifest=page.manifest,
        report=page.report,
        style=own.joinpath("style.css").read_text(encoding="utf-8"),
        shares=shares,
        version=__version__,
    )


def shortened(text: str) -> str:
    """Text with the middle left out if it is very long.

    >>> shortened("x" * 1000).count("x")
    140
    """
    return text if len(text) <= LONG else f"{text[:100]}…{text[-40:]}"


def percent(value: float | None, digits: int = 2) -> str:
    """A share, blank if there is none."""
    return number(value, digits, percent=True)
