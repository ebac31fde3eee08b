# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs in a guest, with nothing but Python: a peer with a certificate that says what it should not. One story for each
run: garbage, truncated, replayed, out-of-range, records. Prints how the other side ended the connection."""

import socket
import ssl
import struct
import sys

MAGIC = 0x31464352
KEEP_ALIVE, NODE, MESSAGE, RECORDS = 1, 2, 3, 4


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(kind: int, number: int, body: bytes = b"", channel: int = 0, length: int | None = None) -> bytes:
    head = struct.pack("<IB3xIIQI", MAGIC, kind, channel, len(body) if length is None else length, number, 0)
    return head + struct.pack("<I", crc32c(head)) + body


def record(seq: int, stream: int, length: int = 0, kind: int = 6) -> bytes:
    head = struct.pack("<BBHIIIQQQQQI", kind, 0, 0, stream, length, 0, seq, 1, 0, 1, 0, 0)
    return head + struct.pack("<I", crc32c(head))


def cbor(value) -> bytes:
    """Texts below 24 bytes and small maps of them: enough for a note."""
    if isinstance(value, str):
        return bytes([0x60 + len(value)]) + value.encode()
    return bytes([0xa0 + len(value)]) + b"".join(cbor(key) + cbor(value[key]) for key in value)


STORIES = {
    "garbage": bytes(range(256)) * 64,
    "truncated": frame(NODE, 1, b"\xa1", length=1000),
    "replayed": frame(KEEP_ALIVE, 1) + frame(KEEP_ALIVE, 1),
    "out-of-range": frame(NODE, 1, b"", length=0xFFFFFFFF),
    "bad-cbor": frame(NODE, 1, b"\xff" * 4000),
    "session-without-number": frame(NODE, 1, cbor({"note": "group.open",
                                                   "parameters": {"group": "bank", "role": "secondary"}})),
    "records-gap": frame(RECORDS, 1, struct.pack("<QII", 77, 2, 0) + record(1, 77) + record(9, 77), channel=1234),
    "records-of-nobody": frame(RECORDS, 1, struct.pack("<QII", 77, 1, 0) + record(1, 77), channel=1234),
}


def main(host: str, port: int, certificate: str, key: str, ca: str, story: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    with socket.create_connection((host, port), timeout=20) as plain, context.wrap_socket(plain) as peer:
        peer.sendall(STORIES[story])
        if story == "truncated":
            print("sent a part and hung up")
            return
        peer.settimeout(4)
        total = 0
        try:
            while data := peer.recv(65536):
                total += len(data)
            print(f"closed after {total} bytes")
        except TimeoutError:
            print(f"still open after {total} bytes")


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:7])
    except (ssl.SSLError, ConnectionError) as refused:
        print(f"refused: {refused}")
