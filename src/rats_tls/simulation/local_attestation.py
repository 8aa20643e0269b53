"""Simulated local attestation: report keys as a processor derives them, and enclaves that check reports by them."""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.errors import ConfigurationError, SignatureError
from rats_tls.simulation import intel_quote
from rats_tls.simulation.bytefields import sized, word
from rats_tls.simulation.intel_platform import SimulatedIntelPlatform
from rats_tls.simulation.states import SgxLocalState, TargetEnclaveState

_log = logging.getLogger("rats_tls.simulation")
_SGX_DEBUG = 1 << 1


def target_info(state: TargetEnclaveState) -> bytes:
    """Encode the TARGETINFO of an enclave in `state` (512 bytes; Intel SDM 3D, TARGETINFO).

    Raises:
        ValueError: a field does not fit its size.
    """
    return b"".join(
        (
            sized("mr_enclave", state.mr_enclave, 32),
            word(state.attributes, 8),
            word(state.xfrm, 8),
            word(state.cet_attributes, 1) + bytes(1),
            word(state.config_svn, 2),
            word(state.miscselect, 4),
            bytes(8),
            sized("config_id", state.config_id, 64),
            bytes(384),
        )
    )


def cmac(key: bytes, data: bytes) -> bytes:
    """Give AES-128-CMAC (NIST SP 800-38B; 16 bytes)."""
    made = CMAC(AES128(key))
    made.update(data)
    return made.finalize()


@dataclass(frozen=True, slots=True)
class SimulatedProcessor:
    """What local attestation needs of a simulated processor."""

    platform: SimulatedIntelPlatform

    def report_key(self, target: bytes, key_id: bytes) -> bytes:
        """Derive a report key (16 bytes): stands for EGETKEY and what EREPORT does with the same inputs."""
        return cmac(self.platform.report_root_key, b"report key" + target + key_id)

    def report(self, state: SgxLocalState, report_data: bytes) -> bytes:
        """Make the local report (432 bytes) of an enclave in `state`: stands for EREPORT.

        Raises:
            ValueError: a field does not fit its size.
        """
        target = target_info(TargetEnclaveState()) if state.target_info is None else state.target_info
        body = intel_quote.report_body(
            cpu_svn=state.cpu_svn,
            miscselect=state.miscselect,
            attributes=state.attributes | (_SGX_DEBUG if state.debug else 0),
            xfrm=state.xfrm,
            mr_enclave=state.mr_enclave,
            mr_signer=state.mr_signer,
            isv_prod_id=state.isv_prod_id,
            isv_svn=state.isv_svn,
            report_data=report_data,
            isv_ext_prod_id=state.isv_ext_prod_id,
            config_id=state.config_id,
            config_svn=state.config_svn,
            isv_family_id=state.isv_family_id,
        )
        key_id = sized("key_id", state.key_id, 32)
        return body + key_id + cmac(self.report_key(sized("target_info", target, 512), key_id), body)


class SimulatedTargetEnclave:
    """A target enclave of a simulated machine. What it accepts proves nothing.

    Args:
        processor: of the machine that it runs on.
        machine: number of that machine, for its name.
        state: the enclave.

    Raises:
        ConfigurationError: a state that does not fit TARGETINFO.
    """

    kind = AnchorKind.SIMULATED

    def __init__(self, processor: SimulatedProcessor, machine: int, state: TargetEnclaveState) -> None:
        self.name = f"simulated processor of machine {machine}"
        self._processor = processor
        try:
            self._target_info = target_info(state)
        except (ValueError, OverflowError) as error:
            raise ConfigurationError(f"simulated target enclave: {error}") from error
        _log.warning("%s: a simulated target enclave checks simulated reports and proves nothing", self.name)

    def target_info(self) -> bytes:
        """Give its TARGETINFO (512 bytes)."""
        return self._target_info

    def check(self, report: bytes) -> None:
        """Check the MAC of a local report (432 bytes).

        Raises:
            SignatureError: made for another enclave, on another machine, or changed.
        """
        body, key_id, mac = report[:384], report[384:416], report[416:]
        if not hmac.compare_digest(cmac(self._processor.report_key(self._target_info, key_id), body), mac):
            raise SignatureError(
                f"local report: MAC: got {mac.hex()}: {self.name} made no such report for this target enclave"
            )
