"""The frame of every page: one self-contained file, light and dark, that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from robustbench_zosam.report import text
from robustbench_zosam.report.legend import swatch
from robustbench_zosam.report.style import theme_css

_HERE = "robustbench_zosam.report"


def render_page(template: str, package: str = _HERE, **contents: Any) -> str:
    """Fills a template that extends `page.html.j2`.

    Args:
        template: file name.
        package: in whose folder `templates` it lies.
        **contents: `kind`, `title` and what the template needs; strings are escaped.

    Returns:
        The page; equal contents give equal bytes.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((_HERE, package))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        plain=text.plain, count=text.count, percent=text.percent, minus=text.minus
    )
    environment.globals["swatch"] = swatch
    script = _asset("report.js")
    return environment.get_template(template).render(
        style=Markup(theme_css() + _asset("report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **contents,
    )


def _asset(name: str) -> str:
    source = files(_HERE).joinpath("templates", name)
    return re.sub(r"\n\s*\n", "\n", source.read_text(encoding="utf-8"))
