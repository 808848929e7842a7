"""What every page with figures is made of: its template, its style, its script and its data, all in one file."""

from __future__ import annotations

import math
from importlib import metadata, resources
from typing import Any

import jinja2
import msgspec
import plotly.offline
from markupsafe import Markup

from lstm_adversarial_attack.evaluate.drawing import PALETTES
from lstm_adversarial_attack.evaluate.headline import (
    UNDEFINED,
    counted,
    interval,
    number,
    number_interval,
    percent,
    percent_interval,
)
from lstm_adversarial_attack.evaluate.results import Quantiles
from lstm_adversarial_attack.metrics import Difference


def environment(package: str = __package__) -> jinja2.Environment:
    """Return the templates of ``package`` and those that all pages share, with the words for numbers as filters."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, "") for name in dict.fromkeys((package, __package__))]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "counted": counted,
        "number": number,
        "number_interval": number_interval,
        "percent": percent,
        "percent_interval": percent_interval,
        "spread": _spread,
        "difference": _difference,
        "clinical_decimals": clinical_decimals,
        "infinite": _infinite,
        "interval": interval,
        "unit": shown_unit,
    }
    return made


def page_parts(
    name: str, data: dict[str, Any], scripts: tuple[str, ...], styles: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return what the templates ``head.html.j2`` and ``scripts.html.j2`` ask for.

    Args:
        name: of the page; its data stand in the element ``NAME-data``.
        data: what the scripts read; ``page.js`` draws its ``figures`` and adds the colours itself.
        scripts: texts of further scripts, in order.
        styles: texts of further style sheets, in order.
    """
    return {
        "data_id": f"{name}-data",
        "data": Markup(_script_json({"palettes": PALETTES, **data})),
        "scripts": [Markup(text) for text in (asset("page.js"), *scripts)],
        "plotly_js": Markup(plotly.offline.get_plotlyjs()),
        "plotly_version": metadata.version("plotly"),
        "style": Markup("\n".join((asset("page.css"), *styles))),
        "light_palette_css": Markup(_css("light")),
        "dark_palette_css": Markup(_css("dark")),
    }


def asset(name: str) -> str:
    """Return the text of a file beside this module."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _css(scheme: str) -> str:
    """Return the colours of a scheme as CSS properties: ``$ink`` is ``--ink``."""
    colours = (f"--{name[1:]}:{value}" for name, value in PALETTES[scheme].items() if isinstance(value, str))
    return ";".join(colours)


def _script_json(data: object) -> str:
    """Encode ``data`` for a script element: no text in it can end the element."""
    return msgspec.json.encode(data).decode().replace("<", "\\u003c")


def _spread(sizes: Quantiles, decimals: int | None = None) -> str:
    """Return a median with its quartiles, such as ``0.45 (0.20 to 0.90)``; infinity where attacks failed.

    Without ``decimals``, as many as are needed: a median of whole numbers is whole or a half.
    """
    form = ",.5g" if decimals is None else f",.{decimals}f"
    p25, median, p75 = ("∞" if value is None else format(value, form) for value in (sizes.p25, sizes.median, sizes.p75))
    return f"{median} ({p25} to {p75})"


def _difference(difference: Difference) -> str:
    """Return a difference with interval and p-value, such as ``+0.012 (-0.003 to +0.027), p 0.120``."""
    if difference.value is None:
        return UNDEFINED
    text = f"{difference.value:+.3f}"
    if difference.p_value is not None:
        text += f" ({difference.low:+.3f} to {difference.high:+.3f}), p {difference.p_value:.3f}"
    return text.replace("-", "\N{MINUS SIGN}")


def _infinite(size: float | None) -> str:
    """Return a size to three digits; infinity where attacks failed."""
    return "∞" if size is None else f"{size:,.3g}"


def clinical_decimals(precision: float) -> int:
    """Return the decimals of a median change: one more than those in which the value is charted."""
    return max(0, -math.floor(math.log10(precision) + 1e-9)) + 1


def shown_unit(unit: str) -> str:
    """Return a unit as a reader sees it: none for a pure number."""
    return "" if unit == "1" else unit
