"""Judges Evidence from files as the options of a command say, with look-up of what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rats_tls.appraisal import Appraiser
from rats_tls.appraisers import make_appraiser
from rats_tls.cli.lookups import LookupOptions
from rats_tls.cli.screen import Screen
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.evidence import TeeType
from rats_tls.core.floors import NO_FLOORS
from rats_tls.core.interfaces import Verifier
from rats_tls.core.results import AttestationResult
from rats_tls.endorsements.service import EndorsementService
from rats_tls.files import Presented, load_endorsements, load_trust_anchors
from rats_tls.lookups import Lookups
from rats_tls.policy import Policy
from rats_tls.registry import crypto_wrapper


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAppraiser:
    """Judges Evidence from files as of one time.

    Attributes:
        appraiser: applies the policy.
        lookups: finds what an appraisal misses; None where nothing is looked up.
        now: time of judgement.
    """

    appraiser: Appraiser
    lookups: Lookups | None
    now: datetime

    @classmethod
    def of(
        cls,
        policy: Policy,
        options: LookupOptions,
        *,
        verifiers: Mapping[TeeType, Verifier] | None = None,
        crypto_name: str = "openssl",
        trust_anchors: tuple[Path, ...],
        endorsements_files: tuple[Path, ...],
        now: datetime,
        explicit_time: bool,
    ) -> FileAppraiser:
        """Make it of a command's options.

        Args:
            policy: what is accepted.
            options: where missing Endorsements are looked up.
            verifiers: by TEE type; the built-in ones by default.
            crypto_name: of the crypto wrapper.
            trust_anchors: files of `--trust-anchors`.
            endorsements_files: files of `--endorsements-file`.
            now: time of judgement.
            explicit_time: whether the user says it: nothing that was seen before counts, and nothing is kept.

        Raises:
            RatsTlsError: options or files that cannot be used.
            click.UsageError: options that do not go together.
        """
        crypto = crypto_wrapper(crypto_name)
        endorsements = options.endorsements(load_endorsements(*endorsements_files), of_peers=False)
        service = endorsements if isinstance(endorsements, EndorsementService) else None
        appraiser = make_appraiser(
            policy,
            verifiers=verifiers,
            trust_anchors=load_trust_anchors(*trust_anchors, now=now),
            crypto=crypto,
            endorsements=endorsements.local if isinstance(endorsements, EndorsementService) else endorsements,
        )
        lookups = Lookups(service, appraiser.anchors, crypto, explicit_time=explicit_time) if service else None
        return cls(appraiser=appraiser, lookups=lookups, now=now)

    def judge(
        self, presented: Presented, *, expected_report_data: bytes | None = None, possession_proved: bool = False
    ) -> AttestationResult:
        """Judge what a file holds.

        Args:
            presented: Evidence, or a certificate.
            expected_report_data: the 64 bytes that bare Evidence must carry; None judges it as bound to nothing.
            possession_proved: whether the peer of a certificate is taken to have proved that it holds its key.

        Raises:
            RatsTlsError: a refusal.
        """
        evidence, certificate = presented.evidence, presented.certificate or b""
        floors = self.lookups.floors if self.lookups is not None else NO_FLOORS

        def judge(more: tuple[Endorsement, ...]) -> AttestationResult:
            if evidence is not None:
                return self.appraiser.appraise_evidence(
                    evidence,
                    now=self.now,
                    expected_report_data=expected_report_data,
                    peer_endorsements=more,
                    floors=floors,
                )
            return self.appraiser.appraise_certificate(
                certificate,
                now=self.now,
                possession_proved=possession_proved,
                peer_endorsements=more,
                floors=floors,
            )

        if self.lookups is None:
            return judge(())
        with Screen(stderr=True).status("looking up Endorsements"):
            return self.lookups.judge(evidence.data if evidence is not None else certificate, judge, self.now)
