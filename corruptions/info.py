"""What is known of a corruption without importing it, and checks of what chooses its constants."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from corruptions.constants import PRESETS, Row, Table
from corruptions.errors import CorruptionError

if TYPE_CHECKING:
    from corruptions.kernel import AnyCorruption

Category = Literal["noise", "blur", "weather", "digital"]
SEVERITIES: Final = (1, 2, 3, 4, 5)
ANY: Final = "any"
RESULTS_VERSION: Final = 2  # raised when any corruption's bytes change


@dataclass(frozen=True)
class CorruptionInfo:
    """What a corruption is.

    Attributes:
        name: what a user types, and the name of its file or folder in the published suites.
        columns: meaning of the constants, in order.
        constants: preset -> five rows of constants, severity 1 first; `ANY` stands for the others.
        target: where the implementation is, `"package.module:attribute"`.
        extra: whether it is one of the four held-out corruptions, outside the mean over fifteen.
        random: whether the result depends on the seed.
        version: raised when the bytes of a corruption of another package change.
    """

    name: str
    category: Category
    summary: str
    columns: tuple[str, ...]
    constants: dict[str, Table]
    target: str
    extra: bool = False
    random: bool = True
    version: int = 1

    def row(self, preset: str, severity: int) -> Row:
        """Returns the constants of a severity, one per name in `columns`; refuses unknown ones."""
        table = self.constants.get(check_preset(preset)) or self.constants[ANY]
        return table[check_severity(severity) - 1]

    def load(self) -> AnyCorruption:
        """Returns the implementation, importing torch."""
        module, _, attribute = self.target.partition(":")
        loaded: AnyCorruption = getattr(importlib.import_module(module), attribute)
        return loaded


def check_preset(preset: str) -> str:
    """Validates the name of a set of constants.

    Args:
        preset: one of `PRESETS`.

    Returns:
        The same name.

    Raises:
        CorruptionError: there is none of that name.
    """
    if preset not in PRESETS:
        raise CorruptionError(f"preset is {preset!r}; choose one of {', '.join(PRESETS)}.")
    return preset


def check_severity(severity: int) -> int:
    """Returns a severity, if it is an integer from 1 to 5."""
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise CorruptionError(f"severity is {severity!r}; give an integer from 1 to 5.")
    return int(severity)
