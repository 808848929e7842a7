"""What scrolls can be reached by keyboard: code and tables that are wider than the page."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

_WIDE = {
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
}


def reachable(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Let the keyboard stop at what may scroll sideways."""
    for plain, focusable in _WIDE.items():
        context["body"] = context.get("body", "").replace(plain, focusable)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register it for every page."""
    app.connect("html-page-context", reachable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
