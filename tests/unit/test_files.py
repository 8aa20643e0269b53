"""Files of the user: errors that name the file and say what is wrong with it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from rats_tls.core.errors import ConfigurationError, DecodeError, RatsTlsError, UnsupportedError
from rats_tls.files import (
    MAX_FILE,
    Presented,
    decoded_claims,
    load_endorsements,
    load_evidence,
    load_policy,
    load_trust_anchors,
    read_file,
)
from support.simulated import REPORT_DATA, world

PEM = b"-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n"
CONTENTS = {
    "empty": b"",
    "text": b"hello",
    "cut DER": b"\x30\x82\x01",
    "zeros": bytes(5000),
    "bad PEM": PEM % b"AAAA",
    "no base64": PEM % b"A*AA",
    "JSON": b"{}",
}


@pytest.mark.parametrize("load", [load_trust_anchors, load_endorsements, load_policy], ids=lambda load: load.__name__)
@pytest.mark.parametrize("name", CONTENTS)
def test_errors_name_the_file_and_are_for_people(tmp_path: Path, load: object, name: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENTS[name])
    with pytest.raises(RatsTlsError) as raised:
        load(path)  # type: ignore[operator]  # one of three functions
    message = raised.value.message
    assert message.startswith(str(path))
    assert not [word for word in ("http", "ParseError", "kind:") if word in message]
    assert ("the file is empty" in message) is (name == "empty")


def test_anchors_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    with pytest.raises(ConfigurationError, match=r"file: TrustAnchors\.PEM: a block is cut short, or there is none$"):
        load_trust_anchors(path)


def test_evidence_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(DecodeError, match="file: the file is empty; expected Evidence or a certificate"):
        load_evidence(path)
    path.write_bytes(b"hello")
    with pytest.raises(
        UnsupportedError, match="file: Evidence: got 5 bytes that begin with 68656c6c6f, expected a quote"
    ):
        load_evidence(path)
    path.write_bytes(PEM % b"AAAA")
    with pytest.raises(DecodeError, match=r"file: Certificate: not an X\.509 certificate"):
        load_evidence(path)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe without a writer keeps nobody waiting, and one with a writer is not read."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: errors.append(error_of(path)), daemon=True)
    errors: list[str] = []
    reader.start()
    reader.join(20)
    assert "not a regular file" in errors[0]
    for other in (Path("/dev/null"), tmp_path):
        assert str(other) in error_of(other)


def error_of(path: Path) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read_file(path)
    return raised.value.message


def test_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(MAX_FILE + 1))
    assert "larger than" in error_of(path)
    assert len(read_file(path, limit=MAX_FILE + 1)) == MAX_FILE + 1


def test_claims_of_what_is_no_evidence() -> None:
    collected = world().attester("simulated_sgx_ecdsa").collect(REPORT_DATA)
    assert collected is not None
    claims = decoded_claims(Presented(evidence=collected.evidence))
    assert getattr(claims, "report_data", None) == REPORT_DATA
    assert decoded_claims(Presented(certificate=b"\x30\x82")) is None
    assert decoded_claims(Presented()) is None
