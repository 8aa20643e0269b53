"""How much memory keys of wolfCrypt leave behind, in a process that nothing else has used.

Run it: it prints the bytes that remain of 300 rounds in one thread, and of 20 threads of 3 rounds each.
"""

from __future__ import annotations

import threading

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.crypto_wrappers.wolfcrypt import WolfcryptCryptoWrapper
from support.endurance import resident_bytes

USUAL = {
    KeyAlgorithm.EC_P256: SignatureAlgorithm.ECDSA_SHA256,
    KeyAlgorithm.EC_P384: SignatureAlgorithm.ECDSA_SHA384,
    KeyAlgorithm.ED25519: SignatureAlgorithm.ED25519,
}
DATA = b"signed data"


def main() -> None:
    crypto = WolfcryptCryptoWrapper()
    made = {algorithm: crypto.generate_key(algorithm) for algorithm in USUAL}
    signatures = {algorithm: key.sign(USUAL[algorithm], DATA) for algorithm, key in made.items()}
    rsa_key = crypto.generate_key(KeyAlgorithm.RSA_3072).public_key.spki

    def work(times: int) -> None:
        for _ in range(times):
            for algorithm, key in made.items():
                public = crypto.load_public_key(key.public_key.spki)
                public.verify(USUAL[algorithm], signatures[algorithm], DATA)
                crypto.generate_key(algorithm).pkcs8()
            crypto.load_public_key(rsa_key)

    def end_threads(count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=work, args=(3,))
            thread.start()
            thread.join()

    work(50)
    before = resident_bytes()
    work(300)
    in_one_thread = resident_bytes() - before
    end_threads(5)
    before = resident_bytes()
    end_threads(20)
    print(in_one_thread, resident_bytes() - before)  # noqa: T201  # for whoever has started it


if __name__ == "__main__":
    main()
