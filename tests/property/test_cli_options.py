"""Options of the command line: any text gives a value or a usage error that names the option."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rats_tls.certificates.making import make_claims_buffer
from rats_tls.cli.options import parse_claims, parse_time
from rats_tls.cli.sides import parse_states
from rats_tls.core.errors import ConfigurationError
from support.channels import CRYPTO, KeyAlgorithm, key
from support.simulated import world

# As the interpreter gives arguments: bytes that are not UTF-8 are lone surrogates.
arguments = st.text(max_size=30) | st.binary(max_size=30).map(lambda data: data.decode(errors="surrogateescape"))


@given(st.lists(arguments | st.tuples(arguments, arguments).map("=".join), max_size=4))
@example(["role=\udcff"])
@example(["r\udcffle=server"])
def test_any_claim(claims: list[str]) -> None:
    try:
        parsed = parse_claims(tuple(claims))
    except click.BadParameter as error:
        assert error.param_hint == "--claim"  # noqa: PT017  # claims would do as well
        return
    assert set(parsed) == {claim.partition("=")[0] for claim in claims}
    # What is taken can be bound to Evidence, or is refused as a reserved name.
    try:
        assert make_claims_buffer(key(KeyAlgorithm.EC_P256).public_key.spki, CRYPTO, custom_claims=parsed)
    except ConfigurationError as error:
        assert "reserved" in error.message  # noqa: PT017  # see above


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: "=" not in name), st.text()))
def test_claims_are_those_written(claims: dict[str, str]) -> None:
    found = parse_claims(tuple(f"{name}={value}" for name, value in claims.items()))
    assert found == {name: value.encode() for name, value in claims.items()}


@given(arguments | st.from_regex(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?([+-]\d\d:\d\d|Z)\Z"))
@example("0001-01-01T00:00+23:59")
@example("9999-12-31T23:59-23:59")
def test_any_time(text: str) -> None:
    try:
        time = parse_time(text)
    except click.BadParameter as error:
        assert error.param_hint == "--at"  # noqa: PT017  # a time would do as well
        return
    assert time.utcoffset() == timedelta(0)


@given(st.integers(0, 253_402_214_400), st.integers(-1439, 1439))
def test_times_are_those_written(seconds: int, offset: int) -> None:
    time = datetime.fromtimestamp(seconds, UTC)
    sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    shown = time + timedelta(minutes=offset)
    if shown >= datetime(1970, 1, 1, tzinfo=UTC):
        assert parse_time(f"{shown:%Y-%m-%dT%H:%M:%S}{sign}{hours:02}:{minutes:02}") == time


def test_without_an_option_it_is_now() -> None:
    before = datetime.now(UTC)
    assert before <= parse_time(None) <= datetime.now(UTC)


FIELDS = (
    "mr-enclave",
    "debug",
    "isv-svn",
    "tcb-status",
    "qe-auth",
    "issue-date",
    "revoked",
    "sgx-components",
    "out-of-date",
)


@pytest.mark.parametrize("attester", ["simulated_sgx_ecdsa", "simulated_tdx_ecdsa"])
@given(
    states=st.lists(
        arguments
        | st.tuples(st.sampled_from(FIELDS), arguments | st.sampled_from(("none", "true", "0"))).map("=".join),
        max_size=3,
    )
)
def test_any_state_of_a_simulated_tee(attester: str, states: list[str]) -> None:
    try:
        parsed = parse_states(tuple(states))
    except click.BadParameter as error:
        assert error.param_hint == "--simulate"  # noqa: PT017  # states would do as well
        return
    try:
        made = world().attester_from_texts(attester, parsed)
    except ConfigurationError:
        return
    assert made.name == attester
