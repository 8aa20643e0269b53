"""The library under the TLS wrapper `tongsuo`: where it is missing or another one, and its numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rats_tls.core.errors import NoInstanceError
from rats_tls.native.tongsuo import library_path
from rats_tls.tls_wrappers import tongsuo_library
from rats_tls.tls_wrappers.tongsuo import TongsuoTlsWrapper
from support.c_layout import measured
from support.commands import environment
from support.tongsuo import here


@pytest.fixture
def tls() -> TongsuoTlsWrapper:
    return here()


class TestLibrary:
    def test_the_package_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tongsuo_library.load.cache_clear()
        monkeypatch.setattr(tongsuo_library, "library_path", lambda: None)
        try:
            with pytest.raises(NoInstanceError, match=r"tongsuopy is not installed; pip install 'rats-tls\[tongsuo\]'"):
                TongsuoTlsWrapper()
        finally:
            tongsuo_library.load.cache_clear()

    @pytest.mark.parametrize("path", ["/nowhere/_tongsuo.so", "libm.so.6", "libssl.so.3"])
    def test_a_library_that_is_another(self, path: str) -> None:
        with pytest.raises(NoInstanceError, match="TLS wrapper tongsuo: the library in tongsuopy does not load"):
            tongsuo_library._loaded(Path(path))

    def test_a_library_of_another_series(self, tls: TongsuoTlsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tongsuo_library, "_SERIES", 0x30000)
        with pytest.raises(NoInstanceError, match=r"is OpenSSL 1\.1\.1h .* expected one made from"):
            tongsuo_library._loaded(library_path())

    def test_its_version_names_both(self, tls: TongsuoTlsWrapper) -> None:
        assert re.match(r"tongsuopy \d+\.\d+\.\d+, OpenSSL 1\.1\.1", tls.version)

    def test_no_configuration_of_openssl_is_read(self, tls: TongsuoTlsWrapper, tmp_path: Path) -> None:
        (tmp_path / "openssl.cnf").write_text(
            "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n[tls]\nVerifyMode = Require\n"
        )
        program = """
from rats_tls.tls_wrappers.tongsuo import TongsuoTlsWrapper
from support.tls import config, handshake
tls = TongsuoTlsWrapper()
ends = [tls.context(config(role, present=role == "server", mutual=False)).session() for role in ("client", "server")]
handshake(*ends)
"""
        settings = {
            **environment(),
            "OPENSSL_CONF": str(tmp_path / "openssl.cnf"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        subprocess.run([sys.executable, "-c", program], env=settings, check=True, timeout=60)

    def test_numbers(self, tmp_path: Path) -> None:
        """Those of 1.1.1 are also those of OpenSSL 3."""
        prefixes = {
            **dict.fromkeys(("CTRL_", "MODE_", "OP_", "SESS_", "VERIFY_", "ERROR_", "R_", "AD_"), "SSL_"),
            **dict.fromkeys(("TLSEXT_", "TLS1_", "NID_", "BIO_"), ""),
            **dict.fromkeys(("INIT_", "NPN_"), "OPENSSL_"),
        }
        other = {
            "TLSEXT_ERR_OK": "SSL_TLSEXT_ERR_OK",
            "TLSEXT_ERR_ALERT_FATAL": "SSL_TLSEXT_ERR_ALERT_FATAL",
            "TLSEXT_ERR_NOACK": "SSL_TLSEXT_ERR_NOACK",
            "TLSEXT_NAMETYPE_HOST_NAME": "TLSEXT_NAMETYPE_host_name",
            "NID_X9_62_PRIME256V1": "NID_X9_62_prime256v1",
            "NID_SECP384R1": "NID_secp384r1",
            "NID_SM2": "NID_sm2",
            "LIB_SSL": "ERR_LIB_SSL",
        }
        own = {
            name: value
            for name, value in vars(tongsuo_library).items()
            if name.isupper() and name != "SPACE" and not name.startswith("_") and isinstance(value, int)
        }
        expressions = {
            name: other.get(name)
            or next(before + name for prefix, before in prefixes.items() if name.startswith(prefix))
            for name in own
        }
        headers = ("openssl/ssl.h", "openssl/err.h", "openssl/obj_mac.h")
        assert measured(tmp_path, expressions, headers=headers) == own
        assert len(own) > 30
