"""Ed25519 verification as RFC 8032, 5.1, has it: slow, short, and of Python's standard library alone."""
import hashlib

Q, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, Q - 2, Q) % Q


def add(p, q):
    a, b, c, d = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0]), 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = (b - a) % Q, (d - c) % Q, (d + c) % Q, (b + a) % Q
    return e * f % Q, g * h % Q, f * g % Q, e * h % Q


def times(n, p):
    out = (0, 1, 1, 0)
    while n:
        out, p, n = add(out, p) if n & 1 else out, add(p, p), n >> 1
    return out


def point(raw):
    """The point of 32 bytes; None if they are none."""
    y, sign = int.from_bytes(raw, "little") & (1 << 255) - 1, raw[31] >> 7
    u, v = (y * y - 1) % Q, (D * y * y + 1) % Q
    x = u * pow(v, 3, Q) * pow(u * pow(v, 7, Q), (Q - 5) // 8, Q) % Q
    if v * x * x % Q != u:
        x = x * pow(2, (Q - 1) // 4, Q) % Q
    if y >= Q or v * x * x % Q != u or x == 0 and sign:
        return None
    x = x if x & 1 == sign else Q - x
    return x, y, 1, x * y % Q


BASE = point((4 * pow(5, Q - 2, Q) % Q).to_bytes(32, "little"))


def verify(key, message, signature):
    """Whether the signature of 64 bytes is by this key of 32 bytes over the message."""
    if len(signature) != 64 or len(key) != 32:
        return False
    s, r, a = int.from_bytes(signature[32:], "little"), point(signature[:32]), point(key)
    if s >= L or r is None or a is None:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    p, q = times(s, BASE), add(r, times(k, a))
    return (p[0] * q[2] - q[0] * p[2]) % Q == 0 and (p[1] * q[2] - q[1] * p[2]) % Q == 0
