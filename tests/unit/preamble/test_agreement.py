from __future__ import annotations

from dataclasses import replace

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.errors import ProtocolError
from rats_tls.core.refusals import Refusal
from rats_tls.preamble.agreement import agree
from rats_tls.preamble.hello import Hello

BASE = Hello(bindings=("certificate",), attests=True, demands=True)


def test_both_sides_find_the_same() -> None:
    client = replace(
        BASE,
        versions=(1, 2, 7),
        profiles=("b", "a"),
        bindings=("none", "session", "certificate"),
        application_protocols=("x", "y", "z"),
    )
    server = replace(
        BASE, versions=(2, 1), profiles=("a", "b"), bindings=("certificate", "none"), application_protocols=("z", "y")
    )
    found = agree(client, server, "client")
    assert found == agree(server, client, "server")
    assert (found.version, found.profile, found.binding, found.application_protocol) == (
        2,
        "b",
        Binding.CERTIFICATE,
        "z",
    )


@pytest.mark.parametrize(
    ("own", "peer", "expected"),
    [
        (("session", "certificate"), ("certificate", "session"), Binding.SESSION),
        (("none", "certificate"), ("certificate", "none"), Binding.CERTIFICATE),
        (("none",), ("none", "session"), Binding.NONE),
    ],
)
def test_the_strongest_common_binding_is_taken(own: tuple[str, ...], peer: tuple[str, ...], expected: Binding) -> None:
    assert agree(replace(BASE, bindings=own), replace(BASE, bindings=peer), "server").binding is expected


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"versions": (9,)}, Refusal.PROTOCOL_VERSION),
        ({"profiles": ("z",)}, Refusal.PROTOCOL_PROFILE),
        ({"framing": 3}, Refusal.PROTOCOL_PROFILE),
        ({"bindings": ("report-data",)}, Refusal.PROTOCOL_BINDING),
        ({"bindings": ("session", "none")}, Refusal.PROTOCOL_BINDING),
    ],
)
def test_nothing_in_common_is_refused(role: str, changes: dict[str, object], refusal: Refusal) -> None:
    with pytest.raises(ProtocolError) as caught:
        agree(BASE, replace(BASE, **changes), role)
    assert caught.value.refusal is refusal
    with pytest.raises(ProtocolError) as caught:
        agree(replace(BASE, **changes), BASE, role)
    assert caught.value.refusal is refusal


def test_report_data_is_no_binding_of_a_connection() -> None:
    both = replace(BASE, bindings=("report-data",))
    with pytest.raises(ProtocolError):
        agree(both, both, "client")


def test_long_lists_of_the_peer_do_not_fill_the_message() -> None:
    with pytest.raises(ProtocolError) as caught:
        agree(BASE, replace(BASE, versions=tuple(range(1000, 9000))), "client")
    assert len(str(caught.value)) < 200
