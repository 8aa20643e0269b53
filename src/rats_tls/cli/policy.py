"""`rats-tls policy`: make, check and describe Appraisal Policies; each larger command has a file of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from rats_tls.cli.file_appraiser import FileAppraiser
from rats_tls.cli.groups import examples, help_without_command
from rats_tls.cli.lookups import LookupOptions, lookup_options
from rats_tls.cli.options import (
    debug_option,
    endorsements_file_option,
    event_log_option,
    parse_time,
    trust_anchors_option,
)
from rats_tls.cli.policy_diff import diff
from rats_tls.cli.policy_lint import lint
from rats_tls.cli.policy_test import test
from rats_tls.cli.render import show_refusal
from rats_tls.cli.screen import Screen, Styled
from rats_tls.core.binding import Binding
from rats_tls.core.checks import Mismatch
from rats_tls.core.claims import CsvClaims, TeeClaims
from rats_tls.core.documents import to_json
from rats_tls.core.errors import ConfigurationError, NoEvidenceError, RatsTlsError
from rats_tls.core.evidence import BINDS_NOTHING, NAMES_BY_TEE, TeeType
from rats_tls.core.results import AttestationResult
from rats_tls.core.text import printable
from rats_tls.files import Presented, evidence_claims, load_evidence, load_policy, read_file
from rats_tls.policy import ANY, Entry, Facts, Policy, PolicyFileError, pinned_events, pinning_entry, policy_schema

_BINDINGS = (Binding.CERTIFICATE, Binding.SESSION, Binding.NONE)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=examples(
        "rats-tls policy from-evidence quote.bin > policy.toml",
        "rats-tls policy validate-file policy.toml",
        "rats-tls policy lint policy.toml",
        "rats-tls policy diff old.toml policy.toml",
        "rats-tls policy test policy.toml quote.bin",
        "rats-tls policy schema > policy.schema.json",
    ),
)
@debug_option
@click.pass_context
def policy(ctx: click.Context) -> None:
    """Make, check, compare and try out Appraisal Policies."""
    help_without_command(ctx)


for command in (diff, lint, test):
    policy.add_command(command)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pinned:
    """One file, with the entry that pins what it shows, and the result where it was verified."""

    path: Path
    claims: TeeClaims
    entry: Entry
    result: AttestationResult | None


@policy.command(
    "from-evidence",
    short_help="Write a policy that pins what Evidence shows.",
    epilog=examples(
        "rats-tls policy from-evidence quote.bin > policy.toml",
        "rats-tls policy from-evidence --verify --name server quote.bin \\",
        "    --endorsements-file collateral.json > policy.toml",
        "rats-tls policy from-evidence --verify --fetch report.bin > policy.toml",
    ),
)
@click.argument("evidence_files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@endorsements_file_option
@trust_anchors_option
@lookup_options
@click.option("--name", metavar="NAME", help="Name of the entry; the file's name without it.")
@click.option(
    "--binding",
    "bindings",
    multiple=True,
    type=click.Choice([binding.value for binding in _BINDINGS]),
    help="What may tie a peer's Evidence to it.  [default: certificate; none where Evidence can bind no key]",
)
@event_log_option
@click.option(
    "--require-events",
    "event_types",
    multiple=True,
    metavar="TYPE",
    help="Also require the log's events of this type, such as EV_IPL; with --verify.",
)
@click.option("--verify", is_flag=True, help="Verify the Evidence first; write nothing if it is refused.")
@click.option("--at", "at_time", metavar="TIME", help="Verify as of this time (RFC 3339) instead of now.")
@debug_option
def from_evidence(
    evidence_files: tuple[Path, ...],
    endorsements_files: tuple[Path, ...],
    trust_anchors: tuple[Path, ...],
    name: str | None,
    bindings: tuple[str, ...],
    event_log: Path | None,
    event_types: tuple[str, ...],
    verify: bool,
    at_time: str | None,
    **parameters: Any,  # noqa: ANN401  # click's
) -> None:
    """Write a policy that pins the code in each FILE to standard output.

    FILE is a quote, a report, or a certificate that carries one. Measurements, signer and versions are pinned; what
    has a strict default keeps it. Platforms are those that Intel calls up to date; of AMD, which publishes no such
    list, those whose TCB is not below the one shown.

    Without --verify the Evidence is taken at its word.
    """
    options = LookupOptions.taken_from(parameters)
    given = endorsements_files or trust_anchors or at_time or event_log or event_types or options.is_given
    if given and not verify:
        raise click.UsageError(
            "--endorsements-file, --trust-anchors, --event-log, --require-events, --at and what looks up Endorsements "
            "go with --verify"
        )
    now = parse_time(at_time)
    names = _entry_names(evidence_files, name)

    def judging(policy: Policy) -> FileAppraiser:
        return FileAppraiser.of(
            policy,
            options,
            trust_anchors=trust_anchors,
            endorsements_files=endorsements_files,
            now=now,
            explicit_time=at_time is not None,
        )

    made = [
        _pin(
            load_evidence(path, event_log=event_log),
            path,
            entry_name,
            [*map(Binding, bindings)],
            event_types,
            judging if verify else None,
        )
        for path, entry_name in zip(evidence_files, names, strict=True)
    ]
    text = Policy.of(*(pinned.entry for pinned in made)).to_toml()
    Screen().verbatim("".join(f"# {line}".rstrip() + "\n" for line in _header(made)) + text)


def _entry_names(paths: tuple[Path, ...], name: str | None) -> list[str]:
    names = [name if name is not None else printable(path.stem) for path in paths]
    return [
        f"{entry} {names[: number + 1].count(entry)}" if names.count(entry) > 1 else entry
        for number, entry in enumerate(names)
    ]


def _pin(
    presented: Presented,
    path: Path,
    name: str,
    bindings: list[Binding],
    event_types: tuple[str, ...],
    judging: Callable[[Policy], FileAppraiser] | None,
) -> _Pinned:
    claims = evidence_claims(presented)
    if claims is None:
        raise NoEvidenceError(f"{path}: the certificate carries no Evidence: there is nothing to pin")
    result = None
    if judging is not None:
        # Nobody presents this Evidence: it is bound to nothing, and may be of any age.
        masked = isinstance(claims, CsvClaims) and claims.report_version == 1
        of_v1: dict[str, Any] = {"allow_unproved_mask": True} if masked else {}
        bound = (Binding.NONE, Binding.CERTIFICATE)
        entry = pinning_entry(claims, name=name, bindings=bound, max_evidence_age=ANY, **of_v1)
        try:
            result = judging(Policy.of(entry)).judge(presented)
        except ConfigurationError:
            raise
        except RatsTlsError as error:
            screen = Screen(stderr=True)
            show_refusal(screen, error, title=path.name)
            screen.traceback(error)
            raise click.exceptions.Exit(int(error.refusal.exit_code)) from error
    written: dict[str, Any] = {}
    if event_types and result is not None:
        written["required_events"] = pinned_events(result.claims, event_types)
    entry = pinning_entry(claims, name=name, bindings=bindings or [_usual_binding(claims)], **written)
    return _Pinned(path=path, claims=claims, entry=entry, result=result)


def _usual_binding(claims: TeeClaims) -> Binding:
    return Binding.NONE if claims.tee_type in BINDS_NOTHING else Binding.CERTIFICATE


def _header(made: list[_Pinned]) -> list[str]:
    """Say what the policy pins and what that is worth; a line may be as long as a file's name."""
    lines = [
        "Pins the code that the Evidence below shows. Platforms: those that Intel calls up",
        "to date; of AMD's SEV-SNP, of which there is no such list, those at least at this TCB;",
        "of SEV and CSV any: no vendor says which are up to date.",
    ]
    if any(pinned.claims.tee_type is TeeType.SGX_LA for pinned in made):
        lines.append("Of local reports, which come with no vendor's word, those at this CPUSVN.")
    if all(pinned.result is None for pinned in made):
        lines += [
            "The Evidence was NOT VERIFIED: whoever made it may have written anything.",
            "Compare the values with what you built before you rely on them.",
        ]
    lines += ["Fields that are not written keep their strict defaults.", ""]
    for pinned in made:
        digest = hashlib.sha256(read_file(pinned.path)).hexdigest()
        lines.append(f"{pinned.entry.name}: {NAMES_BY_TEE[pinned.claims.tee_type].title}, {pinned.path}")
        lines.append(f"  SHA-256 {digest}")
        if pinned.result is not None:
            anchor = pinned.result.anchor
            root = f"{anchor.name} ({anchor.kind.value})" if anchor is not None else "no anchor"
            lines.append(f"  verified as of {pinned.result.judged_at:%Y-%m-%d %H:%M} UTC under {root}")
        if getattr(pinned.claims, "debug", False):
            lines.append("  a DEBUG TEE")
        found = _refusing(pinned)
        if found:
            lines.append("  this policy refuses it, unless the field is written:")
            lines += [f"    {each.field}: got {each.got}, expected {each.expected}" for each in found]
    lines.append("")
    return [printable(line) for line in lines]


def _refusing(pinned: _Pinned) -> tuple[Mismatch, ...]:
    """Give the strict defaults of an entry that do not take the very Evidence that it was made of."""
    binding = pinned.entry.bindings[0]
    facts = Facts(binding=binding, preamble=True, custom_claims={}, evidence_age="not-applicable", spki_sha256=None)
    found, _ = pinned.entry.mismatches(pinned.claims, facts, verified=False)
    return found


@policy.command(
    "validate-file",
    short_help="Check a policy file, and name all its problems.",
    epilog=examples("rats-tls policy validate-file policy.toml"),
)
@click.argument("policy_file", type=_FILE, metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@debug_option
def validate_file(policy_file: Path, as_json: bool) -> None:
    """Check that FILE is a policy: exit code 0 if it is, 1 if it is not.

    Of a good one digest and entries are printed, of another all problems, one a line, each with entry and field.
    """
    screen = Screen()
    try:
        good = load_policy(policy_file)
    except PolicyFileError as error:
        if as_json:
            problems = to_json(error.problems)
            screen.document({"file": str(policy_file), "valid": False, "problems": problems})
        else:
            for problem in error.problems:
                screen.line(str(problem))
        screen.traceback(error)
        raise click.exceptions.Exit(int(error.refusal.exit_code)) from error
    if as_json:
        screen.document(
            {
                "file": str(policy_file),
                "valid": True,
                "digest": good.digest.hex(),
                "policy": json.loads(good.canonical()),
            }
        )
        return
    screen.line(Styled(" valid ", "black on green"), " ", Styled(policy_file.name, "bold"))
    entries = [(f"entry {entry.name!r}", entry.tee.value) for entry in good.entries]
    screen.columns([("digest", good.digest.hex()), ("mode", good.mode.value), *entries])


@policy.command(
    short_help="Print the JSON Schema of policy files.",
    epilog=examples("rats-tls policy schema > policy.schema.json"),
)
@debug_option
def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of policy files, for editors and checkers of TOML."""
    Screen().verbatim(json.dumps(policy_schema(), indent=2) + "\n")
