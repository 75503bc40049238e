"""Tables of a paper in Markdown and in LaTeX."""

from __future__ import annotations

import re

from robustbench_zosam.results.tables import PaperTable

_ROWS = 8  # of prose in a table that is to fit a page


def markdown(table: PaperTable) -> str:
    """Returns a table in Markdown, with its caption below."""
    rows = [table.head, tuple("---" for _ in table.head), *table.rows]
    lines = ["| " + " | ".join(_markdown(cell) for cell in row) + " |" for row in rows]
    return "\n".join([*lines, "", f"*{_markdown(table.caption)}*", ""])


def latex(table: PaperTable) -> str:
    """Returns a table in LaTeX that fits the width of a column, or of a page where it is wide.

    Cells are wrapped; long tables of prose become several. The document needs the packages booktabs
    and array.
    """
    size = _ROWS if table.wide else len(table.rows)
    parts = [table.rows[start : start + size] for start in range(0, len(table.rows), size)]
    return "\n".join(_latex_part(table, rows, number) for number, rows in enumerate(parts))


def _latex_part(table: PaperTable, rows: tuple[tuple[str, ...], ...], number: int) -> str:
    environment = "table*" if table.wide else "table"
    width = r"\textwidth" if table.wide else r"\columnwidth"
    room = 2 * (len(table.widths) - 1)  # gaps of \tabcolsep between columns
    columns = "".join(
        rf">{{\raggedright\arraybackslash}}p{{\dimexpr {share:.3f}{width}-"
        rf"{share * room:.3f}\tabcolsep\relax}}"
        for share in table.widths
    )
    caption = _latex(table.caption) if number == 0 else "Continued."
    label = table.name if number == 0 else f"{table.name}-{number + 1}"
    return "\n".join([
        rf"\begin{{{environment}}}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        " & ".join(_latex(cell) for cell in table.head) + r" \\",
        r"\midrule",
        *(" & ".join(_latex(cell) for cell in row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        rf"\end{{{environment}}}",
        "",
    ])


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", " ".join(text.split()))


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "−": "$-$", "–": "--", "·": r"$\cdot$", "ρ": r"$\rho$", "²": r"\textsuperscript{2}",
    "<": r"\textless{}", ">": r"\textgreater{}", "×": r"$\times$", "\u00a0": "~",
    "[": "{[}", "]": "{]}",  # at the start of a row a bracket would be an option of \\
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(
        _LATEX.get(character, character) for character in re.sub(r"[ \t\r\n]+", " ", text)
    )
