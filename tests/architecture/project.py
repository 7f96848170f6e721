"""The project's own files, as the architecture tests read them."""

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "cpp" / "millrace"
BINDINGS = ROOT / "cpp" / "bindings"

# A comment, a raw string, a string or a character; the groups tell them apart.
_TEXT = re.compile(
    r'(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<raw>R"(?P<mark>[^()\\\s]*)\(.*?\)(?P=mark)")'
    r"""|(?P<string>"(?:\\.|[^"\\\n])*")|(?P<char>(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+')""",
    re.DOTALL,
)


@cache
def project_files() -> tuple[Path, ...]:
    """Return every file that is, or is about to be, under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = sorted(ROOT / name for name in listed.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def cpp_sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.[ch]pp"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def without_comments_and_strings(code: str) -> str:
    """Return C++ code with its prose blanked out, so that only code is searched; lines stay."""

    def blank(match: re.Match[str]) -> str:
        filler = "\n" * match.group().count("\n")
        return filler if match["comment"] else f'""{filler}'

    return _TEXT.sub(blank, code)


def findings(pattern: str, files: list[Path], *, code_only: bool = True) -> list[str]:
    """Return ``file:line: text`` for every place where a pattern is found."""
    found = []
    for path in files:
        text = path.read_text(encoding="utf-8")
        searched = without_comments_and_strings(text) if code_only else text
        for match in re.finditer(pattern, searched):
            found.append(f"{relative(path)}:{line_of(searched, match.start())}: {match.group()}")
    return found
