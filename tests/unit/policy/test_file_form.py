"""The file form: what is read, what is refused, and that every problem of a file is named at once."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.claims import TcbStatus
from rats_tls.core.errors import ConfigurationError
from rats_tls.policy import (
    ANY,
    EntryError,
    Identity,
    NullEntry,
    Policy,
    PolicyFileError,
    SgxEntry,
    SnpEntry,
    SnpMinimumTcb,
    TdxEntry,
)
from support.claims import SGX, SNP, TDX
from support.policies import pinning_entry

NULL_ENTRY = 'name = "n"\ntee = "null"\nbindings = "none"\nidentity = "measurement-only"\n'


def policy_text(body: str) -> str:
    return f"version = 1\n[[entry]]\n{body}"


def refusal(text: str | bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Policy.from_toml(text, where="peers.toml")
    message = caught.value.message
    assert message.startswith("peers.toml: ")
    assert "\n" not in message
    return message.removeprefix("peers.toml: ")


def test_reads_every_kind_of_entry() -> None:
    policy = Policy.from_toml(
        f"""
        version = 1

        [[entry]]
        name = "enclave"
        tee = "sgx_ecdsa"
        bindings = ["certificate", "session"]
        identity = {{ spki_sha256 = "{"0A" * 32}", hardware_ids = ["{"0b" * 16}"] }}
        mr_enclave = ["{"a1" * 32}", "{"a2" * 32}"]
        mr_signer = "any"
        isv_prod_id = 7
        min_isv_svn = 3
        tcb_statuses = ["UpToDate", "SWHardeningNeeded"]
        advisories = ["INTEL-SA-00615"]
        allowed_attributes = "0xC5"
        max_evidence_age = "any"

        [entry.min_tcb]
        sgx_components = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
        pce_svn = 11

        [entry.custom_claims]
        role = {{ text = "serveur à Paris" }}
        "shard number" = "0102"

        [[entry]]
        name = "guest"
        tee = "sev_snp"
        bindings = "certificate"
        identity = "measurement-only"
        measurement = "{"c1" * 48}"
        host_data = "any"
        id_key_digest = "any"
        author_key_digest = "any"
        family_id = "any"
        image_id = "any"
        min_guest_svn = "any"
        min_tcb = {{ bootloader = 10, tee = 0, snp = 23, microcode = 84 }}
        vmpl = 1

        [[entry]]
        name = "nobody"
        tee = "null"
        bindings = ["none"]
        identity = "measurement-only"
        preamble = "optional"
        revocation = "not-checked"
        """
    )
    enclave, guest, nobody = policy.entries
    assert isinstance(enclave, SgxEntry)
    assert enclave.bindings == (Binding.CERTIFICATE, Binding.SESSION)
    assert enclave.identity == Identity(spki_sha256=(bytes([10] * 32),), hardware_ids=(bytes([11] * 16),))
    assert enclave.mr_enclave == (bytes([0xA1] * 32), bytes([0xA2] * 32))
    assert (enclave.mr_signer, enclave.isv_prod_id, enclave.min_isv_svn) == (ANY, (7,), 3)
    assert enclave.tcb_statuses == (TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED)
    assert (enclave.allowed_attributes, enclave.max_evidence_age) == (0xC5, ANY)
    assert enclave.min_tcb is not ANY
    assert enclave.min_tcb.sgx_components == tuple(range(1, 17))
    assert enclave.custom_claims == (("role", "serveur à Paris".encode()), ("shard number", b"\x01\x02"))
    assert isinstance(guest, SnpEntry)
    assert guest.min_tcb == SnpMinimumTcb(bootloader=10, tee=0, snp=23, microcode=84)
    assert (guest.vmpl, guest.min_report_version) == ((1,), 3)
    assert isinstance(nobody, NullEntry)
    assert (nobody.preamble, nobody.revocation) == ("optional", "not-checked")
    assert Policy.from_toml(policy.to_toml()) == policy


def test_missing_fields_are_named_all_at_once() -> None:
    message = refusal(policy_text('name = "td"\ntee = "tdx_ecdsa"'))
    for field in ("bindings", "identity", "mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_seam", "min_tcb"):
        assert f"entry 'td'.{field}: not written; it has no default: write " in message
    assert message.count("not written") == 9


@pytest.mark.parametrize(
    ("entry", "mandatory"),
    [
        (SgxEntry, {"mr_enclave", "mr_signer", "isv_prod_id", "min_isv_svn", "min_tcb"}),
        (TdxEntry, {"mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_seam", "min_tcb"}),
        (
            SnpEntry,
            {
                *("measurement", "host_data", "id_key_digest", "author_key_digest", "family_id", "image_id"),
                *("min_guest_svn", "min_tcb"),
            },
        ),
        (NullEntry, set()),
    ],
)
def test_fields_without_a_strict_default_must_be_written(entry: type, mandatory: set[str]) -> None:
    message = refusal(policy_text(f'tee = "{entry.tee}"'))
    named = {part.split(":")[0].partition(".")[2] for part in message.split("; ") if "entry 1." in part}
    assert named == mandatory | {"name", "bindings", "identity"}


def test_every_problem_of_a_file_is_in_one_message() -> None:
    message = refusal(
        f"""
        version = 2
        strict = true

        [[entry]]
        {NULL_ENTRY}
        max_evidence_age = 0
        premble = "optional"

        [[entry]]
        {NULL_ENTRY}
        [[entry]]
        name = "x"
        tee = "sgx"
        """
    )
    assert message.split("; ") == [
        "strict: unknown key",
        "version: got 2, expected 1",
        "entry 'n'.premble: unknown key, did you mean 'preamble'?",
        "entry 'n'.max_evidence_age: got 0, expected an integer from 1 to 4294967295, or \"any\"",
        "entry 'x'.tee: got 'sgx', expected one of 'sgx_ecdsa', 'tdx_ecdsa', 'sgx_la', 'sev_snp', 'sev', 'csv', 'null'",
        "entry 'n': name used by 2 entries, expected one",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "version: got None, expected 1; entry: got none, expected at least one [[entry]] table"),
        ("version = 1", "entry: got none, expected at least one [[entry]] table"),
        ("version = 1\nentry = []", "entry: got [], expected at least one [[entry]] table"),
        ("version = 1\nentry = [1]", "entry: got [1], expected"),
        ("version = 1\n[entry]\n" + NULL_ENTRY, "entry: got [entry], expected"),
        (policy_text(NULL_ENTRY).replace("= 1", "= true"), "version: got True, expected 1"),
        (policy_text(NULL_ENTRY).replace("= 1", "= 1.0"), "version: got 1.0, expected 1"),
        (policy_text(NULL_ENTRY).replace("= 1", "= '1'"), "version: got '1', expected 1"),
        (policy_text('name = "n"'), "entry 'n'.tee: got None, expected one of"),
        (policy_text("name = 7\ntee = 'null'\nbindings = 'none'\nidentity = 'x'"), "entry 1.name: got 7, expected"),
        (policy_text(NULL_ENTRY + '"mr\\nenclave" = 1'), "'mr\\nenclave': unknown key"),
        (policy_text(NULL_ENTRY + f"{'k' * 5000} = 1"), "unknown key"),
        ("version = ", "not TOML: "),
        (b"version = 1\nname = '\xff'", "not TOML: "),
        ("version = 1" + "0" * 5000, "not TOML: "),
        ("version = 0x" + "f" * 6000, "version: got a number too long to show, expected 1"),
        ("a = " + "[" * 20_000, "not TOML: "),
        (policy_text(NULL_ENTRY.replace('"none"', "." .join(["{a"]) + " = 1}")), "bindings: got {'a': 1}"),
        (policy_text(NULL_ENTRY) + "x" + ".x" * 3000 + " = 1", "unknown key"),
        (policy_text(NULL_ENTRY) + "preamble" + ".x" * 3000 + " = 1", "entry 'n'.preamble: got "),
        ("#" * (1024 * 1024 + 1), "larger than 1048576 bytes"),
        (policy_text(NULL_ENTRY) + ("[[entry]]\n" + NULL_ENTRY) * 256, "entry: got 257, at most 256 are read"),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused(text: str | bytes, said: str) -> None:
    assert said in refusal(text)
    assert len(refusal(text)) < 2000


def test_every_wrong_part_of_a_value_is_named() -> None:
    text = Policy.of(pinning_entry(SGX)).to_toml()
    for field, value, said in (
        ("mr_signer", '["00", 5, "zz"]', ("got '00'", "got 5", "got 'zz'")),
        ("isv_prod_id", '[1, "a", -4]', ("got 'a'", "got -4")),
        ("min_tcb", '{ pce_svn = "x", sgx_components = [1, 2] }', ("pce_svn: got 'x'", "sgx_components: got [1, 2]")),
        ("identity", '{ spki_sha256 = ["00"], hardware_ids = ["zz"] }', ("spki_sha256: got '00'", "hardware_ids: got")),
    ):
        kept = [line for line in text.splitlines() if not line.startswith(f"{field} ")]
        message = refusal("\n".join([*kept, f"{field} = {value}"]))
        assert all(part in message for part in said), message


def test_a_custom_claim_says_both_of_its_forms() -> None:
    assert '{ text = "..." }' in refusal(policy_text(NULL_ENTRY + 'custom_claims = { role = "client!" }'))


def test_contradictions_name_entry_and_field() -> None:
    text = Policy.of(pinning_entry(SGX)).to_toml()
    changed = "\n".join(
        'mr_enclave = "any"'
        if line.startswith("mr_enclave")
        else line.replace("isv_prod_id = [7]", 'isv_prod_id = "any"')
        for line in text.splitlines()
    )
    assert refusal(changed).startswith("entry 'pinned'.isv_prod_id: got \"any\", expected a value")


def test_from_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    policy = Policy.of(pinning_entry(SGX), pinning_entry(TDX, name="td"), pinning_entry(SNP, name="vm"))
    path.write_text(policy.to_toml(), encoding="utf-8")
    assert Policy.from_file(path) == policy
    assert Policy.from_file(str(path)).digest == policy.digest
    path.write_text("version = 3", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"policy\.toml: version: got 3"):
        Policy.from_file(path)
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationError, match=r"policy\.toml: larger than"):
        Policy.from_file(path)
    for absent in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(
            ConfigurationError, match="absent.toml: No such file" if absent != tmp_path else "directory"
        ):
            Policy.from_file(absent)


def test_defaults_are_not_written_to_the_file() -> None:
    assert Policy.of(pinning_entry(SGX)).to_toml().splitlines() == [
        "version = 1",
        "",
        "[[entry]]",
        'name = "pinned"',
        'tee = "sgx_ecdsa"',
        'bindings = ["none", "certificate"]',
        'identity = "measurement-only"',
        f'mr_enclave = ["{"a1" * 32}"]',
        f'mr_signer = ["{"a2" * 32}"]',
        "isv_prod_id = [7]",
        "min_isv_svn = 3",
        'min_tcb = "any"',
    ]


def test_texts_survive_the_file() -> None:
    entry = pinning_entry(
        SGX, name='a "quoted" \\ näme \U0001f512', custom_claims={'k "\\ \U0001f512': {"text": "välue"}}
    )
    assert Policy.from_toml(Policy.of(entry).to_toml()).entries == (entry,)


def test_problems_have_their_place() -> None:
    """And survive being sent to another process."""
    with pytest.raises(PolicyFileError) as caught:
        Policy.from_toml('version = 1\n[[entry]]\nname = "a: b"\ntee = "null"\nbindings = 1\n', where="p.toml")
    error = caught.value
    assert [(problem.entry, problem.field) for problem in error.problems] == [
        ("entry 'a: b'", "identity"),
        ("entry 'a: b'", "bindings"),
    ]
    assert error.message == "p.toml: " + "; ".join(map(str, error.problems))
    again = pickle.loads(pickle.dumps(error))
    assert (again.where, again.problems, again.message) == (error.where, error.problems, error.message)
    with pytest.raises(EntryError) as made:
        NullEntry(name="", bindings="none", identity="machine")
    assert [problem.partition(":")[0] for problem in made.value.problems] == ["name", "identity"]
    assert pickle.loads(pickle.dumps(made.value)).problems == made.value.problems
