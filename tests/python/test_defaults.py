"""Defaults live in the engine; the facades repeat them for readers, and say the same."""

from __future__ import annotations

import dataclasses
import inspect

import millrace as mr
import pytest
from millrace import _core, patterns

# Those of forms are the reader's; see below.
LIMITS = [field.name for field in dataclasses.fields(mr.Limits) if field.name != "form"]


def test_every_limit_has_the_engines_default():
    options = _core.ServerOptions()
    mr.Limits().apply(written := _core.ServerOptions())
    for owner, other in ((options.limits, written.limits), (options, written)):
        names = [
            name for name in vars(type(owner)) if isinstance(getattr(owner, name), int | float)
        ]
        assert {n: getattr(owner, n) for n in names} == {n: getattr(other, n) for n in names}


def test_every_limit_of_the_engine_can_be_set():
    names = set(LIMITS)
    limits = {name for name in vars(_core.Limits) if not name.startswith("_")}
    assert limits <= names
    of_server = {name for name in vars(_core.ServerOptions) if not name.startswith("_")}
    assert names - limits <= of_server
    assert not limits & of_server


@pytest.mark.parametrize("field", LIMITS)
def test_each_limit_reaches_the_engine(field):
    options = _core.ServerOptions()
    value = 0.25 if field == "body_memory_high_water" else 7
    mr.Limits(**{field: value}).apply(options)
    owner = options.limits if hasattr(options.limits, field) else options
    assert getattr(owner, field) == value


@pytest.mark.parametrize("recipe", _core.recipes(), ids=lambda recipe: recipe.name)
def test_every_pattern_has_the_engines_default(recipe):
    name = recipe.name.partition(":")[0]
    made = getattr(patterns, name)().recipe()
    fields = [name for name in vars(_core.Recipe) if not name.startswith("_") and name != "check"]
    # The wake-up is an argument of the one pattern it means something for.
    compared = [field for field in fields if field not in ("name", "wakeup")]
    assert made.name == name
    # Without workers nothing waits for them.
    if recipe.run == "on_loop":
        compared.remove("queue_capacity")
    assert {n: getattr(made, n) for n in compared} == {n: getattr(recipe, n) for n in compared}


def test_the_queue_has_the_engines_capacity():
    default = inspect.signature(patterns.queue).parameters["capacity"].default
    assert default == _core.Recipe().queue_capacity


def test_the_server_has_the_engines_defaults():
    options = _core.ServerOptions()
    parameters = inspect.signature(mr.Server).parameters
    assert [parameters["bind"].default] == options.bind
    assert parameters["journey"].default == options.journey
    assert parameters["half_close"].default == options.half_close
    assert parameters["decompress"].default == options.decompress


@pytest.mark.parametrize(
    ("limit", "value"),
    [("body_bytes", "lots"), ("header_timeout", "5 parsecs"), ("field_count", 0),
     ("max_in_flight", -1), ("idle_timeout", -1.0), ("target_bytes", "1.5B"),
     ("body_memory_high_water", 0), ("body_memory_high_water", 1.01)],
)  # fmt: skip
def test_a_malformed_limit_is_refused_by_name(limit, value):
    with pytest.raises(ValueError, match=limit):
        mr.Limits(**{limit: value})


def test_the_socket_options_have_the_engines_defaults():
    engine, options = _core.SocketOptions(), mr.SocketOptions().to_engine()
    names = [name for name in vars(_core.SocketOptions) if not name.startswith("_")]
    assert {n: getattr(options, n) for n in names} == {n: getattr(engine, n) for n in names}


def test_every_socket_option_of_the_engine_can_be_set():
    names = {name for name in vars(_core.SocketOptions) if not name.startswith("_")}
    keepalive = {name for name in names if name.startswith("keepalive_")}
    assert {f"keepalive_{field.name}" for field in dataclasses.fields(mr.Keepalive)} == keepalive
    fields = {field.name for field in dataclasses.fields(mr.SocketOptions)}
    # One field in Python: a number, or one for each socket.
    assert fields - {"backlog"} == names - keepalive - {"incoming_cpus"}


def test_forms_have_the_engines_limits():
    engine, limits = _core.FormLimits(), mr.FormLimits()
    names = [name for name in vars(_core.FormLimits) if not name.startswith("_")]
    fields = {field.name for field in dataclasses.fields(mr.FormLimits)}
    assert fields == {*names, "directory"}
    written = limits.to_engine()
    assert {n: getattr(written, n) for n in names} == {n: getattr(engine, n) for n in names}


@pytest.mark.parametrize(
    "field", [f.name for f in dataclasses.fields(mr.FormLimits) if f.name != "directory"]
)
def test_each_limit_of_forms_reaches_the_engine(field):
    assert getattr(mr.FormLimits(**{field: 7}).to_engine(), field) == 7
    with pytest.raises(ValueError, match=field):
        mr.FormLimits(**{field: "lots"})
