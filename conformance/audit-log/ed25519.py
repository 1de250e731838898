"""Signatures by Ed25519 (RFC 8032, section 5.1), which Python's standard library does not have. A key of small order signs nothing."""
import functools, hashlib
def must(holds):
    if not holds: raise ValueError
def little(raw): return int.from_bytes(raw, "little")
Q, L, D = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493, -121665 * pow(121666, -1, 2**255 - 19)
def add(p, q):
    a, b, c, d = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0]), 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    return (b - a) * (d - c) % Q, (d + c) * (b + a) % Q, (d - c) * (d + c) % Q, (b - a) * (b + a) % Q
def times(n, p):
    out = (0, 1, 1, 0)
    for bit in f"{n:b}": out = add(add(out, out), p) if bit == "1" else add(out, out)
    return out
def point(raw):
    """What these bytes encode, if it is a point of large order."""
    y, sign = little(raw) % 2**255, raw[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, Q) % Q
    near = pow(square, (Q + 3) // 8, Q)
    roots = [root * near % Q for root in (1, -1, pow(2, (Q - 1) // 4, Q), -pow(2, (Q - 1) // 4, Q))]
    x = [x for x in roots if 0 < x and x * x % Q == square and x % 2 == sign and y < Q][0]
    p = (x, y, 1, x * y % Q)
    must(len(raw) == 32 and times(8, p)[0] % Q); return p
BASE = point((4 * pow(5, -1, Q) % Q).to_bytes(32, "little"))
@functools.cache
def signs(key, message, signature):
    """Whether S times the base point, less k times the key, is R."""
    s, k, (x, y, z, t) = little(signature[32:]), little(hashlib.sha512(signature[:32] + key + message).digest()), point(key)
    x, y, z, _ = add(times(s, BASE), times(k, (-x, y, z, -t)))
    x, y = x * pow(z, -1, Q) % Q, y * pow(z, -1, Q) % Q
    return len(signature) == 64 and s < L and point(signature[:32])[:2] == (x, y)
