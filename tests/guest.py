#!/usr/bin/env python3
"""A member that knows PROTOCOL.md and none of our code: `tests/guest.py SECRET GROUP:PORT CIPHERS HEARTBEAT`.

Opens a real heartbeat (hexadecimal digits), links to the node that it tells of, on loopback, with these bits in its greeting,
says goodbye, and prints as JSON what the heartbeat and the node's hello said.
"""
import base64, ipaddress, json, os, socket, struct, sys

sys.dont_write_bytecode = True
from primitives import aes_gcm, chacha_poly, x25519, xchacha_poly
from vectors import LABEL, MAGIC, Party, control, endpoint, expand, hello, opened, sealed, sha, varint


class Fields:
    """Postcard, read from the front."""

    def __init__(self, data):
        self.data = data

    def take(self, count):
        taken, self.data = self.data[:count], self.data[count:]
        assert len(taken) == count, "cut off"
        return taken

    def varint(self):
        low = self.take(1)[0]
        return low if low < 128 else low - 128 + (self.varint() << 7)

    def text(self):
        return self.take(self.varint()).decode()

    def address(self):
        return str(ipaddress.ip_address(self.take(16 if self.varint() else 4)))

    def optional(self, what):
        return what() if self.varint() else None


def heartbeat(key, group, datagram):
    assert len(datagram) == 300 and datagram[:4] == MAGIC
    ip, port = endpoint(group)
    ad = MAGIC + ip.packed + struct.pack(">H", port)
    body = Fields(opened(xchacha_poly, key, datagram[4:28], ad, datagram[28:]))
    told = {"node": body.take(16).hex(), "sequence": body.varint(), "protocols": list(body.take(2))}
    told.update(port=body.varint(), flags=body.varint())
    told["addresses"] = [ip for ip in (body.optional(body.address) for _ in range(4)) if ip]
    return dict(told, name=body.text(), host_mark=body.take(8).hex())


class Records:
    """One direction of a link."""

    def __init__(self, key, aes):
        self.key, self.aes, self.count = key, aes, -1

    def work(self, how, data):
        self.count += 1
        nonce = struct.pack(">IQ" if self.aes else "<IQ", 0, self.count)
        return how(aes_gcm if self.aes else chacha_poly, self.key, nonce, b"", data)


def link(key, port, ciphers):
    party = Party({"s": os.urandom(32), "e": os.urandom(32)}, True, key)
    with socket.create_connection(("127.0.0.1", port), 5) as connection, connection.makefile("rb") as stream:
        say = lambda message, before=b"": connection.sendall(before + struct.pack(">H", len(message)) + message)
        hear = lambda: stream.read(struct.unpack(">H", stream.read(2))[0])
        say(party.message("psk e", b""), MAGIC)
        greeting = party.message("e ee s es", hear(), opening=True)
        say(party.message("s se", bytes([1, 1, ciphers])))
        aes = greeting[2] & ciphers & 1
        outward, inward = (Records(key, aes) for key in party.hkdf(b"", 2))
        tell = lambda *frames: say(outward.work(sealed, b"\0" + b"".join(control(*frame) for frame in frames)))
        own = {"name": "guest", "listen": [], "max_message": 1 << 20, "newest_link": 0, "lives": 0, "received": None}
        tell((1, hello(dict(own, forgotten=0, found_by=0, host_mark="00" * 8))))
        frames = controls(inward.work(opened, hear()))
        told = said_hello(frames.pop(0))
        guest, node = [sha(LABEL + b"node id", public)[:16] for public in (x25519(party.own["s"]), party.theirs["s"])]
        # The greater id takes the link up.
        while node > guest and 2 not in [kind for kind, _ in frames]:
            frames += controls(inward.work(opened, hear()))
        tell(*[(2, varint(1))] * (guest > node), (8, b"\1"))
        # Until the node has closed, too.
        while stream.read(1 << 12):
            pass
    return dict(told, node=node.hex(), guest=guest.hex(), aes=aes)


def controls(content):
    content, frames = Fields(content), []
    lane = content.take(1)[0]
    while lane == 0 and content.data:
        kind, size = struct.unpack(">BH", content.take(3))
        frames.append((kind, content.take(size)))
    return frames


def said_hello(frame):
    assert frame[0] == 1, "a hello comes first"
    said = Fields(frame[1])
    told = {"name": said.text(), "listen": [[said.address(), said.varint()] for _ in range(said.varint())]}
    told.update(max_message=said.varint(), newest_link=said.varint(), lives=said.varint())
    told.update(received=said.optional(lambda: [said.varint(), said.varint()]), forgotten=said.varint())
    return dict(told, found_by=said.varint(), host_mark=said.take(8).hex())


if __name__ == "__main__":
    secret, group, ciphers, datagram = sys.argv[1:]
    root = base64.b32decode(secret[4:].upper() + "======")[:32]
    heard = heartbeat(expand(root, b"heartbeat"), group, bytes.fromhex(datagram))
    told = link(expand(root, b"link psk"), heard["port"], int(ciphers))
    print(json.dumps({"heartbeat": heard, "hello": told}))
