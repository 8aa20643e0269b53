"""`rats-tls server`: attest to clients, judge them where a policy says so, and echo what they send."""

from __future__ import annotations

import threading
import time
from typing import Any

import click

from rats_tls.cli.groups import examples
from rats_tls.cli.lookups import lookup_options
from rats_tls.cli.options import connection_options, judging_options
from rats_tls.cli.sides import Reporter, SideOptions, address_text, make_context
from rats_tls.connection import Connection
from rats_tls.core.errors import ConnectionFailedError, InternalError, RatsTlsError
from rats_tls.listener import Listener

_MOST_CONNECTIONS = 64
_IDLE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


@click.command(
    epilog=examples(
        "rats-tls server -i 0.0.0.0 -p 1234 -m --policy clients.toml",
        "rats-tls server -a simulated_sgx_ecdsa --simulation world/ -e \\",
        "    --policy world/simulated_sev_snp-policy.toml \\",
        "    --trust-anchors world/trust-anchors.pem",
    )
)
@connection_options
@judging_options
@lookup_options
@click.option("--count", type=click.IntRange(1), metavar="N", help="Stop after N connections, good or bad.")
def server(ip: str, port: int, as_json: bool, count: int | None, **options: Any) -> None:  # noqa: ANN401  # click's
    """Serve attested connections and echo what each client sends.

    With --policy, clients are judged too (mutual attestation); without, they are not asked for Evidence. A bad client
    never ends the server; Ctrl-C (exit code 130) and SIGTERM (143) do.
    """
    reporter = Reporter(as_json=as_json)
    with reporter.preparing(address_text((ip, port))):
        listener = make_context(SideOptions.taken_from(options), default_attester="auto").listen((ip, port))
    with listener:
        text = address_text(listener.address)
        reporter.event("listening", f"listening on {text}", address=text)
        reporter.serving = True
        _serve(listener, reporter, count)


def _serve(listener: Listener, reporter: Reporter, count: int | None) -> None:
    places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
    threads: list[threading.Thread] = []
    accepted = 0
    while count is None or accepted < count:
        places.acquire()
        try:
            connection, address = listener.accept(handshake=False)
        except OSError as error:
            # Such as too many open files: this client is lost, the next may come through.
            places.release()
            reporter.event("accept-failed", f"accept failed: {error}", reason=str(error))
            time.sleep(_PAUSE_SECONDS)
            continue
        accepted += 1
        thread = threading.Thread(target=_converse, args=(connection, address, reporter, places), daemon=True)
        thread.start()
        threads = [*(t for t in threads if t.is_alive()), thread]
    for thread in threads:
        thread.join()


def _converse(connection: Connection, address: object, reporter: Reporter, places: threading.BoundedSemaphore) -> None:
    title = f"client {address_text(address)}"
    try:
        with connection:
            connection.settimeout(_IDLE_SECONDS)
            connection.handshake()
            reporter.accepted(connection.peer, title=title)
            while data := connection.recv():
                connection.sendall(data)
    except RatsTlsError as error:
        reporter.ended(error, title=title)
    except OSError as error:
        reporter.ended(ConnectionFailedError(str(error)), title=title)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with one connection, the others go on
        internal = InternalError(f"{type(error).__name__}: {error}")
        internal.__cause__ = error
        reporter.ended(internal, title=title)
    finally:
        places.release()
