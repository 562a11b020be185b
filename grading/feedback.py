"""The feedback page: nbgrader's own template, rendered without doing the same work for every student.

Most cells of a class's notebooks are the same, so rendered code and text are kept; the template is compiled once a
process; and pictures get their alternative text before the page is written, not by parsing it again as nbconvert does.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import lru_cache

from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbformat import NotebookNode

ALT = "Figure made by the cell above"
LONGEST_KEPT = 10_000  # characters of a cell
LONGEST_COLOURED = 50_000
_highlight = Highlight2HTML(pygments_lexer="ipython3")


def _kept(render: Callable[[str], str]) -> Callable[[str], str]:
    """Remembers what came of short texts; long ones are one student's own and could fill the memory."""
    remembered = lru_cache(maxsize=4096)(render)
    return lambda source: (remembered if len(source) <= LONGEST_KEPT else render)(source)


@_kept
def _code(source: str) -> str:
    if len(source) > LONGEST_COLOURED:
        return f'<div class="highlight hl-ipython3"><pre>{html.escape(source)}</pre></div>'
    return _highlight(source)


@_kept
def _text(source: str) -> str:
    return MarkdownWithMath(renderer=IPythonRenderer(escape=False)).render(source)


class FeedbackExporter(HTMLExporter):
    """Writes nbgrader's feedback template."""

    _shared = None

    def _create_environment(self):
        if FeedbackExporter._shared is None:
            FeedbackExporter._shared = super()._create_environment()
        return FeedbackExporter._shared

    def from_notebook_node(self, nb: NotebookNode, resources: dict | None = None, **kw):
        """The page and nbconvert's resources."""
        resources = self._init_resources(resources)
        widgets = WidgetsDataTypeFilter(notebook_metadata=self._nb_metadata, parent=self, resources=resources)
        self.register_filter("filter_data_type", widgets)
        self.register_filter("highlight_code", lambda source, metadata=None: _code(source))
        self.register_filter("markdown2html", _text)
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                for kind in output.get("data", {}):
                    if kind.startswith("image/"):
                        output.metadata.setdefault(kind, {}).setdefault("alt", ALT)
        return TemplateExporter.from_notebook_node(self, nb, resources, **kw)
