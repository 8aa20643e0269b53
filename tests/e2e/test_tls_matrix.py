"""A part of the pairs of TLS wrappers; `make matrix` tries all of them, and writes their page."""

from __future__ import annotations

import pytest

from rats_tls.core.algorithms import KeyAlgorithm
from support.generated_pages import WRAPPERS_MARK, render_wrappers
from support.instances import UNAVAILABLE
from support.machine import lacking
from support.paths import REPOSITORY
from support.tls_matrix import LARGE, MATRIX_MARK, ORDINARY, PAGE, Case, cases, connect, render


def _part() -> list[Case]:
    """Each wrapper on either side of the default one, and against itself with the largest and with other keys."""
    return [
        case
        for case in cases()
        if (
            "openssl" in (case.client, case.server)
            and (case.key, case.size) == (KeyAlgorithm.EC_P256, ORDINARY)
            and case.tees[0] == "simulated_tdx_ecdsa"
        )
        or (
            case.client == case.server
            and case.key in (KeyAlgorithm.EC_P384, KeyAlgorithm.SM2)
            and case.size == LARGE
            and case.tees[0] == "simulated_sev_snp"
        )
    ]


@pytest.mark.parametrize("case", _part(), ids=str)
def test_a_pair(case: Case) -> None:
    connect(case)


def test_the_pages_are_of_what_is_declared() -> None:
    for why in UNAVAILABLE.values():
        lacking(why, install="what .ci/run installs")
    declared = (REPOSITORY / "docs/tls-and-crypto.md").read_text(encoding="utf-8")
    assert declared.partition(WRAPPERS_MARK)[0] + render_wrappers() == declared, "make docs"
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(MATRIX_MARK)[0] + render(set(cases())) == page, "make matrix ARGS=--write"
