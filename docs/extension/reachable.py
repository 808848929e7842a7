"""What scrolls can be reached by keyboard, and the menu's headings are headings of a level."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

#: Part of a page's context, what the theme writes there, and what it needs to be.
_MENDED = (
    ("body", "<pre>", '<pre tabindex="0">'),
    ("body", '<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'),
    ("furo_navigation_tree", 'role="heading"', 'role="heading" aria-level="2"'),
)
#: Later than the theme, which fills in the menu.
_LATE = 900


def mend(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Mend a page before it is written."""
    for part, plain, mended in _MENDED:
        if part in context:
            context[part] = context[part].replace(plain, mended)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register it for every page."""
    app.connect("html-page-context", mend, priority=_LATE)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
