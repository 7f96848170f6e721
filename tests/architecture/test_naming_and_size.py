"""Names, sizes and habits of the guide that a search can hold true."""

import re

import pytest

from tests.architecture.project import ROOT, cpp_sources, findings, project_files, relative

MOST_LINES = 600
# Tables of data: long because the data is, and read by looking up, not from the top.
TABLES = {"python/millrace/_core.pyi"}

PATTERNS = (
    "single_thread",
    "acceptor_readers",
    "acceptor_queue_workers",
    "shared_acceptors",
    "reuseport_shards",
    "multi_process",
)

TOP_LEVEL = {
    "CMakeLists.txt",
    "CMakePresets.json",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "cpp",
    "docs",
    "notebooks",
    "packages.txt",
    "pyproject.toml",
    "python",
    "tests",
}

CPP = cpp_sources(ROOT / "cpp")
PYTHON = sorted((ROOT / "python").rglob("*.py"))


def test_no_class_is_named_after_nothing():
    named = r"\b(?:class|struct)\s+(?:\[\[\w+\]\]\s+)?\w*(?:Manager|Helper|Utils?|Processor|Impl)\b"
    assert findings(named, CPP) == []
    in_python = r"(?m)^\s*class \w*(?:Manager|Helper|Utils?|Processor|Impl)\b"
    assert findings(in_python, PYTHON, code_only=False) == []


def test_no_file_is_longer_than_an_idea():
    long = []
    for path in project_files():
        source = path.suffix in {".cpp", ".hpp", ".py", ".pyi"}
        if not source or relative(path) in TABLES or path.parts[len(ROOT.parts)] == "tests":
            continue
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            long.append(f"{relative(path)}: {lines} lines")
    assert long == []


def test_patterns_are_recipes_and_not_copies():
    named = [
        relative(path)
        for path in project_files()
        if any(pattern in path.name for pattern in PATTERNS)
        and "exec" not in path.parts
        and not relative(path).startswith("docs/patterns/")
    ]
    assert named == [], "test and measure over the table of patterns, not once per pattern"


def test_tables_are_written_out_and_not_registered():
    # Linkers drop static initialisers of archives, and their order is nobody's.
    assert findings(r"static.*Registrar|__attribute__\(\(constructor\)\)", CPP) == []


def test_ownership_is_unique_unless_a_comment_names_the_other_owner():
    bare = []
    for path in CPP:
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            makes_one = re.search(r"\b(?:std::shared_ptr<|make_shared<)", line.split("//")[0])
            near = "\n".join(lines[max(0, number - 4) : number + 1])
            if makes_one and "//" not in near:
                bare.append(f"{relative(path)}:{number + 1}: {line.strip()}")
    assert bare == []


def test_top_level_holds_only_what_the_architecture_names():
    top = {relative(path).split("/")[0] for path in project_files()}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        # Written in pieces, so that this file does not find itself.
        ("a path of one machine", r"(?<![\w.\-])/" + r"(?:work|root)/"),
        (
            "a package registry",
            "|".join(
                re.escape(host).replace(",", r"\.")
                for host in (
                    "pypi,org",
                    "files,pythonhosted,org",
                    "registry,npmjs,org",
                    "deb,debian,org",
                    "proxy,golang,org",
                    "crates,io",
                )
            ),
        ),
    ],
)
def test_no_file_names(what, pattern):
    text = [path for path in project_files() if b"\0" not in path.read_bytes()[:4096]]
    readable = [path for path in text if "corpus" not in path.parts]
    assert findings(pattern, readable, code_only=False) == [], what
