"""Relying parties that look Endorsements up at simulated vendors' services; each judgement is by a new one."""

from __future__ import annotations

from typing import Any, Literal

from rats_tls.channel import AppraisalNeeded
from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.binding import Binding
from rats_tls.core.interfaces import Attester
from rats_tls.core.limits import FetchLimits
from rats_tls.core.results import AttestationResult
from rats_tls.core.tls import TlsFacts
from rats_tls.endorsements.amd_kds import AmdKds
from rats_tls.endorsements.amd_sev import AmdSevSigners
from rats_tls.endorsements.budget import FetchBudget, Rate
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.http import HttpsClient, host_of
from rats_tls.endorsements.hygon_certs import HygonCerts
from rats_tls.endorsements.intel_pcs import Pccs
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.source import EndorsementSource
from rats_tls.endorsements.store import EndorsementStore
from rats_tls.policy import Policy
from rats_tls.simulation.services.server import WebService
from rats_tls.simulation.services.vendors import SimulatedServices
from support.judged import presented
from support.sides import Clock, attester, context, policy_for
from support.simulated import NOW

ONCE = FetchLimits(attempts=1)
TLS = TlsFacts(version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", group="", hash=HashAlgorithm.SHA256)


def sources_of(
    vendors: SimulatedServices, *, limits: FetchLimits = ONCE, channel: Literal["standard", "early"] = "standard"
) -> tuple[EndorsementSource, ...]:
    """Give sources that ask the simulated vendors, PCCS for Intel, once for each item unless `limits` say otherwise."""
    authority = vendors.certificate_authority
    pccs, kds, hygon = vendors.intel_pccs.url, vendors.amd_kds.url, vendors.hygon_certs.url

    def client(url: str) -> HttpsClient:
        return HttpsClient((host_of(url),), ca=authority, limits=limits)

    return (
        Pccs(pccs, channel=channel, client=client(pccs)),
        AmdKds(base_url=kds, client=client(kds)),
        AmdSevSigners(base_url=kds, client=client(kds)),
        HygonCerts(base_url=hygon, client=client(hygon)),
    )


def service_of(
    vendors: SimulatedServices, store: EndorsementStore | None = None, **settings: Any
) -> EndorsementService:
    """Give a service over `sources_of`, which takes the settings. It refreshes nothing by itself."""
    return EndorsementService(sources_of(vendors, **settings), store=store, refresh=False)


def unbounded_fetcher(vendors: SimulatedServices, **settings: Any) -> Fetcher:
    """Give a fetcher over `sources_of`, which takes the settings, whose budget is never spent."""
    plenty = Rate(burst=30, seconds_each=1.0)
    return Fetcher(sources_of(vendors, **settings), budget=FetchBudget(per_source={}, other_sources=plenty))


def judge(
    peer: str | Attester,
    service: EndorsementService,
    policy: Policy | None = None,
    *,
    clock: Clock | None = None,
    **settings: Any,
) -> AttestationResult:
    """Judge a peer that brings no Endorsements, by a context that remembers nothing.

    Args:
        peer: name of a healthy simulated TEE, or an attester, which needs a policy.
        service: looks up what the appraisal misses.
        policy: the healthy TEE's by default.
        clock: of both sides; stands at `NOW` when left out.
        settings: of the judging context.
    """
    clock = clock or Clock(NOW)
    certificate, _ = presented(attester(peer) if isinstance(peer, str) else peer, clock=clock)
    needed = AppraisalNeeded(
        certificate=certificate, binding=Binding.CERTIFICATE, endorsements=(), preamble=True, facts=TLS
    )
    judges = policy_for(peer) if isinstance(peer, str) and policy is None else policy
    return context(None, judges, endorsements=service, clock=clock, **settings).appraise(needed)


def asked(*services: WebService) -> dict[str, int]:
    """Give how often each path was asked for, by its last part; chips have theirs by their ids."""
    counts: dict[str, int] = {}
    for service in services:
        for path, count in service.requests.items():
            name = path.rpartition("/")[2]
            counts[name] = counts.get(name, 0) + count
    return counts
