"""A fake of the attestation evidence broker, on a Unix socket.

Written apart from `rats_tls.formats.devices`, so that each is a check on the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from rats_tls.simulation.devices.unix_service import StreamFaults, UnixService
from rats_tls.simulation.sev_attester import SimulatedSevAttester

_SIZE_CALL, _EVIDENCE_CALL = "RetrieveAttestationEvidenceSize", "RetrieveAttestationEvidence"
_DEVICE_TYPES = ("AmdRome", "AmdNaples", "AmdMilan")
_UNIMPLEMENTED = 12
_STRUCTURE = 6464
UNKNOWN_GUEST = 1


class SimulatedEvidenceBroker(UnixService):
    """Gives the Evidence of simulated SEV guests, as JSON.

    Args:
        path: of the socket.
        guests: guests by their handles.
        error_code: of every answer; 0 is none.
        status: code and words with which every call fails.
        announced: size that the first call tells, in place of the structure's.
        document: changes the JSON.
        faults: what is wrong with the stream.

    Attributes:
        calls: method and timeout (nanoseconds) of each call.
    """

    def __init__(
        self,
        path: str | Path,
        guests: Mapping[int, SimulatedSevAttester],
        *,
        error_code: int = 0,
        status: tuple[int, str] | None = None,
        announced: int | None = None,
        document: Callable[[bytes], bytes] = bytes,
        faults: StreamFaults | None = None,
    ) -> None:
        super().__init__(path, faults=faults)
        self.calls: list[tuple[str, int]] = []
        self._guests = dict(guests)
        self._error_code = error_code
        self._status = status
        self._announced = announced
        self._document = document

    def converse(self, receive: Callable[[int], bytes], send: Callable[[bytes], None]) -> None:
        """Answer calls until the other end goes, or breaks the protocol."""
        last = -1
        while True:
            header = receive(10)
            stream, kind, flags = int.from_bytes(header[4:8], "big"), header[8], header[9]
            request = _fields(receive(int.from_bytes(header[:4], "big")))
            if kind != 1 or flags or stream % 2 == 0 or stream <= last:
                return
            last = stream
            answer = self._response(request)
            send(len(answer).to_bytes(4, "big") + header[4:8] + bytes((2, 0)) + answer)

    def _response(self, request: Mapping[int, bytes | int]) -> bytes:
        service, method, payload = (request.get(number, b"") for number in (1, 2, 3))
        timeout = request.get(4, 0)
        if not isinstance(method, bytes) or not isinstance(payload, bytes) or not isinstance(timeout, int):
            return _failed(_UNIMPLEMENTED, "malformed request")
        name = method.decode()
        self.calls.append((name, timeout))
        if self._status is not None:
            return _failed(*self._status)
        if service != b"aeb.AEB" or name not in {_SIZE_CALL, _EVIDENCE_CALL}:
            return _failed(_UNIMPLEMENTED, f"no method {name}")
        return _bytes_field(2, self._result(name, _fields(payload)))

    def _result(self, method: str, argument: Mapping[int, bytes | int]) -> bytes:
        handle, size = argument.get(1, 0), argument.get(2, 0)
        guest = self._guests.get(handle) if isinstance(handle, int) else None
        error = self._error_code or (UNKNOWN_GUEST if guest is None else 0)
        if error or guest is None:
            return b"\x08" + _varint(error)
        if method == _SIZE_CALL:
            return b"\x10" + _varint(_STRUCTURE if self._announced is None else self._announced)
        # The size is what was asked, again; the JSON has another one, and a new one with every signature.
        document = self._document(broker_json(guest.collect(bytes(64)).evidence.data))
        return b"\x10" + _varint(size if isinstance(size, int) else 0) + _bytes_field(3, document)


def broker_json(evidence: bytes) -> bytes:
    """Write Evidence (6464 bytes) as the broker does: bytes as arrays of numbers."""
    report = {
        "monce": list(evidence[:16]),
        "launch_digest": list(evidence[16:48]),
        "policy": int.from_bytes(evidence[48:52], "little"),
        "sig_usage": int.from_bytes(evidence[52:56], "little"),
        "sig_algo": int.from_bytes(evidence[56:60], "little"),
        "reserved": int.from_bytes(evidence[60:64], "little"),
        "sig1": list(evidence[64:208]),
    }
    document: dict[str, object] = {"report": report}
    for number, name in enumerate(("cek", "pek", "oca")):
        document[name] = list(evidence[208 + number * 2084 : 208 + (number + 1) * 2084])
    number = int.from_bytes(evidence[6460:], "little")
    document["device_type"] = _DEVICE_TYPES[number] if number < len(_DEVICE_TYPES) else "Unknown"
    return json.dumps(document).encode()


def _failed(code: int, message: str) -> bytes:
    return _bytes_field(1, b"\x08" + _varint(code) + _bytes_field(2, message.encode()))


def _bytes_field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    return bytes((value & 0x7F | 0x80,)) + _varint(value >> 7) if value > 0x7F else bytes((value,))


def _fields(data: bytes) -> dict[int, bytes | int]:
    """Read integers and bytes by their number; what is malformed ends the connection."""
    found: dict[int, bytes | int] = {}
    while data:
        key, data = _take_varint(data)
        value, data = _take_varint(data)
        if key & 7 == 0:
            found[key >> 3] = value
        elif key & 7 == 2 and value <= len(data):
            found[key >> 3], data = data[:value], data[value:]
        else:
            raise EOFError
    return found


def _take_varint(data: bytes) -> tuple[int, bytes]:
    value = 0
    for position, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return value, data[position + 1 :]
    raise EOFError
