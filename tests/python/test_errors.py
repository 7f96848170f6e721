"""The tree of exceptions, and the engine's failures in it."""

from __future__ import annotations

import errno
import pickle

import pytest
from millrace import _core, errors

CODES = _core.error_codes()


@pytest.mark.parametrize("row", CODES, ids=lambda row: row[0])
def test_every_failure_of_the_engine_has_a_class_and_says_whose_fault_it_was(row):
    name, sentence, fault, retry = row
    error = errors.from_code(name, sentence, "RFC 9112 6.3")
    assert isinstance(error, errors.MillraceError)
    assert error.code == name
    assert str(error) == sentence
    assert error.rule == "RFC 9112 6.3"
    assert error.fault == fault
    assert error.safe_to_retry == (retry != "never")


def test_no_class_stands_for_a_failure_that_the_engine_does_not_have():
    assert set(errors._CLASSES) == {name for name, *_ in CODES}


def test_an_unknown_failure_is_not_swallowed():
    with pytest.raises(KeyError):
        errors.from_code("gremlins", "what?")


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (errors.ConnectTimeout, (errors.TimeoutException, errors.TransportError)),
        (errors.PoolTimeout, (errors.TimeoutException,)),
        (errors.ConnectError, (errors.NetworkError, errors.TransportError)),
        (errors.ReadError, (errors.NetworkError,)),
        (errors.WriteError, (errors.NetworkError,)),
        (errors.CloseError, (errors.NetworkError,)),
        (errors.LocalProtocolError, (errors.ProtocolError, errors.TransportError)),
        (errors.RemoteProtocolError, (errors.ProtocolError,)),
        (errors.MessageTooLarge, (errors.RemoteProtocolError,)),
        (errors.ListenError, (OSError,)),
        (errors.InvalidOption, (ValueError,)),
    ],
)
def test_the_tree_has_the_branches_that_users_of_httpx_expect(kind, bases):
    assert issubclass(kind, (errors.MillraceError, *bases))
    assert all(issubclass(kind, base) for base in bases)


def test_every_class_of_the_tree_is_public_and_says_whose_fault_it_is():
    def below(kind):
        yield kind
        for heir in kind.__subclasses__():
            yield from below(heir)

    for kind in below(errors.MillraceError):
        assert kind.__name__ in errors.__all__
        assert kind.fault in ("local", "peer", "network")
        assert isinstance(kind.safe_to_retry, bool)
        assert kind.__doc__


def test_a_listen_error_carries_the_systems_number():
    error = errors.from_code("address_in_use", "the address is in use (127.0.0.1:80)")
    assert error.errno == errno.EADDRINUSE
    assert str(error) == "the address is in use (127.0.0.1:80)"


def test_errors_survive_pickling():
    error = errors.from_code("head_too_large", "too large", "RFC 6585 5")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.code, again.rule) == (
        errors.MessageTooLarge,
        "too large",
        "head_too_large",
        "RFC 6585 5",
    )
