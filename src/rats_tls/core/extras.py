"""Extras of this package: what installs the Python library that an instance is made over."""

from __future__ import annotations

EXTRAS = {
    ("tls_wrappers", "tongsuo"): "tongsuo",
    ("tls_wrappers", "rustls"): "rustls",
    ("tls_wrappers", "tlslite"): "tlslite",
    ("crypto_wrappers", "awslc"): "awslc",
    ("crypto_wrappers", "wolfcrypt"): "wolfcrypt",
    ("crypto_wrappers", "pycryptodome"): "pycryptodome",
    ("crypto_wrappers", "gm"): "gm",
}
"""Kind and name of instances whose Python library an extra installs, and the extra."""


def pip_install(kind: str, name: str) -> str:
    """Give the command that installs what the instance `name` of a kind needs of Python's; "" where nothing does."""
    extra = EXTRAS.get((kind, name))
    return f"pip install 'rats-tls[{extra}]'" if extra is not None else ""
