"""`docs/policy.md` says what the fields of the entries say, and its example is a policy."""

from __future__ import annotations

import re

from rats_tls.core.evidence import TeeType
from rats_tls.policy import Policy
from support.generated_pages import POLICY_MARK, render_policy
from support.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "policy.md").read_text(encoding="utf-8")


def test_tables_are_those_of_the_fields() -> None:
    head, mark, tables = PAGE.partition(POLICY_MARK)
    assert head
    assert mark + tables == render_policy(), "docs/policy.md: run `make docs`"


def test_example_is_a_policy() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    policy = Policy.from_toml(example)
    assert policy.tee_types == {TeeType.SGX_ECDSA, TeeType.SEV_SNP}
    assert Policy.from_toml(policy.to_toml()).digest == policy.digest
