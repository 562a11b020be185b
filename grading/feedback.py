"""The feedback page: nbgrader's own template, rendered without doing the same work for every student.

Most cells of a class's notebooks are the same, so rendered code and text are kept; the template is compiled once a
process; and pictures get their alternative text before the page is written, not by parsing it again as nbconvert does.
The page needs no network: formulas become MathML. Its table of contents names the tasks, and what is not graded yet.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import lru_cache

from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbformat import NotebookNode

ALT = "Figure made by the cell above"
NOT_MATHML = re.compile(r"<(?!/?m)|href|javascript", re.IGNORECASE)
MATHJAX = re.compile(r"<!-- Load(?:ing)? mathjax.*?<!-- End of mathjax configuration -->", re.DOTALL)
STYLE = """<style>
.rendered_html th, .rendered_html td { padding: 0.2em 0.7em; text-align: left; }
.highlight pre { white-space: pre-wrap; }
.rendered_html math[display="block"] { margin: 0.7em 0; font-size: 115%; }
summary { display: list-item; cursor: pointer; }
</style>
"""
WAITING = re.compile(r"<li><a href.*Score: nan / ([0-9.]+)")
WORDING = {  # of nbgrader's template
    re.compile(r'(<a href="#test_(\w+)">)Test cell</a>'): r"\1<code>\2</code></a>",
    re.compile(r"Score: nan / ([0-9.]+)"): r"not graded yet, of \1",
    re.compile(r"Score: ([0-9.]+) / 0\.0(?![0-9])"): r"Bonus: \1",
}
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


class _Formulas(IPythonRenderer):
    """Writes formulas as MathML."""

    def block_math(self, body: str) -> str:
        return _mathml(body, "block") or super().block_math(body)

    def inline_math(self, body: str) -> str:
        return _mathml(body, "inline") or super().inline_math(body)


def _mathml(formula: str, display: str) -> str:
    """Empty if the formula cannot be written so, or would come out as more than MathML."""
    try:
        found = convert(formula, display=display)
    except Exception:  # those of the library have no base of their own
        return ""
    return "" if NOT_MATHML.search(found) else found


@_kept
def _text(source: str) -> str:
    return MarkdownWithMath(renderer=_Formulas(escape=False)).render(source)


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
        page, resources = TemplateExporter.from_notebook_node(self, nb, resources, **kw)
        return _readable(page), resources


def _readable(page: str) -> str:
    waiting = sum(map(float, WAITING.findall(page)))
    page = MATHJAX.sub("", page, count=1).replace("</head>", STYLE + "</head>", 1)
    for pattern, words in WORDING.items():
        page = pattern.sub(words, page)
    if waiting:
        page = page.replace(")</h4>", f"; {waiting:g} more wait to be graded)</h4>", 1)
    return page
