"""The names that are kept, while many threads add new ones: peers choose the names of their certificates."""

from __future__ import annotations

import sys
import threading

from cryptography import x509
from cryptography.x509.oid import NameOID

from rats_tls.formats.x509 import Name


def test_new_names_in_many_threads_raise_nothing() -> None:
    failures: list[BaseException] = []

    def read(thread: int) -> None:
        try:
            for number in range(1500):
                name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{thread} {number}")])
                assert Name.of(name.public_bytes(), lambda name=name: name).common_name == f"{thread} {number}"
        except BaseException as error:  # noqa: BLE001  # shown by the test
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
