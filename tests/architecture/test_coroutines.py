"""No expression with co_await holds what GCC 12 would destroy twice."""

import pytest

from tests.architecture.coroutines import awaits_with_braces
from tests.architecture.project import ROOT, cpp_sources, relative


def test_no_await_holds_a_lambda_or_a_braced_temporary():
    sources = cpp_sources(ROOT / "cpp") + cpp_sources(ROOT / "tests" / "cpp")
    found = [
        f"{relative(path)}:{line}"
        for path in sources
        for line in awaits_with_braces(path.read_text())
    ]
    assert found == [], "name the lambda or aggregate first, then move it into the call"


@pytest.mark.parametrize(
    "trap",
    [
        "co_await f([p] { use(p); });",
        "co_await f(Pair{p, 1});",
        "auto x = co_await spawn(ex, [p]() -> Task<int> { co_return 1; });",
        "f(Pair{p, 1}, co_await g());",
        "use(Pair{co_await g(), p});",
        "return_to(co_await g(), {p, p});",
        "if (x) { a(); } co_await f({p});",
        "for (auto y = co_await f(Agg{p}); y; ++y) { go(); }",
    ],
)
def test_the_search_finds_the_trap(trap):
    assert awaits_with_braces("Task<void> t() { " + trap + " }")


@pytest.mark.parametrize(
    "fine",
    [
        "co_await f(p);",
        "auto [a, b] = co_await f();",
        "if (co_await f()) { go(); }",
        "while (co_await f(1)) { go(); }",
        "for (auto y = co_await f(); y; ++y) { go(); }",
        "Pair pair{p, 1}; co_await f(std::move(pair));",
        "auto call = [p] { use(p); }; co_await f(std::move(call));",
        "Pair pair{co_await f(), 1};",
        "if (x) { a(); } co_await f(p);",
        "else_branch: try { co_await f(); } catch (const E& e) { go(); }",
        "co_return co_await f(p); // f([p] {})",
        'co_await f("{");',
    ],
)
def test_the_search_lets_the_rest_pass(fine):
    assert not awaits_with_braces("net::Task<void> t() { " + fine + " }")
    assert not awaits_with_braces("auto t = []() -> net::Task<void> { " + fine + " };")
