"""An AttestationResult comes from an appraisal or not at all."""

from __future__ import annotations

import ast
import copy
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rats_tls.core import results
from rats_tls.core.binding import Binding
from rats_tls.core.checks import Check, Stage, Verdict
from rats_tls.core.claims import NullClaims
from rats_tls.core.evidence import TeeType
from rats_tls.core.results import AttestationResult
from support.paths import REPOSITORY
from support.repository import name, text, tracked

VALUES: dict[str, object] = {
    "submodules": {"null": NullClaims()},
    "binding": Binding.NONE,
    "binding_note": "",
    "custom_claims": {},
    "issued_at": None,
    "judged_at": datetime(2026, 1, 1, tzinfo=UTC),
    "certificate_sha256": None,
    "spki_sha256": None,
    "endorsements": (),
    "valid_from": None,
    "valid_until": None,
    "anchor": None,
    "policy_digest": bytes(32),
    "policy_entry": "entry",
    "crypto": "openssl",
    "checks": (
        Check(id="a", stage=Stage.DECODE, source="s"),
        Check(id="b", stage=Stage.TCB, source="s", verdict=Verdict.NOT_CHECKED, note="why"),
    ),
}


def sealed() -> AttestationResult:
    return AttestationResult(**VALUES, seal=results._APPRAISAL_SEAL)


@pytest.mark.parametrize("seal", [None, True, object(), "seal"])
def test_without_the_seal_there_is_no_result(seal: object) -> None:
    with pytest.raises(TypeError, match=r"made only by rats_tls\.appraisal"):
        AttestationResult(**VALUES, seal=seal)
    with pytest.raises(TypeError, match="seal"):
        AttestationResult(**VALUES)


def test_a_result_cannot_be_changed_in_place() -> None:
    result = sealed()
    with pytest.raises(AttributeError):
        result.policy_entry = "other"


def test_a_result_can_be_copied_with_changes_only_under_the_seal() -> None:
    """`replace` runs the check too; it works where the original was sealed."""
    assert replace(sealed(), policy_entry="other").policy_entry == "other"
    with pytest.raises(TypeError, match=r"made only by rats_tls\.appraisal"):
        replace(sealed(), seal=object())


def test_what_a_result_says() -> None:
    result = sealed()
    assert result.verdict == "accepted"
    assert result.claims == NullClaims()
    assert result.tee_type is TeeType.NULL
    assert [check.id for check in result.not_checked] == ["b"]
    assert "seal" not in repr(result)
    assert str(result) == "null accepted by entry 'entry', bound by none, nothing proved"
    assert copy.copy(result) == result


def test_only_the_appraisal_holds_the_seal() -> None:
    users = {
        name(path)
        for path in tracked()
        if path.suffix == ".py" and path.is_relative_to(REPOSITORY / "src")
        for node in ast.walk(ast.parse(text(path)))
        if (isinstance(node, ast.Name) and node.id == "_APPRAISAL_SEAL")
        or (isinstance(node, ast.Attribute) and node.attr == "_APPRAISAL_SEAL")
    }
    assert {user.removeprefix("src/rats_tls/").split("/")[0].removesuffix(".py") for user in users} == {
        "appraisal",
        "core",
    }
