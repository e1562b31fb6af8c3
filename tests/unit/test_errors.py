"""The exception tree: every error has a way to go on, an exit code, and fields."""

from __future__ import annotations

import inspect
import pickle

import pytest

from lifelog_lake import errors
from lifelog_lake.errors import LifelogError, MissingExtra, Terminal, Transient

ALL = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, LifelogError)
]


@pytest.mark.parametrize("kind", ALL)
def test_each_error_is_either_transient_or_terminal(kind: type[LifelogError]) -> None:
    if kind is LifelogError:
        return
    assert issubclass(kind, Transient) != issubclass(kind, Terminal)
    assert inspect.getdoc(kind)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("LifelogError", 1),
        ("UsageError", 2),
        ("InvalidEvent", 2),
        ("MissingExtra", 2),
        ("LakeUnreachable", 3),
        ("LakeRefused", 3),
        ("Locked", 1),
        ("SpoolError", 1),
    ],
)
def test_exit_codes_are_those_that_were_promised(kind: str, code: int) -> None:
    assert getattr(errors, kind).exit_code == code


def test_an_error_reads_as_what_happened_and_how_to_mend_it() -> None:
    error = LifelogError("It broke.", hint="Mend it.", stream="screen", seq=3)
    assert str(error) == "It broke. Mend it."
    assert (error.message, error.hint) == ("It broke.", "Mend it.")
    assert error.fields == {"stream": "screen", "seq": 3}
    assert str(LifelogError("It broke.")) == "It broke."


def test_a_missing_extra_names_the_install_line() -> None:
    error = MissingExtra("Reading", "hub")
    assert 'pip install "lifelog-lake[hub]"' in str(error)
    assert error.fields == {"extra": "hub"}


def test_an_error_survives_a_raise_through_another_process() -> None:
    error = pickle.loads(pickle.dumps(LifelogError("It broke.", hint="Mend it.", seq=3)))
    assert str(error).startswith("It broke.")
