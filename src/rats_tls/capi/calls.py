"""The six calls."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from rats_tls import registry
from rats_tls.capi.configuration import KEY_ALGORITHMS, Configuration, Flags, LogLevel, instance_name
from rats_tls.capi.errors import CryptoWrapperCode, as_call_errors, invalid
from rats_tls.capi.handle import Confirmation, Handle, VerificationCallback
from rats_tls.context import Context
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import ConfigurationError, UnsupportedError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Attester, Verifier
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.policy import Policy

_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.FATAL: logging.CRITICAL,
    LogLevel.NONE: logging.CRITICAL + 1,
}


def _now() -> datetime:
    return datetime.now(UTC)


def init(
    configuration: Configuration,
    *,
    policy: Policy | None = None,
    trust_anchors: Sequence[TrustAnchor] = (),
    endorsements: Endorsements | None = None,
    attester: Attester | None = None,
    serves_without_preamble: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    clock: Callable[[], datetime] = _now,
) -> Handle:
    """Make a handle. A server, and a client that is mutual, has its Evidence collected here.

    Args:
        configuration: what the C API configures.
        policy: the Appraisal Policy that judges the peer; required by every client and by a mutual server. With
            `VERIFIER_ENFORCED` only its entries for that type count.
        trust_anchors: anchors to use beside the vendors' pinned roots.
        endorsements: local Endorsements.
        attester: an instance to use in place of one made by name, which an `attester_type` that is given must be.
        serves_without_preamble: a server that judges nobody also serves peers without the preamble, such as C
            rats-tls; elsewhere the policy's entries say so.
        limits: sizes and times.
        clock: gives the time, aware.

    Raises:
        CoreError: values that there are not or that do not go together; no policy where one is needed; a policy
            where nobody is judged; a Verifier that no entry of the policy asks for; an instance that is not there.
        EnclaveAttesterError: no Evidence could be collected.
        CryptoWrapperError: the crypto wrapper makes no such key.
    """
    configuration.require_valid()
    with as_call_errors():
        judged_by, verifiers = _judgement(configuration, policy)
        confirmation = Confirmation(endorsements.items if endorsements is not None else (), limits)
        context = Context(
            policy=judged_by,
            attester=_attester(configuration, attester),
            mutual=configuration.mutual if configuration.server or configuration.mutual else None,
            verifiers=verifiers,
            tls=instance_name(configuration.tls_type, "openssl"),
            crypto=instance_name(configuration.crypto_type, "openssl"),
            trust_anchors=trust_anchors,
            endorsements=endorsements,
            provide_endorsements=bool(configuration.flags & Flags.PROVIDE_ENDORSEMENTS),
            custom_claims=configuration.custom_claims,
            key_algorithm=KEY_ALGORITHMS[configuration.cert_algo],
            confirm=confirmation if judged_by is not None else None,
            serves_without_preamble=serves_without_preamble,
            limits=limits,
            clock=clock,
        )
        context.channel(server_side=configuration.server)  # for its complaints, which would come at `negotiate`
        if configuration.attests:
            with as_call_errors(UnsupportedError, CryptoWrapperCode.UNSUPPORTED_ALGO):
                context.prepare(server_side=configuration.server)
    if configuration.log_level is not None:
        logging.getLogger("rats_tls").setLevel(_LEVELS[configuration.log_level])
    return Handle(context, confirmation if judged_by is not None else None, server=configuration.server)


def set_verification_callback(handle: Handle, callback: VerificationCallback | None) -> None:
    """Set what is asked about every peer that the policy accepted, before this side says *accepted*; None for nothing.

    It can only refuse: it is not asked about a peer that the policy refused. The peer goes on when it returns True or
    an int other than 0; any other value, None too, and any exception refuses. It runs in the thread that negotiates.

    Raises:
        CoreError: the handle is cleaned up, or judges nobody.
    """
    handle.set_callback(callback)


def negotiate(handle: Handle, fd: int | socket.socket) -> None:
    """Do the handshake and the appraisals over a connected stream socket. Ends the handle's former connection.

    Args:
        handle: from `init`.
        fd: a blocking file descriptor, or a socket, whose timeout then holds for reads and writes. It is duplicated:
            closing it is the caller's, after `cleanup`.

    Raises:
        CoreError: no such socket; the handle is cleaned up or is negotiating already.
        EnclaveVerifierError: this side refused the peer.
        TlsWrapperError: the peer refused this side, or the connection failed.
        EnclaveAttesterError: no Evidence could be collected.
    """
    handle.negotiate(fd)


def receive(handle: Handle, size: int) -> bytes:
    """Receive 1 to `size` bytes, as soon as some are there; b"" after the peer's end.

    Raises:
        CoreError: the handle is not negotiated or cleaned up; a size below 1.
        TlsWrapperError: the connection failed or was cut off; its code is RECEIVE.
        CallTimeoutError: the socket's timeout ran out; nothing is lost.
    """
    return handle.receive(size)


def transmit(handle: Handle, data: bytes | bytearray | memoryview) -> int:
    """Send all of `data`; gives its number of bytes.

    Raises:
        CoreError: the handle is not negotiated or cleaned up.
        TlsWrapperError: the connection failed; its code is TRANSMIT.
        CallTimeoutError: the socket's timeout ran out; how much the peer got is unknown, the connection is over.
    """
    return handle.transmit(data)


def cleanup(handle: Handle) -> None:
    """End the connection; the handle is not usable afterwards. May be called twice. Other threads' calls fail."""
    handle.clean_up()


def _attester(configuration: Configuration, given: Attester | None) -> Attester | str | None:
    if not configuration.attests:
        return None
    name = instance_name(configuration.attester_type, "auto")
    if given is None:
        return name
    if configuration.attester_type and name != given.name:
        raise invalid(f"attester_type: got {name}, and the attester that is given is {given.name}")
    return given


def _judgement(
    configuration: Configuration, policy: Policy | None
) -> tuple[Policy | None, Mapping[TeeType, Verifier] | None]:
    """Give the policy that counts, and the Verifiers where one is named."""
    name = instance_name(configuration.verifier_type, "")
    if not configuration.judges:
        if policy is not None:
            raise invalid("policy: a server without MUTUAL judges nobody")
        if name not in {"", "null"}:
            raise invalid(f"verifier_type: got {name}, and a server without MUTUAL judges nobody")
        return None, None
    if policy is None:
        raise invalid("policy: this side judges its peer, so a policy is required")
    if not isinstance(policy, Policy):
        raise invalid(f"policy: got {type(policy).__name__}, expected a Policy")
    if not name:
        return policy, None
    verifier = registry.verifier(name)
    try:
        restricted = policy.restricted_to(verifier.tee_type)
    except ConfigurationError as error:
        raise invalid(f"verifier_type: got {name}: {error.message}") from error
    if configuration.flags & Flags.VERIFIER_ENFORCED:
        policy = restricted
    others = registry.verifiers(policy.tee_types - {verifier.tee_type})
    return policy, {**others, verifier.tee_type: verifier}
