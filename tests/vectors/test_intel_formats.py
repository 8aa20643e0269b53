"""Real quotes and responses of Intel's service: every byte is read, and read as what it is."""

from __future__ import annotations

import json

import pytest

from rats_tls.formats.intel.collateral import endorsements_from_json
from rats_tls.formats.intel.quote import Quote
from support.intel import PHALA_SGX, PHALA_TDX, QUOTES, SPR_E4, bundle_bytes, load, verifier_of, written_again
from support.paths import VECTORS

# Its certificates are not PEM: `tests/vectors/test_tdx_ecdsa.py` has it refused.
QUOTES_THAT_DECODE = [name for name in QUOTES if name != "tdx_ecdsa/intel-qvl-sample-testroot"]


@pytest.mark.parametrize("vector_id", QUOTES_THAT_DECODE)
def test_every_byte_of_a_quote_is_accounted_for(vector_id: str) -> None:
    data = load(vector_id).evidence.data
    quote = Quote.from_bytes(data)
    assert written_again(quote) == data[: len(data) - quote.trailing]


def test_full_responses_are_read_as_their_signed_values() -> None:
    folder = VECTORS / SPR_E4
    bundle = json.loads(bundle_bytes(SPR_E4))
    responses = bundle | {
        "tcb_info": (folder / "sample_tcbInfo_response").read_text(),
        "qe_identity": (folder / "sample_qeIdentity_response").read_text(),
    }
    del responses["tcb_info_signature"], responses["qe_identity_signature"]
    expected = endorsements_from_json(json.dumps(bundle).encode())
    assert endorsements_from_json(json.dumps(responses).encode()) == expected


@pytest.mark.parametrize(("vector_id", "issuer"), [(PHALA_SGX, "Processor"), (PHALA_TDX, "Platform")])
def test_names_in_intels_chains(vector_id: str, issuer: str) -> None:
    vector = load(vector_id)
    chain = verifier_of(vector).decode(vector.evidence).structure.chain
    names = [certificate.subject.common_name for certificate in (chain.leaf, *chain.issuers)]
    assert names == ["Intel SGX PCK Certificate", f"Intel SGX PCK {issuer} CA", "Intel SGX Root CA"]
