"""The dependency order of cpp/millrace, kept true by reading every include line."""

import re

import pytest

from tests.architecture.project import BINDINGS, ENGINE, ROOT, cpp_sources, findings, relative

# Lowest first. A new folder needs a row here and in cpp/CMakeLists.txt.
MAY_INCLUDE = {
    "base": set(),
    "trace": {"base"},
    "net": {"base", "trace"},
    "proto": {"base", "trace"},
    "exec": {"base", "trace", "net"},
    "conn": {"base", "trace", "net", "proto"},
    "server": {"base", "trace", "net", "proto", "exec", "conn"},
    "observe": {"base", "trace"},
    "lab": {"base", "trace", "net", "proto", "exec", "conn", "server", "observe"},
}

# A codec is bytes and time in, events and bytes out: what it must not know by name.
FORBIDDEN_IN = {
    "proto": (
        r"#include <(?:asio|thread|mutex|shared_mutex|condition_variable|random|sys/|netinet/|arpa/"
        r"|unistd\.h|pthread\.h)|_clock::now|clock_gettime|gettimeofday|random_device"
    ),
    # Sans-I/O as well, so that any layer may use them.
    "base": r"#include <(?:asio|thread|sys/socket|sys/epoll|netinet/)",
    "trace": r"#include <(?:asio|thread|mutex|sys/|netinet/)|_clock::now|clock_gettime",
}

INCLUDE = r'#include "([^"]+)"'


@pytest.mark.parametrize("layer", MAY_INCLUDE)
def test_layer_includes_only_what_lies_below_it(layer):
    for source in cpp_sources(ENGINE / layer):
        used = set(re.findall(r'#include "millrace/(\w+)/', source.read_text()))
        assert used <= MAY_INCLUDE[layer] | {layer}, relative(source)


@pytest.mark.parametrize("layer", FORBIDDEN_IN)
def test_layer_touches_no_socket_thread_or_clock(layer):
    assert findings(FORBIDDEN_IN[layer], cpp_sources(ENGINE / layer)) == []


def test_every_folder_has_a_row_in_the_table():
    folders = {path.name for path in ENGINE.iterdir() if path.is_dir()}
    assert folders == set(MAY_INCLUDE)


def test_cmake_links_what_the_table_allows():
    cmake = (ROOT / "cpp" / "CMakeLists.txt").read_text()
    rows = re.findall(
        r"^millrace_layer\((\w+)(?: DEPENDS ([a-z ]+?))?(?: LIBRARIES .*)?\)$", cmake, re.M
    )
    assert {name: set(depends.split()) for name, depends in rows} == MAY_INCLUDE


def test_no_source_stands_outside_the_layers():
    assert list(ENGINE.glob("*.[ch]pp")) == []


def test_includes_are_written_from_the_root_of_the_engine():
    # A path from the file's own folder would slip past the table above.
    for source in cpp_sources(ENGINE):
        for name in re.findall(INCLUDE, source.read_text()):
            assert name.startswith("millrace/"), f"{relative(source)} includes {name}"
            assert ".." not in name, f"{relative(source)} includes {name}"


def test_nothing_in_the_engine_knows_the_bindings_or_python():
    assert findings(r"#include [<\"](?:pybind11/|Python\.h|bindings/)", cpp_sources(ENGINE)) == []


def test_deadlines_know_only_the_monotonic_clock():
    # A wall clock that is set would make every connection time out at once, or never.
    wall_clock = r"\bstd::time\(|system_clock|gettimeofday|CLOCK_REALTIME"
    below_the_server = ("base", "trace", "net", "proto", "exec", "conn")
    sources = [path for layer in below_the_server for path in cpp_sources(ENGINE / layer)]
    assert findings(wall_clock, sources) == []


def test_only_net_talks_to_epoll():
    others = [path for path in cpp_sources(ENGINE) if ENGINE / "net" not in path.parents]
    assert findings(r"#include <(?:asio|sys/epoll\.h)", others) == []


def test_only_http1_knows_its_parser():
    http1 = ENGINE / "proto" / "http1"
    others = [path for path in cpp_sources(ENGINE) if http1 not in path.parents]
    assert findings(r"#include <(?:llhttp/)?llhttp\.h>", others) == []


def test_codecs_have_a_side_instead_of_twins():
    twins = [p for p in cpp_sources(ENGINE / "proto") if re.match(r"(client|server)_", p.name)]
    assert twins == [], "one codec class per protocol; Side is a parameter"


def test_only_python_calls_handles_the_gil():
    calls = BINDINGS / "python_calls"
    others = [p for p in cpp_sources(ROOT / "cpp") if calls not in p.parents]
    gil = (
        r"gil_scoped_acquire|PyGILState|PyEval_(?:Restore|Save|Acquire|Release)Thread"
        r"|PyThreadState"
    )
    assert findings(gil, others) == []


def test_bindings_hold_names_and_no_logic():
    # buffers.cpp turns bytes of one language into bytes of the other, and that takes branches.
    plain = [path for path in sorted(BINDINGS.glob("*.cpp")) if path.name != "buffers.cpp"]
    assert findings(r"\b(?:for|while|if|switch)\s*\(", plain) == []


def test_bindings_keep_no_python_object_for_the_whole_process():
    """Interpreters with a lock each may share none: it belongs into InterpreterState."""
    pattern = (
        r"(?m)^[ ]*(?:static|thread_local|extern)\b[^()\n]*\bPy(?:TypeObject|Object)\b[^()\n]*[;={]"
    )
    assert findings(pattern, cpp_sources(BINDINGS)) == []
