"""Reference pages made from the code: command line, configuration, stored results, names, API."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import typer
from pydantic import BaseModel

from robustbench_zosam.cli.app import app
from robustbench_zosam.cli.examples import EXAMPLES
from robustbench_zosam.cli.names import Kind, entries
from robustbench_zosam.config import ExperimentConfig

DOCS = Path(__file__).resolve().parents[1]
MODULES = {
    "robustbench_zosam": "Measuring models and running experiments",
    "robustbench_zosam.optim": "Optimizers",
    "robustbench_zosam.sparsity": "Sparse training",
    "robustbench_zosam.flatness": "Curvature and sharpness",
    "robustbench_zosam.landscape": "Loss landscapes",
    "robustbench_zosam.statistics": "Intervals and paired tests",
    "robustbench_zosam.results": "Stored results",
    "corruptions": "Corruptions",
    "corruptions.suites": "Corrupted test sets",
}


def generated() -> dict[str, str]:
    """Returns the pages by name."""
    pages = {
        "reference/cli.md": command_line(),
        "reference/configuration.md": configuration(),
        "reference/results-format.md": results_format(),
        "reference/names.md": names(),
    }
    for module, title in MODULES.items():
        pages[f"reference/api/{module}.md"] = f"# {title}\n\n::: {module}\n"
    return pages


def command_line() -> str:
    """Returns every verb with its arguments, options and examples."""
    lines = ["# Command line", "", inspect.cleandoc(app.info.help or "")]
    group = typer.main.get_command(app)
    for verb, command in group.commands.items():  # type: ignore[attr-defined]
        usage = [f"zosam-robust {verb}"]
        rows = []
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                word = parameter.metavar or parameter.name.upper()
                usage.append(word if parameter.required else f"[{word.strip('[]')}]")
                rows.append((f"`{word}`", parameter.help))
            elif parameter.name != "help":
                shown = " ".join(
                    f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts)
                )
                value = f" `{parameter.metavar}`" if parameter.metavar else ""
                rows.append((shown + value, parameter.help))
        examples = "\n".join(EXAMPLES[verb])
        lines += ["", f"## {verb}", "", inspect.cleandoc(command.help or ""), ""]
        lines += [f"```\n{' '.join([*usage, '[OPTIONS]'])}\n```", ""]
        lines += _table(("option", "meaning"), rows)
        lines += ["", f"```\n{examples}\n```"]
    return "\n".join(lines) + "\n"


def configuration() -> str:
    """Returns every setting with its type, default and meaning."""
    lines = [
        "# Configuration",
        "",
        "Keys of the TOML file of `--config`, and of `--set`. Options of optimizers and "
        "sparsifiers are listed with them: [optimizers](../optimizers/README.md), "
        "[sparsifiers](../sparsifiers/README.md).",
    ]
    lines += _section(ExperimentConfig, "")
    for name, field in ExperimentConfig.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            lines += ["", f"## {name}", "", inspect.cleandoc(field.annotation.__doc__ or "")]
            lines += _section(field.annotation, f"{name}.")
    return "\n".join(lines) + "\n"


def _section(section: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    meanings = dict(_attribute_docs(section))
    schema = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            continue
        default = field.get_default(call_default_factory=True)
        text = json.dumps(default, default=list, ensure_ascii=False)
        rows.append((f"`{prefix}{name}`", _kind(schema[name]), f"`{text}`", meanings.get(name, "")))
    return ["", *_table(("key", "type", "default", "meaning"), rows)]


def _kind(schema: dict[str, object]) -> str:
    """Returns a type of JSON Schema in words."""
    if isinstance(options := schema.get("anyOf"), list):
        return " or ".join(dict.fromkeys(_kind(item) for item in options))
    if isinstance(values := schema.get("enum"), list):
        return ", ".join(map(str, values))
    word = str(schema.get("type", schema.get("const", "value")))
    if word == "array" and isinstance(inner := schema.get("items"), dict):
        return f"list of {_kind(inner)}"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [
        f"{sign} {schema[key]:g}" for key, sign in bounds.items() if _is_bound(schema.get(key))
    ]
    return ", ".join([{"null": "nothing", "object": "section"}.get(word, word), *limits])


def _is_bound(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 2**53


def _attribute_docs(section: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yields the fields of a section with the text that stands below them in the source."""
    source = textwrap.dedent(inspect.getsource(section))
    pattern = r'^    (\w+): [^\n]*(?:\n(?!    \w)[^\n]*)*?\n    """(.*?)"""'
    for match in re.finditer(pattern, source, re.MULTILINE | re.DOTALL):
        yield match[1], " ".join(match[2].split())


def results_format() -> str:
    """Returns the stored types with their keys, from the published JSON Schema."""
    schema = json.loads((DOCS / "results.schema.json").read_text("utf-8"))
    lines = [
        "# Format of the results",
        "",
        "Keys of `results.json`, from [its JSON Schema](../results.schema.json); "
        "[what they mean together](../results.md).",
        "",
        f"## {schema['title']}",
    ]
    lines += _stored(schema)
    for name, found in schema["$defs"].items():
        lines += ["", f"## {name}", *_stored(found)]
    return "\n".join(lines) + "\n"


def _stored(schema: dict[str, object]) -> list[str]:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return ["", str(schema.get("description", _reference(schema)))]
    needed = schema.get("required", [])
    assert isinstance(needed, list)
    rows = [
        (
            f"`{key}`",
            _reference(found),
            "" if key in needed else "optional",
            found.get("description"),
        )
        for key, found in properties.items()
    ]
    head = ["", str(schema["description"])] if "description" in schema else []
    return [*head, "", *_table(("key", "type", "", "meaning"), rows)]


def _reference(schema: object) -> str:
    """Returns a stored type in words, with links to those of this page."""
    if not isinstance(schema, dict):
        return "anything"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_reference(item) for item in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_reference(schema.get('items'))}"
    if schema.get("type") == "object":
        return f"name to {_reference(schema.get('additionalProperties'))}"
    return str(schema.get("const", schema.get("type", "anything")))


def names() -> str:
    """Returns everything that options accept, as `list` shows it."""
    lines = ["# Names", "", "What `zosam-robust list KIND` prints."]
    for kind in Kind:
        rows = [
            (f"`{entry['name']}`", entry["summary"], entry.get("source")) for entry in entries(kind)
        ]
        lines += ["", f"## {kind}", "", *_table(("name", "", "source"), rows)]
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    if not rows:
        return []
    escaped = [
        [str(cell or "").replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows
    ]
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in escaped),
    ]
