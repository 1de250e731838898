#!/usr/bin/env python3
"""Verifies audit logs. Written from docs/formats/audit-log.md alone; needs only Python's standard library.

usage: verify.py [--log-key KEY] [--log ID] [--pinned NOTE_FILE]... DIR...
Prints one line for each DIR: `intact RECORDS`, `incomplete RECORDS` or `tampered RECORD`. Exits with the worst verdict: 0, 6, 4."""
import base64, hashlib, json, os, re, sys, zlib

MIB = 1 << 20
Q, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, Q - 2, Q) % Q
FIELDS = ("arguments", "facts", "reason", "result")
KINDS = set("genesis session intent result decision approval admission connection key checkpoint recovered redaction admin seal".split())
OWN = {"genesis": "genesis", "key": "key", "recovered": "recovered", "open": "checkpoint", "peaks": "checkpoint", "note": "checkpoint", "seal": "seal", "intent": "result"}
MEMBERS = {"time": int, "session": str, "call": str, "tool": str, "policyDigest": str, "effect": str, "intent": int, "note": str, "seal": str, "open": list, "peaks": list,
           **dict.fromkeys("subject stateDelta rules approval sandbox outcome usage".split(), object), **dict.fromkeys("genesis key recovered continues".split(), dict)}
class Damage(Exception): pass
def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def must(holds):
    if not holds: raise Damage
def is_hash(text): return isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text)

def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % Q, (p[1] + p[0]) * (q[1] + q[0]) % Q
    c, d = 2 * p[3] * q[3] * D % Q, 2 * p[2] * q[2] % Q
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % Q, g * h % Q, f * g % Q, e * h % Q
def times(n, p):
    out = (0, 1, 1, 0)
    while n:
        out, p, n = add(out, p) if n & 1 else out, add(p, p), n >> 1
    return out
def point(raw):
    y, sign = int.from_bytes(raw, "little") & (1 << 255) - 1, raw[31] >> 7
    u, v = (y * y - 1) % Q, (D * y * y + 1) % Q
    x = u * pow(v, 3, Q) * pow(u * pow(v, 7, Q), (Q - 5) // 8, Q) % Q
    x = x if v * x * x % Q == u else x * pow(2, (Q - 1) // 4, Q) % Q
    must(y < Q and v * x * x % Q == u and not (x == 0 and sign))
    x = x if x & 1 == sign else Q - x
    return x, y, 1, x * y % Q
BASE = point((4 * pow(5, Q - 2, Q) % Q).to_bytes(32, "little"))
def signed(key, message, signature):
    must(len(signature) == 64 and len(key) == 32)
    s, k = int.from_bytes(signature[32:], "little"), int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little")
    p, q = times(s, BASE), add(point(signature[:32]), times(k % L, point(key)))
    must(s < L and (p[0] * q[2] - q[0] * p[2]) % Q == 0 and (p[1] * q[2] - q[1] * p[2]) % Q == 0)

def whole(line):
    m = re.search(rb',"sum":"([0-9a-f]{8})"}\Z', line)
    return m is not None and int(m[1], 16) == zlib.crc32(line[:m.start()])
def pairs(items):
    must(len(dict(items)) == len(items))
    return dict(items)
def parse(line):
    """The record of a whole line."""
    try: r = json.loads(line.decode(), object_pairs_hook=pairs)
    except (ValueError, RecursionError): raise Damage
    must(isinstance(r, dict) and list(r)[:4] == ["seq", "group", "prev", "kind"] and list(r)[-1] == "sum" and r["kind"] in KINDS and is_hash(r["prev"]))
    for name, value in list(r.items())[4:-1]:
        if name not in FIELDS: must(name in MEMBERS and isinstance(value, MEMBERS[name]))
        else: must(value == "dropped" or isinstance(value, dict) and len(value) == 1 and ("plain" in value or is_hash(value.get("commitment", value.get("blob")))))
    must(all((name in r) == (r["kind"] == kind) for name, kind in OWN.items()))
    return r
def ending(line):
    """The whole record that a line of a tail is or ends in."""
    begins = [m.start() for m in re.finditer(rb'\{"seq":', line)][-4:]
    return next((line[at:] for at in [0] + begins[::-1] if whole(line[at:])), None)
def tail(data, lost):
    """Whether a tail is there; raises if it is damage."""
    data = data.rstrip(b"\0")
    records = [line for line in map(ending, data.split(b"\n")) if line is not None] if len(data) <= MIB else []
    must(len(data) <= MIB and len(records) <= 256)
    for line in records:
        try: group = parse(line)["group"]
        except Damage: continue
        lost = group if lost is None else lost
        must(group <= lost)
    return len(data) > 0

def opening(line):
    try: o = json.loads(line)
    except ValueError: return None
    return o if isinstance(o, dict) and set(o) == {"seq", "field", "salt", "text"} and is_hash(o["salt"]) else None

class Log:
    def __init__(self, dir, known): self.dir, self.known, self.seq, self.group, self.chain, self.peaks, self.open, self.end, self.key, self.epoch = dir, known, 0, 0, bytes(32), [], [], 0, None, 0
    def read(self, kind, n):
        try: return open(f"{self.dir}/{kind}/{n:08}.jsonl", "rb").read()
        except FileNotFoundError: return b""
    def root(self):
        out = self.peaks[-1][1] if self.peaks else sha()
        for _, peak in self.peaks[-2::-1]: out = sha(b"\1", peak, out)
        return out
    def run(self):
        names = os.listdir(f"{self.dir}/segments")
        data = {int(n[:8]): self.read("segments", int(n[:8])) for n in names if re.fullmatch(r"\d{8}\.jsonl", n)}
        begin = {}
        for n, d in data.items():
            line = d.split(b"\n", 1)[0]
            if b"\n" in d and len(line) <= 65535 and whole(line):
                try: r = parse(line)
                except Damage: continue
                if "continues" in r or r["kind"] == "genesis": begin[n] = r
        course, end = [], None
        at = max(begin, default=None)
        while at is not None:
            course.append((at, end))
            if at not in begin or "continues" not in begin[at]: break
            c, self.seq = begin[at]["continues"], begin[at]["seq"]
            must(c["segment"] < at and c["segment"] in data)
            at, end = c["segment"], c["offset"]
        self.seq, unfinished = 0, False
        must(not course or course[-1][0] in begin)
        for n, end in reversed(course):
            d, at = data[n], 0
            self.openings = [o for o in map(opening, self.read("disclosures", n).split(b"\n")) if o]
            while at < (len(d) if end is None else end):
                stop = d.find(b"\n", at, min(at + 65536, len(d) if end is None else end))
                if stop < 0 or not whole(d[at:stop]):
                    must(end is None)
                    break
                self.line(d[at:stop], at)
                at = stop + 1
            unfinished |= tail(d[at:], self.seq) and end is None
        for n in data:
            if n not in dict(course): unfinished |= tail(data[n], self.seq if not course or n > course[0][0] else None) and not (course and n < course[0][0])
        must(all(size <= self.seq for size, _, _ in self.known["pins"]))
        checked = self.known["key"] or self.known["log"] or self.known["pins"]
        return self.end == 2 and not unfinished and not self.open and bool(checked)
    def line(self, line, at):
        r = parse(line)
        kind, seq, prev, group = r["kind"], r["seq"], bytes.fromhex(r["prev"]), r["group"]
        must(seq == self.seq and prev == self.chain and (group == seq or group == self.group and seq - group < 256))
        must(self.end == 0 or self.end == 1 and kind == "checkpoint")
        must((kind == "genesis") == (seq == 0))
        leaf = sha(b"\0", line)
        getattr(self, "key_record" if kind == "key" else kind, lambda *_: None)(r, line, leaf)
        must(("continues" in r) == (at == 0 and seq > 0) and ("continues" not in r or r["continues"]["hash"] == r["prev"]))
        self.chain, self.group, self.seq, size = sha(b"bailiwick/chain/v1\n", prev, leaf), group, seq + 1, 1
        while self.peaks and self.peaks[-1][0] == size: leaf, size = sha(b"\1", self.peaks.pop()[1], leaf), 2 * size
        self.peaks.append((size, leaf))
        self.seq = seq  # Damage from here on is of this record.
        for size, root, note in self.known["pins"]:
            if size == seq + 1:
                must(note.startswith(f"{self.origin}\n") and root == self.root())
                self.note(note)
        for field in FIELDS:
            held = r.get(field)
            if isinstance(held, dict) and "commitment" in held:
                while self.openings and self.openings[0]["seq"] < seq: self.openings.pop(0)
                if self.openings and (self.openings[0]["seq"], self.openings[0]["field"]) == (seq, field):
                    o = self.openings.pop(0)
                    text = o["text"].encode()
                    must(sha(b"bailiwick/field/v1\n", bytes.fromhex(o["salt"]), len(text).to_bytes(8, "big"), text).hex() == held["commitment"])
        self.seq = seq + 1
    def genesis(self, r, line, leaf):
        g, self.log, self.epoch = r["genesis"], leaf, 1
        self.key, self.origin = bytes.fromhex(g["public"]), g.get("origin", f"bailiwick.dev/log/{leaf.hex()}")
        must(g["format"] == "bailiwick.dev/audit/v1" and self.known["key"] in (None, self.key) and self.known["log"] in (None, leaf))
    def note(self, note):
        """One of the signatures is by the key in force, and it is right."""
        text, lines = note.rsplit("\n\n", 1)
        name = sha(self.origin.encode(), b"\n\1", self.key)[:4]
        raw = [base64.b64decode(line.split(" ")[2]) for line in lines.splitlines() if line.startswith(f"\u2014 {self.origin} ")]
        raw = [signature[4:] for signature in raw if signature[:4] == name]
        must(raw)
        signed(self.key, f"{text}\n".encode(), raw[0])
    def checkpoint(self, r, line, leaf):
        text = f"{self.origin}\n{self.seq}\n{base64.b64encode(self.root()).decode()}\n\n\u2014 {self.origin} "
        must(r["group"] == self.seq and r["note"].startswith(text) and r["note"].count("\n") == 5)
        self.note(r["note"])
        again = {name: r[name] for name in ("seq", "group", "prev", "kind", "continues") if name in r}
        again.update(open=self.open, peaks=[peak.hex() for _, peak in self.peaks], note=r["note"], sum=r["sum"])
        must(json.dumps(again, separators=(",", ":"), ensure_ascii=False).encode() == line)
        self.end = 2 if self.end else 0
    def key_record(self, r, line, leaf):
        k, self.epoch = r["key"], self.epoch + 1
        must(k["epoch"] == self.epoch and k["previous"] == self.key.hex())
        public, number = bytes.fromhex(k["public"]), lambda n: n.to_bytes(8, "big")
        signed(self.key, b"bailiwick/key/v1\n" + self.log + number(self.seq) + self.chain + number(self.epoch) + public, base64.b64decode(k["signature"]))
        self.key = public
    def close(self, intents):
        must(all(intent in self.open for intent in intents) and intents == sorted(set(intents)))
        self.open = [intent for intent in self.open if intent not in intents]
    def intent(self, r, line, leaf): self.open = self.open + [r["seq"]]; must(len(self.open) <= 512)
    def result(self, r, line, leaf): self.close([r["intent"]])
    def recovered(self, r, line, leaf): self.close(r["recovered"].get("lost", []))
    def seal(self, r, line, leaf): self.end = 1

def main(words):
    known, dirs = {"key": None, "log": None, "pins": []}, []
    while words:
        word = words.pop(0)
        if word == "--log-key": known["key"] = base64.b64decode(words.pop(0).split("+", 2)[2])[1:]
        elif word == "--log": known["log"] = bytes.fromhex(words.pop(0))
        elif word == "--pinned":
            note = open(words.pop(0), encoding="utf-8", newline="").read()
            size, root = note.split("\n")[1:3]
            known["pins"].append((int(size), base64.b64decode(root), note))
        else: dirs.append(word)
    worst = 0
    for dir in dirs:
        log = Log(dir, known)
        try: verdict, code = ("intact", 0) if log.run() else ("incomplete", 6)
        except (Damage, KeyError, TypeError, ValueError, IndexError): verdict, code = "tampered", 4
        print(verdict, log.seq)
        worst = 4 if 4 in (code, worst) else max(code, worst)
    return worst
if __name__ == "__main__": sys.exit(main(sys.argv[1:]))
