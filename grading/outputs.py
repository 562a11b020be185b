"""A cell's outputs, taken from its kernel's messages without believing them.

The kernel belongs to the student: a message may have any form, come in any number and claim anything. What comes out is
valid notebook output of bounded size, and nothing else.
"""

from __future__ import annotations

import json
import re
from typing import Any

from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_output

MIME = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,100}", re.IGNORECASE)
MAX_OUTPUTS = 1000
CUT = "\n... the rest of the output was cut off ...\n"


def clean(text: Any, limit: int) -> str:
    """Text that every file format can hold, of at most `limit` characters; other values become empty."""
    return text[:limit].encode("utf-8", "replace").decode() if isinstance(text, str) else ""


class Displays:
    """Outputs that later messages may change, by display id, for all cells of a notebook."""

    def __init__(self):
        self._shown: dict[str, list[NotebookNode]] = {}

    def add(self, name: str, output: NotebookNode) -> None:
        """Remember an output."""
        if len(self._shown) < MAX_OUTPUTS:
            shown = self._shown.setdefault(name, [])
            if len(shown) < MAX_OUTPUTS:
                shown.append(output)

    def update(self, name: str, output: NotebookNode) -> None:
        """Change what was shown under a name."""
        for shown in self._shown.get(name, ()):
            shown["data"], shown["metadata"] = output["data"], output["metadata"]


class Outputs:
    """The outputs of one cell.

    Args:
        displays: Those of the notebook.
        characters: How much text is kept.
        size: How many bytes of pictures and other rich output are kept.
    """

    def __init__(self, displays: Displays, characters: int, size: int):
        self.nodes: list[NotebookNode] = []
        self._displays, self._characters, self._size = displays, characters, size
        self._clear_at_next = False
        self.cut = False

    @property
    def left(self) -> tuple[int, int]:
        """How many characters of text and bytes of rich output may still come."""
        return max(0, self._characters), max(0, self._size)

    def take(self, kind: str, content: Any) -> None:
        """Add what one message shows."""
        if not isinstance(content, dict):
            return
        if kind == "clear_output":
            self._clear_at_next = bool(content.get("wait"))
            if not self._clear_at_next:
                self.nodes.clear()
            return
        maker = {
            "stream": self._stream,
            "display_data": self._display,
            "execute_result": self._display,
            "update_display_data": self._display,
            "error": self._error,
        }.get(kind)
        if maker is None:
            return
        if len(self.nodes) >= MAX_OUTPUTS:
            self.cut = True
            return
        if self._clear_at_next and kind != "update_display_data":
            self.nodes.clear()
            self._clear_at_next = False
        maker(kind, content)

    def _stream(self, _: str, content: dict) -> None:
        name = content.get("name")
        if name not in ("stdout", "stderr"):
            return
        text = self._text(content.get("text"))
        last = self.nodes[-1] if self.nodes else None
        if last is not None and last.output_type == "stream" and last.name == name:
            last.text += text
        elif text:
            self.nodes.append(new_output("stream", name=name, text=text))

    def _text(self, text: Any) -> str:
        if self._characters <= 0:
            self.cut = True
            return ""
        kept = clean(text, self._characters)
        self._characters -= len(kept)
        if isinstance(text, str) and len(text) > len(kept):
            self._characters, self.cut = 0, True
            kept += CUT
        return kept

    def _display(self, kind: str, content: dict) -> None:
        data = self._bundle(content.get("data"))
        metadata = self._bundle(content.get("metadata"), any_key=True)
        if not data:
            return
        changes = kind == "update_display_data"
        more = {"execution_count": None} if kind == "execute_result" else {}
        output = new_output("display_data" if changes else kind, data=data, metadata=metadata, **more)
        transient = content.get("transient")
        name = transient.get("display_id") if isinstance(transient, dict) else None
        if changes:
            if isinstance(name, str):
                self._displays.update(name, output)
            return
        if kind == "execute_result" and isinstance(content.get("execution_count"), int):
            output.execution_count = abs(content["execution_count"]) % 10**6
        self.nodes.append(output)
        if isinstance(name, str):
            self._displays.add(name, output)

    def _bundle(self, data: Any, any_key: bool = False) -> NotebookNode:
        """A MIME bundle: text for every type but JSON ones, valid JSON for these, as far as the size allows."""
        kept = {}
        for key, value in list(data.items())[:50] if isinstance(data, dict) else ():
            if not isinstance(key, str) or not (any_key or MIME.fullmatch(key)):
                continue
            if any_key or key.endswith("json"):
                value = _plain(value)
                size = len(json.dumps(value))
            elif isinstance(value, list):
                value = clean("".join(part for part in value if isinstance(part, str)), self._size + 1)
                size = len(value)
            else:
                value = clean(value, self._size + 1)
                size = len(value)
            if size > self._size:
                self.cut = True
                continue
            self._size -= size
            kept[clean(key, 200)] = value
        return from_dict(kept)

    def _error(self, _: str, content: dict) -> None:
        name = clean(content.get("ename"), min(200, self.left[0]))
        value = clean(content.get("evalue"), min(4000, self.left[0]))
        self._characters -= len(name) + len(value)
        trace = content.get("traceback")
        lines = [self._text(line) for line in trace[:200]] if isinstance(trace, list) else []
        self.nodes.append(new_output("error", ename=name, evalue=value, traceback=[line for line in lines if line]))

    def add_error(self, name: str, sentence: str) -> None:
        """Add an error of our own."""
        self.nodes.append(new_output("error", ename=name, evalue=sentence, traceback=[f"{name}: {sentence}"]))


def _plain(value: Any, depth: int = 20) -> Any:
    """JSON that every file can hold: no lone surrogates, NaN or endless nesting."""
    if isinstance(value, str):
        return clean(value, len(value))
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if depth and isinstance(value, list):
        return [_plain(item, depth - 1) for item in value]
    if depth and isinstance(value, dict):
        return {clean(key, 200): _plain(item, depth - 1) for key, item in value.items()}
    return None
