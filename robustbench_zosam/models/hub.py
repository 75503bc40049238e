"""Files of the Hugging Face Hub, in its library's own cache; imports nothing heavy before that."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

from robustbench_zosam.errors import InputError

HUB = "hf:"
_FILE = "model.safetensors"
_IN_FOLDERS = (_FILE, "pytorch_model.bin", "checkpoint.pth", "model_best.pth.tar", "last.ckpt")
_CANNOT = (OSError, RuntimeError, ValueError, HTTPException)  # OSError: URLError, those of the Hub
T = TypeVar("T")


def local_file(path: str) -> Path:
    """Returns a file: `path` itself, or that of `hf:OWNER/NAME[/FILE]` in the Hub's cache.

    In a folder it is `model.safetensors` or another usual name.

    Raises:
        InputError: the name is none, the file cannot be had, or the folder holds none.
    """
    if path.startswith(HUB):
        return _fetched(path)
    place = Path(path)
    if not place.is_dir():
        return place
    found = next((place / name for name in _IN_FOLDERS if (place / name).is_file()), None)
    if found is None:
        raise InputError(
            f"the folder {path} holds no checkpoint ({', '.join(_IN_FOLDERS)}): give the path of "
            "a file"
        )
    return found


@cache  # identities of all cells ask
def _fetched(path: str) -> Path:
    owner, _, rest = path.removeprefix(HUB).partition("/")
    name, _, file = rest.partition("/")
    if not owner or not name:
        raise InputError(f"{path}: write hf:OWNER/NAME, or hf:OWNER/NAME/FILE.safetensors")
    file = file or _FILE
    if not file.endswith(".safetensors"):
        raise InputError(f"{path}: only .safetensors files are fetched, since others may run code")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise InputError(
            f"{path}: huggingface_hub cannot be imported ({error}): pip install 'zosam-robust[hub]'"
        ) from error
    return Path(had(path, lambda: hf_hub_download(f"{owner}/{name}", file)))


def had(name: str, fetch: Callable[[], T]) -> T:
    """Returns what `fetch` brings; whatever keeps it away is an `InputError`."""
    try:
        return fetch()
    except InputError:
        raise
    except _CANNOT as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"the weights of {name} cannot be had: {reason}") from error
