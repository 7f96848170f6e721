"""The corpus at nginx and at Node: what differs from us is what the page explains, no less."""

from __future__ import annotations

import pytest

from tests.interop import differential
from tests.interop.corpus import Case, corpus
from tests.interop.differential import OTHERS, Outcome


@pytest.fixture(scope="module")
def ours() -> dict[Case, Outcome]:
    return differential.outcomes(differential.millrace_server)


@pytest.mark.parametrize("name", OTHERS)
def test_the_differences_are_those_that_the_page_explains(ours, name):
    here, kept = differential.version_of(name), differential.kept_version(name)
    if here != kept:
        pytest.skip(f"the page is about {name} {kept}, here is {here}")
    found = differential.cells(ours, differential.outcomes(OTHERS[name]))
    assert found == differential.kept_cells(name)


def test_the_page_says_what_we_do_and_why(ours):
    rows = differential.kept_rows()
    by_name = {str(case): case for case in corpus()}
    assert len(rows) > 100
    for name, row in rows.items():
        assert row["millrace"] == differential.shown(ours[by_name[name]]), name
        assert row["clause"] == by_name[name].clause, name
        assert row["why"], name
