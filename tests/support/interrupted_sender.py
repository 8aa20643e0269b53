"""A process that sends over a TLS wrapper until a signal stops it, again and again: `python -m ... WRAPPER ROUNDS`.

Half of the signals are SIGINT, half are a timer's. Ends with 0 where each one came out as it was raised and left a
connection that cannot be used, and whose peer saw no end.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import time

from rats_tls import registry
from rats_tls.connection import Connection
from rats_tls.core.errors import ConnectionFailedError, RatsTlsError
from support.interrupting import INTERRUPTS, Alarm
from support.sides import SGX, connected_pair, context

_SECONDS = 10.0
_LONGEST_DELAY = 0.03


def drain(connection: Connection, ends: list[bytes | RatsTlsError]) -> None:
    """Read until the end; put into `ends` what it was: b"" or an error."""
    try:
        while connection.recv():
            pass
    except RatsTlsError as error:
        ends.append(error)
    else:
        ends.append(b"")


def one_round(server: Connection, client: Connection, number: signal.Signals, delay: float) -> str:
    """Give what is wrong, or ""."""
    ends: list[bytes | RatsTlsError] = []
    reader = threading.Thread(target=drain, args=(client, ends), daemon=True)
    reader.start()
    timer = threading.Timer(delay, os.kill, (os.getpid(), number))
    until = time.monotonic() + _SECONDS
    came: BaseException | None = None
    try:
        timer.start()
        while time.monotonic() < until:
            server.sendall(b"y" * 300_000)
    except BaseException as error:  # noqa: BLE001  # looked at below
        came = error
    if type(came) is not INTERRUPTS[number]:
        return f"{number.name} came as {came!r}"
    frame = came.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_name != "sendall":
        frame = frame.tb_next
    in_sendall = frame is not None
    if in_sendall:
        try:
            server.sendall(b"more")
        except ConnectionFailedError:
            pass
        else:
            return "it can be used on"
    server.close()
    reader.join(_SECONDS)
    if in_sendall and (not ends or isinstance(ends[0], bytes) or "mac" in ends[0].message):
        return f"the peer got {ends}"
    return ""


def main(name: str, rounds: int) -> int:
    """Give the exit code."""

    def alarm(_number: int, _frame: object) -> None:
        raise Alarm

    signal.signal(signal.SIGALRM, alarm)
    logging.disable(logging.WARNING)  # what is simulated, and what is said of wrappers
    chance = random.Random(name)
    servers = context(SGX, tls=registry.tls_wrapper(name))
    clients = context(None, SGX)
    for count in range(rounds):
        server, client = connected_pair(servers, clients)
        wrong = one_round(server, client, list(INTERRUPTS)[count % 2], chance.uniform(0, _LONGEST_DELAY))
        client.close()
        if wrong:
            sys.stderr.write(f"round {count}: {wrong}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
