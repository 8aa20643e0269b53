"""The blocking API: one Context for all settings, connections made from it."""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime
from functools import partial

from rats_tls import registry
from rats_tls.addresses import addressing, connected, listening
from rats_tls.appraisers import make_appraiser
from rats_tls.channel import AppraisalNeeded, Channel, ChannelSettings, Credentials
from rats_tls.channel_settings import NO_CREDENTIALS
from rats_tls.combinations import Needs, require_combination, require_some_role
from rats_tls.connection import Connection
from rats_tls.context_checks import crypto_wrapper_of, key_algorithm_of, require_kinds, tls_wrapper_of
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.binding import Binding
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import (
    ConfigurationError,
    HandshakeTimeoutError,
    InternalError,
    RatsTlsError,
)
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Attester, CryptoWrapper, Verifier
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.results import AttestationResult
from rats_tls.core.tls import Role, TlsWrapper
from rats_tls.credentials import CredentialSource
from rats_tls.endorsements.service import EndorsementService
from rats_tls.judging import PeerJudge, system_time
from rats_tls.listener import Listener
from rats_tls.lookups import Lookups
from rats_tls.policy import Policy
from rats_tls.tls_self_test import tried
from rats_tls.verdicts import Confirm, opens_refused
from rats_tls.workers import Workers

DEFAULT_MAX_EVIDENCE_AGE = 3600.0

_log = logging.getLogger(__name__)


class Context:
    """Settings of one side, shared by any number of connections and threads.

    Args:
        policy: the Appraisal Policy that judges the peer. A client must have one; a server with one demands a
            client's Evidence, a server without one judges nobody and `Connection.peer` is None.
        attester: instance or name of what collects this side's Evidence; None for a client that does not attest.
            "auto" looks for the TEE here: mostly that takes milliseconds, but it blocks, for seconds where a device
            hangs. Under asyncio, make the Context before the loop runs or in a thread.
            A server must name one; "null" serves a certificate without Evidence.
        mutual: True requires policy and attester of this side; a server then demands that its clients attest. Whether a
            server judges its client is the server's affair: a client cannot demand it. False forbids a server to hold
            a policy. None leaves it to what is given.
        verifiers: by TEE type; the built-in ones that the policy names by default.
        tls: TLS wrapper, instance or name.
        crypto: crypto wrapper, instance or name.
        trust_anchors: anchors to use beside the vendors' pinned roots.
        vendor_roots: whether the vendors' pinned roots are anchors too.
        endorsements: local Endorsements, or a service that also looks up what an appraisal misses.
        provide_endorsements: send the peer, in the preamble, the Endorsements that came with this side's Evidence.
        endorsements_in_certificate: also put them into the certificate (Intel only; C readers abort on it).
        custom_claims: names and values bound to this side's Evidence and delivered to the peer.
        key_algorithm: of the TLS key, or its name, such as "ec-p384".
        confirm: called with the result of every accepted appraisal, a remembered one or one that report-only opens too,
            and with what was judged, before this side says *accepted*; whatever it raises refuses the peer. It can
            refuse, and accept nothing that the policy refused. It may block: asyncio connections call it in a thread.
        application_protocols: the application's protocols, best first.
        serves_without_preamble: a server without a policy also serves clients that do not speak the preamble, such as
            C rats-tls; with a policy, its entries say so.
        max_evidence_age: seconds; key and Evidence are renewed together before it.
        allow_tls12: accept TLS 1.2 with extended master secret too.
        insecure_report_only: with a policy in report-only mode, open connections to peers that it refuses for their
            Reference Values or TCB status alone. `Connection.peer` then says `refused (report-only)`. Every such
            connection is logged as a warning. Without that mode it has no effect, and that mode has none without it.
        limits: sizes and times.
        clock: gives the time, aware.

    Raises:
        ConfigurationError: settings that do not go together.
        NoInstanceError: a named instance that is not there.
    """

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        attester: Attester | str | None = None,
        mutual: bool | None = None,
        verifiers: Mapping[TeeType, Verifier] | None = None,
        tls: TlsWrapper | str = "openssl",
        crypto: CryptoWrapper | str = "openssl",
        trust_anchors: Sequence[TrustAnchor] = (),
        vendor_roots: bool = True,
        endorsements: Endorsements | EndorsementService | None = None,
        provide_endorsements: bool = False,
        endorsements_in_certificate: bool = False,
        custom_claims: Mapping[str, bytes] | None = None,
        key_algorithm: KeyAlgorithm | str = KeyAlgorithm.EC_P256,
        confirm: Confirm | None = None,
        application_protocols: Sequence[str] = (),
        serves_without_preamble: bool = False,
        max_evidence_age: float = DEFAULT_MAX_EVIDENCE_AGE,
        allow_tls12: bool = False,
        insecure_report_only: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], datetime] = system_time,
    ) -> None:
        self._policy = policy
        self._attester = registry.attester(attester) if isinstance(attester, str) else attester
        self._mutual = mutual
        self._tls = tried(tls_wrapper_of(tls))
        self._crypto = crypto_wrapper_of(crypto)
        key_algorithm = key_algorithm_of(key_algorithm)
        self._provide_endorsements = provide_endorsements
        self._serves_without_preamble = serves_without_preamble
        self._allow_tls12 = allow_tls12
        self._limits = limits
        self._clock = clock
        require_kinds(
            policy=policy,
            attester=self._attester,
            mutual=mutual,
            confirm=confirm,
            endorsements=endorsements,
            application_protocols=application_protocols,
            custom_claims=custom_claims,
        )
        self._application_protocols = tuple(application_protocols)
        self._require_consistent(key_algorithm, max_evidence_age, confirms=confirm is not None)
        self._opens_refused = opens_refused(policy, insecure_report_only=insecure_report_only)
        self._judge: PeerJudge | None = None
        if policy is not None:
            service = endorsements if isinstance(endorsements, EndorsementService) else None
            appraiser = make_appraiser(
                policy,
                verifiers=verifiers,
                crypto=self._crypto,
                trust_anchors=trust_anchors,
                vendor_roots=vendor_roots,
                endorsements=endorsements.local if isinstance(endorsements, EndorsementService) else endorsements,
                limits=limits,
            )
            self._judge = PeerJudge(
                appraiser=appraiser,
                lookups=Lookups(service, appraiser.anchors, self._crypto) if service is not None else None,
                confirm=confirm,
                opens_refused=self._opens_refused,
                tls_wrapper=f"{self._tls.name} ({self._tls.version})",
                clock=clock,
            )
        self._credentials = CredentialSource(
            self._attester,
            self._crypto,
            key_algorithm=key_algorithm,
            custom_claims=custom_claims or {},
            max_evidence_age=max_evidence_age,
            endorsements_in_certificate=endorsements_in_certificate,
            clock=clock,
            limits=limits,
        )
        self._workers = Workers()
        self._renewing = threading.Event()
        self._settings: dict[Role, ChannelSettings] = {}
        self._prepared: dict[Role, Credentials] = {}
        self._hostnames: frozenset[str | None] = frozenset({None})

    def _require_consistent(self, key_algorithm: KeyAlgorithm, max_evidence_age: float, *, confirms: bool) -> None:
        if confirms and self._policy is None:
            raise ConfigurationError("confirm: nobody is judged without a policy, so nobody could be refused")
        if self._mutual is True and self._policy is None:
            raise ConfigurationError("mutual: the peer attests, so a policy is required to judge it")
        if self._mutual is True and self._attester is None:
            raise ConfigurationError("mutual: this side attests, so an attester is required")
        if max_evidence_age <= 0:
            raise ConfigurationError(f"max_evidence_age: got {max_evidence_age}, expected a positive number of seconds")
        self._needs = Needs(
            key_algorithm=key_algorithm if self._attester is not None else None,
            tls12=self._allow_tls12,
            judges=self._policy is not None and bool(self._policy.tee_types - {TeeType.NULL}),
            preamble=self._preamble_required,
        )
        require_combination(self._needs, self._tls, self._crypto)
        require_some_role({role: self._needs_of(role) for role in self._roles()}, self._tls, self._crypto)
        for wrapper, caution in (
            (f"TLS wrapper {self._tls.name}", self._tls.capabilities.caution),
            (f"crypto wrapper {self._crypto.name}", self._crypto.capabilities.caution),
        ):
            if caution:
                _log.warning("%s: %s", wrapper, caution)

    # --- connections ---------------------------------------------------------------------------------------------
    def connect(
        self, address: tuple[str, int] | str, *, timeout: float | None = None, server_hostname: str | None = None
    ) -> Connection:
        """Connect to a server, judge it, and be judged where it asks.

        Args:
            address: (host, port), or the path of a Unix socket.
            timeout: seconds for collecting Evidence, for connecting, the handshake, and later each read and write;
                None for no limit but the handshake's own, which is that of collecting too.
            server_hostname: sent as SNI; not a proof of identity.

        Returns:
            An accepted connection.

        Raises:
            RatsTlsError: refused, by either side, or failed.
        """
        make_channel = self._channels(server_side=False, server_hostname=server_hostname)
        if timeout is not None and timeout <= 0:
            raise ConfigurationError(f"timeout: got {timeout}, expected a positive number of seconds or None")
        begun = time.monotonic()
        self.prepare()
        allowed = min(self._limits.handshake_seconds, timeout if timeout is not None else math.inf)
        if time.monotonic() - begun > allowed:
            raise collected_too_late(allowed)
        with addressing("connect to", address):
            sock = connected(address, timeout)
        try:
            connection = self._connection(sock, make_channel)
        except BaseException:
            sock.close()
            raise
        connection.handshake()
        return connection

    def wrap_socket(
        self,
        sock: socket.socket,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        shared: bool = False,
    ) -> Connection:
        """Make a connection over a connected stream socket, which it then owns.

        With `shared`, other descriptors of the same socket are in use elsewhere: its flags are then left as they
        are, at some cost in speed.

        The handshake is done by `Connection.handshake` or by the first read or write.

        Raises:
            ConfigurationError: the settings do not fit the role.
        """
        make_channel = self._channels(server_side=server_side, server_hostname=server_hostname, shared=shared)
        return self._connection(sock, make_channel)

    def _channels(
        self, *, server_side: bool, server_hostname: str | None, shared: bool = False
    ) -> Callable[[socket.socket], Channel]:
        """Give what makes the channel over a socket. Raises ConfigurationError, before anything is connected."""
        settings = self._settings_for("server" if server_side else "client")
        direct = self._tls.capabilities.sockets and not shared
        if not direct:
            self._require_memory()
        if server_hostname not in self._hostnames and self._tls.capabilities.memory:
            self.channel(server_side=server_side, server_hostname=server_hostname)  # for its complaints
            self._hostnames = frozenset(list(self._hostnames)[-_HOSTNAMES:]) | {server_hostname}
        return lambda sock: Channel(settings, server_hostname=server_hostname, sock=sock if direct else None)

    def _connection(self, sock: socket.socket, make_channel: Callable[[socket.socket], Channel]) -> Connection:
        return Connection(
            sock,
            make_channel,
            collect=self.collect_credentials,
            recall=self.recall,
            appraise=self.appraise,
            limits=self._limits,
        )

    def listen(self, address: tuple[str, int] | str, *, backlog: int = 128) -> Listener:
        """Listen on (host, port) or on the path of a Unix socket.

        Raises:
            ConfigurationError: the settings do not fit a server.
            CollectionError: the Attester cannot collect Evidence.
            ConnectionFailedError: the address cannot be listened on.
        """
        self.prepare(server_side=True)
        with addressing("listen on", address):
            sock = listening(address, backlog)
        return Listener(sock, partial(self.wrap_socket, server_side=True))

    def prepare(self, *, server_side: bool = False) -> None:
        """Have ready what this side presents: Evidence is collected, and TLS takes the certificate that holds it.

        `connect` and `listen` do so before they dial or listen. Blocks while the Attester collects.

        Raises:
            ConfigurationError: the settings do not fit the role, or the certificate is larger than TLS takes here.
            CollectionError: the Attester cannot collect Evidence.
        """
        settings = self._settings_for("server" if server_side else "client")
        credentials = self._credentials.current() if settings.needs_credentials else NO_CREDENTIALS
        if credentials is self._prepared.get(settings.role):
            return
        size = len(credentials.certificate or b"")
        require_combination(replace(self._needs_of(settings.role), certificate=size), self._tls, self._crypto)
        settings.tls_context(credentials)
        self._prepared[settings.role] = credentials

    # --- what shells over the channel ask ------------------------------------------------------------------------
    @property
    def limits(self) -> Limits:
        """Sizes and times."""
        return self._limits

    @property
    def collector(self) -> Executor:
        """The thread in which an asyncio connection has Evidence collected."""
        return self._workers.collector

    @property
    def judge(self) -> Executor:
        """The threads in which an asyncio connection has its peer judged with what is at hand."""
        return self._workers.judge

    def fetcher(self, *, authenticated: bool) -> Executor:
        """Give the threads in which it has its peer judged where Endorsements have to be fetched for it.

        Args:
            authenticated: whether they are fetched for Evidence that is authenticated.
        """
        return self._workers.fetcher(authenticated=authenticated)

    def channel(self, *, server_side: bool = False, server_hostname: str | None = None) -> Channel:
        """Make the channel of a new connection in memory. Raises ConfigurationError: settings do not fit the role."""
        self._require_memory()
        return Channel(self._settings_for("server" if server_side else "client"), server_hostname=server_hostname)

    def present_credentials(self) -> Credentials | None:
        """Give credentials without waiting for an Attester, or None when there are none in date.

        When they are due for renewal, that begins in the background.
        """
        present, due = self._credentials.present()
        if present is not None and due and not self._renewing.is_set():
            self._renewing.set()
            self.collector.submit(self._renew)
        return present

    @property
    def is_prepared(self) -> bool:
        """Whether `prepare`, as a client, has nothing left to do."""
        present = self.present_credentials() if self._settings_for("client").needs_credentials else NO_CREDENTIALS
        return present is not None and present is self._prepared.get("client")

    def _renew(self) -> None:
        try:
            self._credentials.current()
        except RatsTlsError as error:
            _log.warning("evidence not renewed: %s", error)
        finally:
            self._renewing.clear()

    def collect_credentials(self) -> Credentials:
        """Give credentials in date; has them collected where there are none. Raises CollectionError."""
        return self._credentials.current()

    def recall(self, needed: AppraisalNeeded) -> AttestationResult | None:
        """Give the result of an appraisal of the same certificate that still holds, or None; does not block."""
        return self._judge.recall(needed) if self._judge is not None else None

    def appraise(self, needed: AppraisalNeeded, *, may_wait: bool = True) -> AttestationResult:
        """Judge the peer of a connection (`PeerJudge.appraise`).

        Raises:
            RatsTlsError: to refuse it.
            FetchNeededError: Endorsements would have to be fetched, and `may_wait` is not set.
        """
        if self._judge is None:
            raise InternalError("an appraisal was asked for where no policy is")
        return self._judge.appraise(needed, may_wait=may_wait)

    @property
    def _preamble_required(self) -> bool:
        if self._policy is None:
            return not self._serves_without_preamble
        return all(entry.preamble == "required" for entry in self._policy.entries)

    def _roles(self) -> Iterator[Role]:
        """The roles that these settings allow."""
        if self._policy is not None:
            yield "client"
        if self._attester is not None and not (self._mutual is False and self._policy is not None):
            yield "server"

    def _require_memory(self) -> None:
        """Require that the TLS wrapper makes connections in memory. Raises ConfigurationError."""
        require_combination(replace(self._needs, memory=True), self._tls, self._crypto)

    def _needs_of(self, role: Role) -> Needs:
        demands = role == "server" and self._policy is not None
        return replace(self._needs, client=role == "client", mutual_server=demands)

    def _settings_for(self, role: Role) -> ChannelSettings:
        settings = self._settings.get(role)
        # Threads that come here at once may each make them; all take the first.
        return settings if settings is not None else self._settings.setdefault(role, self._make_settings(role))

    def _make_settings(self, role: Role) -> ChannelSettings:
        policy = self._policy
        if role == "client" and policy is None:
            raise ConfigurationError('a client judges its server: give a policy (one that names "null" accepts anyone)')
        if role == "server" and self._attester is None:
            raise ConfigurationError('a server names its attester ("null" serves without Evidence)')
        if role == "server" and self._mutual is False and policy is not None:
            raise ConfigurationError("mutual is False: a server that judges nobody takes no policy")
        require_combination(self._needs_of(role), self._tls, self._crypto)
        attests = self._attester is not None and self._attester.tee_type is not TeeType.NULL
        entries = policy.entries if policy is not None else ()
        return ChannelSettings(
            role=role,
            tls=self._tls,
            attests=attests,
            demands_evidence=policy is not None,
            bindings=frozenset(binding for entry in entries for binding in entry.channel_bindings)
            if policy is not None
            else frozenset(Binding),
            preamble_required=self._preamble_required,
            accepted_tee_types=tuple(sorted(policy.tee_types, key=str)) if policy is not None else (),
            application_protocols=self._application_protocols,
            presents_certificate=self._attester is not None,
            provide_endorsements=self._provide_endorsements,
            allow_tls12=self._allow_tls12,
            insecure_report_only=self._opens_refused,
            limits=self._limits,
        )


def collected_too_late(seconds: float) -> HandshakeTimeoutError:
    """Give the error for Evidence of this side that took longer than a handshake may."""
    return HandshakeTimeoutError(f"Evidence of this side was not collected within {seconds:g} s; nobody was dialed")


_HOSTNAMES = 100
"""Names of servers that are known to be such; others are looked at anew."""
