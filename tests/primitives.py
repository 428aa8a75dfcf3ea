"""Published algorithms in plain Python, for vectors.py alone: slow, and not in constant time.

X25519 (RFC 7748), ChaCha20-Poly1305 (RFC 8439), XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), AES-256-GCM (FIPS 197,
SP 800-38D). Each cipher takes key, nonce, associated data and text, and gives the text sealed (or opened) and the tag.
"""
import functools
import struct

BASE = bytes([9]) + bytes(31)


def x25519(scalar, point=BASE):
    p, k = 2**255 - 19, int.from_bytes(scalar, "little") & (2**254 - 8) | 2**254
    x1 = int.from_bytes(point, "little") % 2**255
    x2, z2, x3, z3 = 1, 0, x1, 1
    for at in reversed(range(255)):
        if k >> at & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, da, cb = x2 + z2, x2 - z2, (x3 - z3) * (x2 + z2), (x3 + z3) * (x2 - z2)
        aa, e = a * a % p, (a * a - b * b) % p
        x2, z2, x3, z3 = aa * b * b % p, e * (aa + 121665 * e) % p, (da + cb) ** 2 % p, x1 * (da - cb) ** 2 % p
        if k >> at & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")


def chacha(key, tail, add=True):
    """A block of ChaCha20; `add=False`: without the last addition, as HChaCha20 has it."""
    start = struct.unpack("<16I", b"expand 32-byte k" + key + tail)
    x = list(start)
    for at in range(80):
        a, shift = at % 4, at // 4 % 2
        b, c, d = (4 * row + (a + row * shift) % 4 for row in (1, 2, 3))
        for to, by, turned, bits in (a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7):
            x[to] = (x[to] + x[by]) % 2**32
            mixed = x[turned] ^ x[to]
            x[turned] = (mixed << bits | mixed >> 32 - bits) % 2**32
    return struct.pack("<16I", *((one + other * add) % 2**32 for one, other in zip(x, start)))


def chacha_poly(key, nonce, ad, text, opening=False):
    stream = b"".join(chacha(key, struct.pack("<I", n) + nonce) for n in range(len(text) // 64 + 2))
    done = xor(text, stream[64:])
    sealed, tag = text if opening else done, 0
    r = int.from_bytes(stream[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    mac = padded(ad) + padded(sealed) + struct.pack("<QQ", len(ad), len(sealed))
    for at in range(0, len(mac), 16):
        tag = (tag + int.from_bytes(mac[at:at + 16] + b"\1", "little")) * r % (2**130 - 5)
    return done, ((tag + int.from_bytes(stream[16:32], "little")) % 2**128).to_bytes(16, "little")


def xchacha_poly(key, nonce, ad, text, opening=False):
    block = chacha(key, nonce[:16], add=False)
    return chacha_poly(block[:16] + block[48:], bytes(4) + nonce[16:], ad, text, opening)


def double(byte):
    return byte << 1 ^ (0x11B if byte & 0x80 else 0)


@functools.lru_cache(None)
def sbox():
    powers = [1]
    for _ in range(254):
        powers.append(powers[-1] ^ double(powers[-1]))
    inverse = {powers[at]: powers[-at % 255] for at in range(255)}
    turned = lambda b: functools.reduce(lambda s, n: s ^ (b << n | b >> 8 - n) & 255, range(1, 5), b)
    return [turned(inverse.get(byte, 0)) ^ 0x63 for byte in range(256)]


def aes(key, block):
    words, constant = [key[at:at + 4] for at in range(0, 32, 4)], 1
    for at in range(8, 60):
        word = words[-1]
        if at % 4 == 0:
            word = bytes(sbox()[b] for b in (word if at % 8 else word[1:] + word[:1]))
        if at % 8 == 0:
            word, constant = xor(word, bytes([constant, 0, 0, 0])), double(constant)
        words.append(xor(words[-8], word))
    state = xor(block, b"".join(words[:4]))
    for turn in range(1, 15):
        state = bytes(sbox()[state[at * 5 % 16]] for at in range(16))
        if turn < 14:
            columns = [state[at:at + 4] for at in range(0, 16, 4)]
            mix = lambda c, at: c[0] ^ c[1] ^ c[2] ^ c[3] ^ c[at] ^ double(c[at] ^ c[(at + 1) % 4])
            state = bytes(mix(column, at) for column in columns for at in range(4))
        state = xor(state, b"".join(words[4 * turn:4 * turn + 4]))
    return state


def aes_gcm(key, nonce, ad, text, opening=False):
    block = lambda n: aes(key, nonce + struct.pack(">I", n))
    done = xor(text, b"".join(block(n + 2) for n in range(len(text) // 16 + 1)))
    sealed, tag = text if opening else done, 0
    mac = padded(ad) + padded(sealed) + struct.pack(">QQ", 8 * len(ad), 8 * len(sealed))
    for at in range(0, len(mac), 16):
        factor, tag, v = tag ^ int.from_bytes(mac[at:at + 16], "big"), 0, int.from_bytes(aes(key, bytes(16)), "big")
        for bit in reversed(range(128)):
            tag ^= v * (factor >> bit & 1)
            v = v >> 1 ^ (0xE1 << 120) * (v & 1)
    return done, xor(tag.to_bytes(16, "big"), block(1))


def padded(data):
    return data + bytes(-len(data) % 16)


def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other))
