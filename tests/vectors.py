#!/usr/bin/env python3
"""Opens the vectors of PROTOCOL.md and makes them again, by that page's words alone: `tests/vectors.py [PROTOCOL.md]`.

It shares no code with the product and needs nothing but Python, 3.8 or later. Argon2id is that of its authors' program
`argon2`; where that is missing, the root of the passphrase is taken as published, and a line says so.
"""
import base64, hashlib, hmac, ipaddress, json, pathlib, re, shutil, struct, subprocess, sys

sys.dont_write_bytecode = True
from primitives import aes_gcm, chacha_poly, x25519, xchacha_poly

LABEL, MAGIC = b"talkie/1 ", b"TLK\1"


def secret(v):
    if v["secret"].startswith("tk1-"):
        whole = base64.b32decode(v["secret"][4:].upper() + "======")
        root = whole[:32]
        same("checksum", sha(LABEL + b"secret checksum", root)[:4], whole[32:])
    elif shutil.which("argon2"):
        command = ["argon2", LABEL + b"passphrase", *"-id -v 13 -k 19456 -t 2 -p 1 -l 32 -r".split()]
        root = bytes.fromhex(subprocess.check_output(command, input=v["secret"].encode()).decode())
    else:
        print("SKIPPED: Argon2id of the vectors' passphrase (needs argon2)")
        root = unhex(v["root"])
    same("root", root, unhex(v["root"]))
    same("prk", extract(root), unhex(v["prk"]))
    same("heartbeat key", expand(root, b"heartbeat"), unhex(v["heartbeat_key"]))
    same("link key", expand(root, b"link psk"), unhex(v["link_key"]))
    same("check word", expand(root, b"check word")[:2], unhex(v["check_word"]))
    same("mark", expand(root, b"secret mark")[:8], unhex(v["mark"]))


def extract(root):
    return hmac.digest(b"talkie/1", root, "sha256")


def expand(root, use):
    return hmac.digest(extract(root), LABEL + use + b"\1", "sha256")


def node(v):
    same("node id", sha(LABEL + b"node id", unhex(v["public"]))[:16], unhex(v["id"]))
    same("socket", "talkie/" + sha(LABEL + b"unix socket", unhex(v["id"]))[:16].hex(), v["unix_socket"])
    where = v["boot_id"].encode(), struct.pack(">Q", v["network_namespace"])
    same("host mark", sha(LABEL + b"host", *where)[:8], unhex(v["host_mark"]))


def heartbeat(v, key):
    ip, port = endpoint(v["group"])
    ad = MAGIC + ip.packed + struct.pack(">H", port)
    told = [b"\1" + address(ipaddress.ip_address(ip)) for ip in v["addresses"]] + [b"\0"] * 4
    body = unhex(v["id"]) + varint(v["sequence"]) + bytes(v["protocols"]) + varint(v["port"]) + bytes([v["flags"]])
    body = (body + b"".join(told[:4]) + text(v["name"]) + unhex(v["host_mark"])).ljust(256, b"\0")
    datagram, nonce = unhex(v["datagram"]), unhex(v["nonce"])
    same("opened heartbeat", opened(xchacha_poly, key, datagram[4:28], ad, datagram[28:]), body)
    same("heartbeat", MAGIC + nonce + sealed(xchacha_poly, key, nonce, ad, body), datagram)


class Party:
    """One side of a handshake, as revision 34 of the Noise Protocol Framework has it."""

    def __init__(self, keys, initiates, psk):
        self.chain = self.hash = hashlib.blake2s(b"Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s").digest()
        self.own, self.theirs, self.initiates, self.psk = keys, {}, initiates, psk
        self.mix_hash(LABEL + b"link" + MAGIC)

    def mix_hash(self, data):
        self.hash = hashlib.blake2s(self.hash + data).digest()

    def hkdf(self, data, count):
        prk, out = hmac.digest(self.chain, data, hashlib.blake2s), [b""]
        for n in range(count):
            out.append(hmac.digest(prk, out[-1] + bytes([n + 1]), hashlib.blake2s))
        return out[1:]

    def mix_key(self, data):
        (self.chain, self.key), self.count = self.hkdf(data, 2), 0

    def crypt(self, data, opening):
        work = opened if opening else sealed
        done = work(chacha_poly, self.key, struct.pack("<IQ", 0, self.count), self.hash, data)
        self.mix_hash(data if opening else done)
        self.count += 1
        return done

    def message(self, tokens, data, opening=False):
        """The message that has this payload, or the payload that this message has."""
        out = b""
        for token in tokens.split():
            if token == "psk":
                (self.chain, mixed, self.key), self.count = self.hkdf(self.psk, 3), 0
                self.mix_hash(mixed)
            elif len(token) == 2:
                own, their = token if self.initiates else token[::-1]
                self.mix_key(x25519(self.own[own], self.theirs[their]))
            else:
                size = 48 if token == "s" else 32
                sent, data = (data[:size], data[size:]) if opening else (x25519(self.own[token]), data)
                done = self.crypt(sent, opening) if token == "s" else sent
                self.theirs.update({token: done} if opening else {})
                out += done
                if token == "e":
                    self.mix_hash(done)
                    self.mix_key(done)
        done = self.crypt(data, opening)
        return done if opening else out + done


def handshake(sides, run, psk):
    parties = [Party({"s": unhex(it["static"]), "e": unhex(it["ephemeral"])}, it is sides[0], psk) for it in sides]
    greetings = [bytes(it["protocols"] + [ciphers]) for it, ciphers in zip(sides, run["ciphers"])]
    for at, tokens, payload in zip(range(3), ("psk e", "e ee s es", "s se"), (b"", greetings[1], greetings[0])):
        made = parties[at % 2].message(tokens, payload)
        whole = MAGIC * (at == 0) + struct.pack(">H", len(made)) + made
        same(f"message {at + 1}", whole, unhex(run["messages"][at]))
        same(f"payload {at + 1}", parties[1 - at % 2].message(tokens, made, opening=True), payload)
    keys = parties[0].hkdf(b"", 2)
    same("the responder's keys", parties[1].hkdf(b"", 2), keys)
    cipher = aes_gcm if run["ciphers"][0] & run["ciphers"][1] & 1 else chacha_poly
    for side, key, heard_by, record in zip(sides, keys, reversed(parties), map(unhex, run["records"])):
        same("id", sha(LABEL + b"node id", heard_by.theirs["s"])[:16], unhex(side["id"]))
        content, nonce = b"\0" + control(1, hello(side["hello"])), bytes(12)
        same("opened record", opened(cipher, key, nonce, b"", record[2:]), content)
        whole = sealed(cipher, key, nonce, b"", content)
        same("record", struct.pack(">H", len(whole)) + whole, record)


def hello(v):
    listen = b"".join(address(ip) + varint(port) for ip, port in map(endpoint, v["listen"]))
    known = b"\0" if v["received"] is None else b"\1" + b"".join(map(varint, v["received"]))
    body = text(v["name"]) + varint(len(v["listen"])) + listen + varint(v["max_message"]) + varint(v["newest_link"])
    return body + bytes([v["lives"]]) + known + bytes([v["forgotten"], v["found_by"]]) + unhex(v["host_mark"])


def control(kind, body):
    return bytes([kind]) + struct.pack(">H", len(body)) + body


def sealed(cipher, key, nonce, ad, data):
    return b"".join(cipher(key, nonce, ad, data))


def opened(cipher, key, nonce, ad, data):
    done, tag = cipher(key, nonce, ad, data[:-16], opening=True)
    same("tag", tag, data[-16:])
    return done


def varint(n):
    return bytes([n]) if n < 128 else bytes([n % 128 | 128]) + varint(n >> 7)


def text(t):
    return varint(len(t.encode())) + t.encode()


def address(ip):
    return bytes([ip.version == 6]) + ip.packed


def endpoint(of):
    ip, port = of.rsplit(":", 1)
    return ipaddress.ip_address(ip.strip("[]")), int(port)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def unhex(digits):
    return bytes.fromhex(digits if isinstance(digits, str) else "".join(digits))


def same(what, made, published):
    if made != published:
        shown = [it.hex() if isinstance(it, bytes) else it for it in (made, published)]
        sys.exit(f"{what}: made {shown[0]}, published {shown[1]}")


if __name__ == "__main__":
    page = pathlib.Path(*sys.argv[1:] or [pathlib.Path(__file__).parents[1], "PROTOCOL.md"]).read_text()
    vectors = json.loads(re.search("```json\n(.*?)```", page, re.S)[1])
    for it in vectors["secrets"]:
        secret(it)
    generated = vectors["secrets"][0]
    node(vectors["node"])
    for it in vectors["heartbeats"]:
        heartbeat(it, unhex(generated["heartbeat_key"]))
    for run in vectors["handshakes"]:
        handshake([vectors["initiator"], vectors["responder"]], run, unhex(generated["link_key"]))
    print("All vectors of PROTOCOL.md were opened and made again.")
