"""What is said of the fields of one entry that accept too much."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any as Anything

from rats_tls.core.binding import Binding
from rats_tls.core.claims import TcbStatus
from rats_tls.core.evidence import TeeType
from rats_tls.policy.advice import Advice, Level
from rats_tls.policy.entry import DEFAULT_MAX_EVIDENCE_AGE, MEASUREMENT_ONLY, Entry, Identity, NullEntry
from rats_tls.policy.intel_entry import IntelEntry, TdxEntry
from rats_tls.policy.required_events import RequiredEvent
from rats_tls.policy.rules import default_of, is_required, rule_of
from rats_tls.policy.sev_entry import SevEntry
from rats_tls.policy.sgx_entry import SgxReportEntry
from rats_tls.policy.snp_entry import SnpEntry
from rats_tls.policy.values import ANY

_DAY = 86_400
_MONTH = 30 * _DAY
_LONGEST_VALIDITY = 397 * _DAY
"""Longer than any vendor's document or list is in date: those of a year are the longest, with some weeks to spare."""
_Said = tuple[Level, str, str]
"""Level, why it matters, what to write."""

_D, _W, _N = Level.DANGER, Level.WARNING, Level.NOTE
_PIN_TD = "the value of the trust domains that you deploy"
_PIN_SEV = "the value of the guests that you deploy"
_PIN_SNP = "the value of the guests that you deploy; zeros where the guest has no ID block"

_PIN_CSV = "the value of the guests that you deploy; zeros where they have none"
_BESIDES_EVENTS: _Said = (
    _N,
    "whatever is extended besides the required events is accepted",
    "the value, where everything in the register is known",
)
# Of each TEE the fields where "any" leaves something open that the vendor's own verdict does not close.
_ANY: Mapping[TeeType, Mapping[str, _Said]] = {
    TeeType.TDX_ECDSA: {
        "mr_td": (_W, "any firmware may measure what follows, and may lie about it", _PIN_TD),
        "rtmr0": (_N, "any configuration of the firmware is accepted", _PIN_TD),
        "rtmr1": (_W, "any boot loader and kernel are accepted", _PIN_TD),
        "rtmr2": (_W, "any kernel command line and initrd are accepted", _PIN_TD),
        "rtmr3": (_N, "whatever the running system extends is accepted", _PIN_TD),
        "mr_seam": (_N, "any TDX module that Intel signed is accepted", "the modules that you trust"),
        "min_tcb": (_N, "how old a platform may be is left to Intel's TCB status", "the versions of your platforms"),
    },
    TeeType.SGX_ECDSA: {
        "min_tcb": (_N, "how old a platform may be is left to Intel's TCB status", "the versions of your platforms"),
    },
    TeeType.SGX_LA: {
        "cpu_svn": (
            _W,
            "no vendor's TCB status comes with a local report: microcode with published holes is as good as the newest",
            "the CPUSVN of the machine at its newest microcode",
        ),
    },
    TeeType.SEV_SNP: {
        "measurement": (_D, "any guest is accepted: its firmware, kernel and programs are anybody's", _PIN_SNP),
        "min_tcb": (
            _W,
            "AMD has no TCB status: firmware with published holes is as good as the newest",
            "the versions of the oldest firmware that you trust",
        ),
        "host_data": (_N, "what the host bound to the guest is not looked at", _PIN_SNP),
        "id_key_digest": (_N, "any owner's ID block, or none, is accepted", _PIN_SNP),
        "author_key_digest": (_N, "any author's ID key, or none, is accepted", _PIN_SNP),
        "family_id": (_N, "the ID block may be of any family", _PIN_SNP),
        "image_id": (_N, "the ID block may be of any image", _PIN_SNP),
        "min_guest_svn": (_N, "every older version of the guest is accepted", "the version that you deploy"),
    },
    TeeType.SEV: {
        "launch_digest": (_D, "any guest is accepted: its firmware and what it loads are anybody's", _PIN_SEV),
    },
    TeeType.CSV: {
        "measurement": (_D, "any guest is accepted: its firmware, kernel and programs are anybody's", _PIN_CSV),
        "user_pubkey_digest": (_N, "any owner's guest, or a guest without one, is accepted", _PIN_CSV),
        "vm_id": (_N, "the guest may have any id", _PIN_CSV),
        "vm_version": (_N, "the guest may be of any version", _PIN_CSV),
        "host_data": (_N, "what the host bound to the guest is not looked at", _PIN_CSV),
        "rtmr0": (_N, "what is measured into RTMR0 is not looked at", _PIN_CSV),
        "rtmr1": (_N, "any configuration of the firmware is accepted", _PIN_CSV),
        "rtmr2": (_N, "any boot loader and kernel that the initial memory loads are accepted", _PIN_CSV),
        "rtmr3": (_N, "any kernel command line and initrd are accepted", _PIN_CSV),
        "rtmr4": (_N, "whatever the running system extends is accepted", _PIN_CSV),
    },
}

# Fields with a strict default: why a value that accepts more than the default matters.
_LEAVE_OUT = "leave it out"
_WIDER: Mapping[str, tuple[Level, str]] = {
    "allow_debug": (_D, "whoever runs the machine reads and changes the memory of a debug TEE: nothing is protected"),
    "revocation": (_W, "a machine that its vendor revoked is accepted as long as no list names it here"),
    "preamble": (_W, "peers are served that cannot say whether they accepted this side"),
    "require_sept_ve_disable": (_W, "the host can inject exceptions by removing pages"),
    "allow_migratable": (_W, "the trust domain can be moved to a machine that nobody judged"),
    "allow_migration_agent": (_W, "a migration agent can move the guest to a machine that nobody judged"),
    "allow_key_sharing": (_W, "guests that share a key read each other's memory"),
    "allow_plain_registers": (_W, "the host reads and changes the guest's registers, and with them what it computes"),
    "allow_send": (_W, "the host can send the guest to a machine that nobody judged"),
    "allow_send_outside_domain": (_W, "the host can send the guest to a machine of another owner"),
    "allow_send_outside_sev": (_W, "the host can send the guest to a machine that encrypts no memory"),
    "allow_asid_reuse": (_W, "what runs later under the same ASID may meet what the guest left in caches"),
    "allow_unproved_mask": (_D, "what a report of version 1 says, the policy bits too, may be anybody's choice"),
    "allow_provisional_firmware": (_W, "the host can put back the older firmware, and with it its holes"),
    "vmpl": (_W, "software in the guest below its highest privilege level can ask for such a report"),
    "min_report_version": (_W, "reports before version 3 do not name their processor"),
    "csp_ids": (_W, "a cloud provider's key, which is no chip's, signs for machines that it may choose"),
    "config_id": (_W, "what is loaded into the enclave after its measurement is part of what it runs"),
    "mr_service_td": (_W, "a service trust domain has a say in what the trust domain does"),
    "allowed_attributes": (_W, "an enclave may hold keys for provisioning or launch, or attributes nobody knows yet"),
}

_STATUS: Mapping[TcbStatus, _Said] = {
    TcbStatus.SW_HARDENING_NEEDED: (_N, "the code itself must work around a hole of the processor", "UpToDate alone"),
    TcbStatus.CONFIGURATION_NEEDED: (_N, "the platform's configuration may leave a hole open", "UpToDate alone"),
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: (
        _N,
        "the platform's configuration or the code itself may leave a hole open",
        "UpToDate alone",
    ),
}
_OLD_STATUS: _Said = (
    _W,
    "the platform lacks updates that its vendor has published, and with them known holes are open",
    "UpToDate, and update the platforms",
)


def entry_advice(entry: Entry, simulated: Collection[bytes | str]) -> Iterator[Advice]:
    """Say what one entry accepts too much; `simulated` are values that only simulated TEEs show."""
    if isinstance(entry, NullEntry):
        yield _advice(
            entry, "", (_D, "it accepts peers without Evidence: nothing about them is proved", "no such entry")
        )
    else:
        yield from _code(entry)
        yield from _identity(entry)
        yield from _binding(entry)
        yield from _age(entry)
        yield from _endorsement_age(entry)
    yield from _grace(entry)
    yield from _wider(entry)
    if isinstance(entry, IntelEntry):
        yield from _statuses(entry)
    yield from _events(entry)
    yield from _never(entry)
    yield from _simulated(entry, simulated)


def _advice(entry: Entry, field: str, said: _Said) -> Advice:
    level, why, write = said
    return Advice(level=level, entry=entry.name, field=field, why=why, write=write)


def _code(entry: Entry) -> Iterator[Advice]:
    """Which code is accepted, and on which platforms."""
    if isinstance(entry, SgxReportEntry) and entry.mr_enclave is ANY:
        if entry.mr_signer is ANY:
            said = (_D, "any enclave of anybody is accepted", "mr_enclave, or mr_signer with isv_prod_id")
        else:
            said = (
                _N,
                "every enclave of the signer with that product and version is accepted: it must sign no other",
                "the MRENCLAVE of each release, where the signer's releases are not all trusted",
            )
        yield _advice(entry, "mr_enclave", said)
    table = _ANY.get(entry.tee, {})
    if isinstance(entry, TdxEntry) and all(getattr(entry, name) is ANY for name in ("mr_td", "rtmr1", "rtmr2")):
        said = (_D, "any trust domain is accepted: firmware, kernel and programs are anybody's", _PIN_TD)
        yield _advice(entry, "mr_td", said)
        table = {name: said for name, said in table.items() if name not in {"mr_td", "rtmr0", "rtmr1", "rtmr2"}}
    proved = {event.register for event in _required_events(entry) if event.is_proved}
    for name, said in table.items():
        if _leaves_open(getattr(entry, name)):
            yield _advice(entry, name, _BESIDES_EVENTS if name in proved else said)


def _required_events(entry: Entry) -> tuple[RequiredEvent, ...]:
    return getattr(entry, "required_events", ())


def _leaves_open(value: Anything) -> bool:
    """Whether a value is "any", or a table of lowest versions that are all 0."""
    if not is_dataclass(value):
        return value is ANY
    lowest = [getattr(value, declared.name) for declared in fields(value)]
    return not any(any(item) if isinstance(item, tuple) else item for item in lowest)


def _identity(entry: Entry) -> Iterator[Advice]:
    if entry.identity == MEASUREMENT_ONLY:
        why = "any machine may run the code, one in the hands of an attacker too"
        yield _advice(entry, "identity", (_N, why, "spki_sha256 or hardware_ids, where the machines are known"))


def _binding(entry: Entry) -> Iterator[Advice]:
    if isinstance(entry, SevEntry):
        why = "nothing ties such Evidence to its peer: whoever has seen it can show it, of any age"
        yield _advice(entry, "bindings", (_W, why, "entries of TEEs whose Evidence binds a key"))
    elif Binding.NONE in entry.bindings:
        why = "Evidence is not tied to its peer: whoever has seen it can show it"
        yield _advice(entry, "bindings", (_W, why, '["certificate"]; "none" is for Evidence in files'))
    if entry.bindings == (Binding.SESSION,):
        why = "no peer speaks it yet: the entry accepts nobody"
        yield _advice(entry, "bindings", (_W, why, '["certificate"], or both'))


def _age(entry: Entry) -> Iterator[Advice]:
    if "max_evidence_age" in entry.unavoidable:
        return
    age = entry.max_evidence_age
    if age is ANY:
        why = "Evidence of any age is accepted: what it shows may long have ended"
        yield _advice(entry, "max_evidence_age", (_W, why, "seconds; peers without issued-at need the word"))
    elif age > DEFAULT_MAX_EVIDENCE_AGE:
        level = _W if age > _DAY else _N
        why = f"Evidence may be {_duration(age)} old: what it shows may have ended"
        yield _advice(entry, "max_evidence_age", (level, why, f"{DEFAULT_MAX_EVIDENCE_AGE}, or leave it out"))


def _grace(entry: Entry) -> Iterator[Advice]:
    if entry.endorsement_grace:
        level = _W if entry.endorsement_grace > 7 * _DAY else _N
        why = f"what was revoked or corrected in the last {_duration(entry.endorsement_grace)} may not be known"
        if entry.endorsement_grace > _MONTH:
            why += ": that is longer than Intel's documents and lists are in date at all"
        yield _advice(entry, "endorsement_grace", (level, why, f"{_LEAVE_OUT}: 0; renew Endorsements before their end"))


def _endorsement_age(entry: Entry) -> Iterator[Advice]:
    age = entry.max_endorsement_age
    if age is not ANY and age > _LONGEST_VALIDITY + entry.endorsement_grace:
        why = f"without effect, as if left out: no document or list is in date for {_duration(age)}"
        yield _advice(entry, "max_endorsement_age", (_W, why, f"{7 * _DAY}, or leave it out"))
    elif age is ANY and entry.endorsement_grace > _MONTH:
        why = "Endorsements of any age are accepted that the grace lets pass"
        yield _advice(entry, "max_endorsement_age", (_W, why, "the largest age that you take, in seconds"))


_ELSEWHERE = frozenset({"max_evidence_age", "endorsement_grace", "max_endorsement_age", "tcb_statuses", "advisories"})


def _wider(entry: Entry) -> Iterator[Advice]:
    """Fields that accept more than their strict default."""
    for declared in fields(entry):
        if is_required(declared) or declared.name in _ELSEWHERE | entry.unavoidable:
            continue
        rule, default = rule_of(declared), default_of(declared)
        if rule.covers(default, getattr(entry, declared.name)):
            continue
        written = rule.form.dump(default)
        why = f"accepts more than the strict default. {rule.meaning}"
        level, why = _WIDER.get(declared.name, (_W, why))
        short = str(written).lower() if isinstance(written, bool) else str(written)
        write = f"{_LEAVE_OUT}: {short}" if len(short) <= 40 else _LEAVE_OUT
        yield _advice(entry, declared.name, (level, why, write))


def _statuses(entry: IntelEntry) -> Iterator[Advice]:
    others = [status for status in entry.tcb_statuses if status is not TcbStatus.UP_TO_DATE]
    for status in others:
        level, why, write = _STATUS.get(status, _OLD_STATUS)
        yield _advice(entry, "tcb_statuses", (level, f"{status.value}: {why}", write))
    if entry.advisories and not others:
        why = "no status is accepted that needs them: they have no effect"
        yield _advice(entry, "advisories", (_N, why, _LEAVE_OUT))


def _events(entry: Entry) -> Iterator[Advice]:
    """Requirements of events that a log can meet with words alone: no digest covers type and name of most events."""
    for required in _required_events(entry):
        if required.is_proved:
            continue
        about = f"{required.register} {required.type}" + (f" {required.name!r}" if required.name is not None else "")
        why = f"{about}: any digest meets it, and what a log calls an event is not measured"
        yield _advice(entry, "required_events", (_W, why, "digest, or data, of the event that you expect"))


def _never(entry: Entry) -> Iterator[Advice]:
    """Conditions that no TEE can meet, because another one excludes them."""
    for required, allowed, elsewhere in (
        ("required_attributes", "allowed_attributes", 0x2 if getattr(entry, "allow_debug", False) else 0),
        ("required_td_attributes", "allowed_td_attributes", 0x2000_00FF),
        ("required_policy_bits", "allowed_policy_bits", 0x2D_FFFF),
        ("required_platform_info", "allowed_platform_info", 0),
    ):
        if not hasattr(entry, required):
            continue
        outside = getattr(entry, required) & ~getattr(entry, allowed) & ~elsewhere
        if outside:
            why = f"bits {outside:#x} must be set here and may not by {allowed}: the entry accepts nobody"
            yield _advice(entry, required, (_W, why, f"the same bits in {allowed}"))
    if isinstance(entry, TdxEntry) and entry.require_sept_ve_disable and not entry.allowed_td_attributes >> 28 & 1:
        why = "SEPT_VE_DISABLE may not be set and must be by require_sept_ve_disable: the entry accepts nobody"
        yield _advice(entry, "allowed_td_attributes", (_W, why, "0x10000000 among them"))
    if isinstance(entry, SnpEntry) and entry.csp_ids and "VLEK" not in entry.signing_keys:
        why = "no VLEK may sign: they have no effect"
        yield _advice(entry, "csp_ids", (_N, why, 'signing_keys with "VLEK", or leave csp_ids out'))


def _simulated(entry: Entry, simulated: Collection[bytes | str]) -> Iterator[Advice]:
    for declared in fields(entry):
        value: Anything = getattr(entry, declared.name)
        if isinstance(value, Identity):
            value = value.hardware_ids
        if isinstance(value, tuple) and any(item in simulated for item in value if isinstance(item, bytes | str)):
            why = "a value of a simulated TEE: no genuine one has it"
            yield _advice(entry, declared.name, (_W, why, "the value of what you deploy"))


def _duration(seconds: int) -> str:
    for size, unit in ((_DAY, "days"), (3600, "hours")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
