"""CSV files that this harness writes: whole or not at all, and with nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

FORMULA = re.compile(r"[\s\x00]*[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?(e[+-]?\d+)?", re.IGNORECASE)


def inert(value: object) -> object:
    """A value that no spreadsheet takes for a formula; numbers such as "-1" stay what they are."""
    if not isinstance(value, str) or NUMBER.fullmatch(value):
        return value
    return f"'{value}" if FORMULA.match(value) or value.startswith(("\t", "\r", "\n")) else value


def plain(text: str) -> str:
    """What `inert` was given."""
    return text[1:] if text.startswith("'") and inert(text[1:]) == text else text


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> Path:
    """Write a table of ours."""
    write_rows(path, [columns, *([inert(value) for value in row] for row in rows)])
    return path


def write_rows(path: Path, rows: Iterable[Sequence], encoding: str = "utf-8", **dialect) -> None:
    """Write rows as they are; who reads the file sees all of it or what was there before."""
    scratch = path.with_name(f"{path.name}.part")
    with scratch.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, **dialect).writerows(rows)
    os.replace(scratch, path)
