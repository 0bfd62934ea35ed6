"""The names of stores: URLs, and the folders on this machine that stand for them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, unquote

__all__ = ["inside", "is_url", "parts_of", "shown", "stands_for", "working_copy"]

_COPIES = "famus_ray-stores"


def is_url(text: str | Path) -> bool:
    """Whether a folder is named by a URL."""
    return "://" in str(text)


def working_copy(url: str) -> Path:
    """The folder on this machine that stands for a URL: below the cache folder of the user.

    A query, such as `?endpoint_override=host:9000`, belongs to the whole store.
    """
    at = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root, names = parts_of(url)
    return Path(at, _COPIES, quote(root, safe=""), *names)


def parts_of(url: str) -> tuple[str, list[str]]:
    """The URL of the whole store, and the names below it."""
    base, _, query = url.partition("?")
    scheme, _, rest = base.partition("://")
    bucket, *names = [part for part in rest.split("/") if part]
    return f"{scheme}://{bucket}" + (f"?{query}" if query else ""), names


def shown(path: str | Path) -> str:
    """The path, or the URL that it stands for, as a user would type it."""
    found = stands_for(Path(path))
    if found is None:
        return str(path)
    root, name = found
    return inside(root, name) if name else root


def inside(root: str, name: str) -> str:
    """The path or URL of a file in a folder; a URL's query stays at its end."""
    if not is_url(root):
        return str(Path(root, name))
    base, mark, query = root.partition("?")
    return f"{base.rstrip('/')}/{name}{mark}{query}"


def stands_for(path: Path) -> tuple[str, str] | None:
    """The store's URL and the path in it; None for a folder that is not a working copy."""
    parts = path.absolute().parts
    if _COPIES not in parts[:-1]:
        return None
    at = parts.index(_COPIES) + 1
    return unquote(parts[at]), "/".join(parts[at + 1 :])
