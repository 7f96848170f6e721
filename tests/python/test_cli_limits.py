"""`millrace serve --limit`: every limit from the command line."""

from __future__ import annotations

from dataclasses import fields

import millrace as mr
import pytest
from millrace import cli
from millrace.limit_rows import LIMIT_ROWS
from millrace.limits import OFF_AT_ZERO

from tests.python.wire import Wire

VALUES = {"bytes": ("3KiB", 3072), "seconds": ("1500ms", 1.5), "rate": ("2kB", 2000),
          "count": ("7", 7), "share": ("0.25", 0.25)}  # fmt: skip


@pytest.mark.parametrize("row", LIMIT_ROWS, ids=lambda row: row.name)
def test_every_limit_is_an_option_with_the_units_of_its_kind(served, row):
    text, value = VALUES[row.unit]
    limits = served("--limit", f"{row.name}={text}").limits
    form, _, name = row.name.rpartition(".")
    given = {"form": mr.FormLimits(**{name: value})} if form else {name: value}
    assert limits == mr.Limits(**given)
    assert limits != mr.Limits()


@pytest.mark.parametrize("name", sorted(OFF_AT_ZERO))
def test_what_may_be_off_is_off(served, name):
    assert getattr(served("--limit", f"{name}=off").limits, name) == 0
    assert mr.Limits(**{name: "off"}) == mr.Limits(**{name: 0})


def test_they_may_be_several_and_come_from_the_environment(served, monkeypatch):
    monkeypatch.setenv("MILLRACE_LIMIT", "field-count=9 max_in_flight=adaptive")
    assert served().limits == mr.Limits(field_count=9, max_in_flight="adaptive")
    flags = ["--limit", "body_ratio=5", "--limit", "field_count=8", "--limit", "field_count=7"]
    flags += ["--limit", "form.parts=5", "--limit", "form.directory=/var/tmp"]
    assert served(*flags, "--limit-concurrency", "3").limits == mr.Limits(
        body_ratio=5,
        field_count=7,
        max_in_flight=3,
        form=mr.FormLimits(parts=5, directory="/var/tmp"),
    )


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--limit colour=red", "--limit: 'colour' is no limit; there are target_bytes, head_bytes"),
        ("--limit head_bytes", "--limit: 'head_bytes': write NAME=VALUE, such as"),
        ("--limit head_bytes=much", "--limit: head_bytes: 'much' is no size; write '64kB'"),
        ("--limit idle_timeout=off", "--limit: idle_timeout: 'off' is no duration; write '50ms'"),
        ("--limit form=1", "--limit: 'form' is no limit; there are"),
        ("--limit form.parts=many", "--limit: form.parts: 'many' is no size"),
        ("--limit head_bytes=0", "--limit: head_bytes='0': a limit is more than zero"),
        (
            "--limit max_in_flight=1 --limit-concurrency 1",
            "--limit max_in_flight and --limit-concurrency exclude each other: leave one out",
        ),
        (
            "--limit idle_timeout=1s --timeout-keep-alive 1",
            "--limit idle_timeout and --timeout-keep-alive exclude each other: leave one out",
        ),
    ],
)
def test_a_wrong_limit_is_named_with_its_remedy(capsys, flags, says):
    with pytest.raises(SystemExit) as left:
        cli.main(["serve", "hello:app", *flags.split()])
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_an_unknown_limit_is_told_all_that_there_are(capsys):
    with pytest.raises(SystemExit):
        cli.main(["serve", "hello:app", "--limit", "x=1"])
    said = capsys.readouterr().err
    names = [field.name for field in fields(mr.Limits) if field.name != "form"]
    names += [f"form.{field.name}" for field in fields(mr.FormLimits)]
    assert said.partition("there are ")[2].partition("\n")[0].split(", ") == names


@pytest.mark.parametrize("workers", ["1", "2"])
def test_limits_reach_whoever_serves(served, workers):
    flags = ["--port", "0", "--limit", "field_count=3", "--limit", "queue_timeout=2s", "--workers"]
    with served(*flags, workers) as server:
        for fields_sent, status in ((3, 404), (4, 431)):
            for _ in range(4):  # whichever worker takes it
                with Wire(server) as wire:
                    more = {f"A{number}": "x" for number in range(fields_sent - 1)}  # and Host
                    assert wire.get("/", more).status == status
