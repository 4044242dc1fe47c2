"""The resolver of tests/faults: names that exist, and names that fail in every way."""

import asyncio
from collections.abc import Mapping
from typing import cast

from dnslib import AAAA, CNAME, QTYPE, RCODE, RR, A, DNSRecord

ADDRESSES: Mapping[str, tuple[str, ...]] = {
    "good.test": ("127.0.0.1",),
    "half-dead.test": ("127.0.0.66", "127.0.0.1"),  # nobody listens at the first
    "nobody-there.test": ("127.0.0.66",),
    "unroutable.test": ("192.0.2.1",),  # RFC 5737; the namespace has no way there
    "six.test": ("::1",),  # where nobody listens
    "no-data.test": (),
}
FAILING = {
    "servfail.test": RCODE.SERVFAIL,
    "refused.test": RCODE.REFUSED,
    "formerr.test": RCODE.FORMERR,
}
SILENT = ("hang.test", "hang-too.test")


class Resolver(asyncio.DatagramProtocol):
    """Answers over UDP; what it does not know does not exist."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = reply(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def reply(data: bytes) -> bytes | None:
    question = DNSRecord.parse(data)
    name, kind = str(question.q.qname).rstrip(".").lower(), QTYPE[question.q.qtype]
    answer = question.reply()
    if name in SILENT:
        return None
    if name == "garbled.test":
        return data[:2] + b"\x81\x80" + b"\xff" * 200
    if name == "circle.test":
        answer.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME("circle.test")))
    elif name in ADDRESSES:
        for address in ADDRESSES[name]:
            if kind == ("AAAA" if ":" in address else "A"):
                data = AAAA(address) if ":" in address else A(address)
                answer.add_answer(RR(name, question.q.qtype, rdata=data))
    else:
        answer.header.rcode = FAILING.get(name, RCODE.NXDOMAIN)
    packed: bytes = answer.pack()
    return packed
