"""The frame of every page: one self-contained file, light and dark, that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from robustbench_zosam.report import text
from robustbench_zosam.report.legend import marker_drawings, swatch
from robustbench_zosam.report.style import Series, theme_css

_HERE = "robustbench_zosam.report"
_MODULES = (
    "view", "page", "theme", "tables", "link", "readout",
    "mesh", "paint", "surface", "figures", "main",
)  # fmt: skip


def render_page(template: str, contents: Mapping[str, object], package: str = _HERE) -> str:
    """Fills a template that extends `page.html.j2`.

    Args:
        contents: `kind`, `title` and what the template needs; strings are escaped.
        package: in whose folder `templates` it lies.

    Returns:
        The page; equal contents give equal bytes.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((_HERE, package))]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters.update(condition=text.condition, count=text.count, percent=text.percent)
    environment.globals.update(swatch=swatch, marker_drawings=marker_drawings)
    script = _script()
    return environment.get_template(template).render(
        style=Markup(theme_css() + _asset("report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **contents,
    )


def scripted_names(methods: Iterable[Series], corruptions: Iterable[str] = ()) -> dict[str, object]:
    """Returns the names which the scripts need to link what belongs together.

    Args:
        methods: at the places that their marks refer to.
    """
    return {
        "methods": [{"id": m.id, "label": text.visible(m.label)} for m in methods],
        "corruptions": list(corruptions),
    }


def _visible(value: object) -> object:
    """Keeps text from outside visible; markup is the page's own."""
    return (
        text.visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
    )


def _script() -> str:
    """Returns all modules as one script, each in a scope of its own."""
    modules = "\n".join(_module(name) for name in _MODULES)
    return f'(() => {{\n"use strict";\nconst modules = {{}};\n{modules}\n}})();'


def _module(name: str) -> str:
    source = re.sub(
        r"^import (\{[^}]*\}) from \"\./(\w+)\.js\";",
        r"const \1 = modules.\2;",
        _asset(f"scripts/{name}.js"),
        flags=re.MULTILINE,
    )
    exported = re.findall(r"^export (?:async )?(?:function|const) (\w+)", source, re.MULTILINE)
    body = re.sub(r"^export ", "", source, flags=re.MULTILINE)
    return f"modules.{name} = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();"


def _asset(name: str) -> str:
    source = files(_HERE).joinpath("templates", *name.split("/"))
    return re.sub(r"\n\s*\n", "\n", source.read_text(encoding="utf-8"))
