"""Finds the expressions that GCC 12 compiles wrongly.

In a full expression with ``co_await``, a temporary lambda or a braced temporary with a member that
has a destructor is destroyed twice. The way out is to name the object first and move it, so any
brace inside such an expression is reported, harmless ones included: the rule stays one sentence.
"""

import re

from tests.architecture.project import line_of, without_comments_and_strings

_OPEN, _CLOSE = "([{", ")]}"
# What may stand before the brace of a block, in contrast to that of a temporary.
_BLOCK = re.compile(
    r"(?:\)|\belse|\bdo|\btry|\bnoexcept|\bmutable|\bconst|\boverride|\bfinal|[;{}:]|^"
    r"|->\s*[\w:<>,\s*&]+)\s*$"
)
# `Type name{...}`: an object with a name, and so not a temporary.
_NAMED = re.compile(r"(?<!return)(?<!co_yield)(?:[\w>&*])\s+(?!co_await)\w+\s*$")
_CONDITION = re.compile(r"\b(?:if|while|for|switch)\s*(?:constexpr\s*)?$")


def awaits_with_braces(code: str) -> list[int]:
    """Return the lines of ``co_await`` expressions that hold a lambda or a braced temporary."""
    code = without_comments_and_strings(code)
    lines = []
    for await_ in re.finditer(r"\bco_await\b", code):
        start, inside_braces = _start_of_expression(code, await_.start())
        if inside_braces or "{" in code[start : _end_of_expression(code, start)]:
            lines.append(line_of(code, await_.start()))
    return lines


def _start_of_expression(code: str, position: int) -> tuple[int, bool]:
    """Walk back to where the full expression begins; true if a braced temporary surrounds it."""
    closed = 0
    for i in range(position - 1, -1, -1):
        char = code[i]
        if closed == 0 and char == ";":
            return i + 1, False
        if closed == 0 and char == "}" and not re.match(r"\s*[,).]", code[i + 1 :]):
            return i + 1, False
        if char in _CLOSE:
            closed += 1
        elif char in _OPEN and closed:
            closed -= 1
        elif char == "{":
            before = code[:i]
            is_block = _BLOCK.search(before[-200:]) or _NAMED.search(before[-200:])
            return i + 1, not is_block
        elif char == "(" and _CONDITION.search(code[:i][-40:]):
            return i + 1, False
    return 0, False


def _end_of_expression(code: str, start: int) -> int:
    opened = 0
    for i in range(start, len(code)):
        char = code[i]
        if char in _OPEN:
            opened += 1
        elif char in _CLOSE:
            if opened == 0:
                return i
            opened -= 1
        elif char == ";" and opened == 0:
            return i
    return len(code)
