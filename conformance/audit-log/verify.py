#!/usr/bin/env python3
"""Verifies audit logs. Written from docs/formats/audit-log.md alone; needs only Python's standard library.
usage: verify.py [--log-key KEY] [--log ID] [--pinned NOTE_FILE]... DIR...
Prints a line for each DIR: `intact RECORDS`, `incomplete RECORDS` or `tampered RECORD`. Exits with the worst verdict: 0, 6, 4."""
import base64, ed25519, hashlib, json, os, re, sys, zlib
KINDS = "genesis session intent result decision approval admission connection key checkpoint recovered redaction admin seal".split()
OWN = {**{kind: kind for kind in ("genesis", "key", "recovered", "seal")}, "intent": "result", **dict.fromkeys(("open", "peaks", "note"), "checkpoint")}
HELD = ("arguments", "facts", "reason", "result")
TYPES = {**dict.fromkeys("session call tool policyDigest effect note seal".split(), str), **dict.fromkeys(("time", "intent"), int),
         **dict.fromkeys("subject stateDelta rules approval sandbox outcome usage".split(), object),
         **dict.fromkeys(("open", "peaks"), list), **dict.fromkeys("genesis key recovered continues".split(), dict)}
class Damage(Exception): pass
def must(holds):
    if not holds: raise Damage
def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def big(number): return number.to_bytes(8, "big")
def is_hash(text): return isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text)
def whole(line):
    found = re.search(rb',"sum":"([0-9a-f]{8})"}\Z', line)
    return found and int(found[1], 16) == zlib.crc32(line[:found.start()])
def unique(pairs): must(len(dict(pairs)) == len(pairs)); return dict(pairs)
def parse(line):
    try: r = json.loads(line.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError): raise Damage
    must(isinstance(r, dict) and list(r)[:4] == ["seq", "group", "prev", "kind"] and list(r)[-1] == "sum" and r["kind"] in KINDS)
    for name, value in list(r.items())[4:-1]:
        if name not in HELD: must(name in TYPES and isinstance(value, TYPES[name]))
        else: must(value == "dropped" or len(value) == 1 and ("plain" in value or is_hash(value.get("commitment", value.get("blob")))))
    must(is_hash(r["prev"]) and all((name in r) == (r["kind"] == kind) for name, kind in OWN.items()))
    return r
def opening(line):
    try: o = json.loads(line)
    except ValueError: return None
    return o if isinstance(o, dict) and set(o) == {"seq", "field", "salt", "text"} and is_hash(o["salt"]) else None
def is_tail(data, lost):
    """Whether something stands there; raises if no crash leaves it."""
    data, count = data.rstrip(b"\0"), 0
    for line in data.split(b"\n"):
        begins = [0] + [found.start() for found in re.finditer(rb'\{"seq":', line)][:-5:-1]
        line = next((line[at:] for at in begins if whole(line[at:])), None)
        try: group = parse(line)["group"] if line else None
        except Damage: group = None
        count, lost = count + (line is not None), group if lost is None else lost
        must(len(data) <= 1 << 20 and count <= 256 and (group is None or group <= lost))
    return len(data) > 0
class Log:
    def __init__(self, dir, known):
        self.dir, self.known, self.seq, self.group, self.chain, self.peaks, self.open, self.end = dir, known, 0, 0, bytes(32), [], [], None
    def read(self, folder, name):
        path = f"{self.dir}/{folder}/{name}"
        if os.path.isfile(path) and not os.path.islink(path): return open(path, "rb").read()
        must(folder != "segments"); return b""
    def root(self):
        out = self.peaks[-1][1] if self.peaks else sha()
        for _, peak in self.peaks[-2::-1]: out = sha(b"\1", peak, out)
        return out
    def first(self, data):
        line = data[:max(data.find(b"\n", 0, 65536), 0)]
        try: r = parse(line) if whole(line) else {}
        except Damage: r = {}
        return r if "continues" in r or r.get("kind") == "genesis" else None
    def run(self):
        names = [name for name in os.listdir(f"{self.dir}/segments") if re.fullmatch(r"[0-9]{8}\.jsonl", name)]
        data = {int(name[:8]): self.read("segments", name) for name in names}
        first = {number: self.first(bytes) for number, bytes in data.items()}
        top = at = max((number for number in data if first[number]), default=0)
        end, course = None, []
        while at:
            course, r = [(at, end)] + course, first[at]
            self.seq = r["seq"] if r else 0; must(r)
            at, end = r.get("continues", {}).get("segment", 0), r.get("continues", {}).get("offset")
            must(at < course[0][0] and (at == 0 or at in data))
        self.seq, unfinished = 0, False
        for number, end in course:
            bytes, at = data[number], 0
            self.openings = list(filter(None, map(opening, self.read("disclosures", f"{number:08}.jsonl").split(b"\n"))))
            while at < (len(bytes) if end is None else end):
                stop = bytes.find(b"\n", at, at + 65536 if end is None else min(at + 65536, end))
                if stop < 0 or not whole(bytes[at:stop]): must(end is None); break
                self.line(bytes[at:stop], at); at = stop + 1
            unfinished |= is_tail(bytes[at:], self.seq) and end is None
        for number in sorted(set(data) - {number for number, _ in course}):
            unfinished |= is_tail(data[number], self.seq if number > top else None) and number > top
        must(all(size <= self.seq for size, _, _ in self.known["pins"]))
        return self.end == "sealed" and not unfinished and not self.open and any(self.known.values())
    def line(self, line, at):
        r = parse(line)
        kind, seq, group, leaf, size = r["kind"], r["seq"], r["group"], sha(b"\0", line), 1
        must(seq == self.seq and r["prev"] == self.chain.hex() and (group == seq or group == self.group and seq - group < 256))
        must((self.end is None or self.end == "seal" and kind == "checkpoint") and (kind == "genesis") == (seq == 0))
        getattr(self, f"on_{kind}", lambda *_: None)(r, line, leaf)
        must(("continues" in r) == (at == 0 and seq > 0) and r.get("continues", {}).get("hash", r["prev"]) == r["prev"])
        self.chain, self.group = sha(b"bailiwick/chain/v1\n", self.chain, leaf), group
        while self.peaks and self.peaks[-1][0] == size: leaf, size = sha(b"\1", self.peaks.pop()[1], leaf), 2 * size
        self.peaks.append((size, leaf))
        for _, root, note in [pin for pin in self.known["pins"] if pin[0] == seq + 1]:
            must(note.startswith(f"{self.origin}\n") and root == self.root())
            self.check(note)
        for field, held in [(field, r[field]) for field in HELD if isinstance(r.get(field), dict) and "plain" not in r[field]]:
            if "blob" in held: must(sha(self.read("blobs", held["blob"])).hex() == held["blob"]); continue
            while self.openings and self.openings[0]["seq"] < seq: self.openings.pop(0)
            if not self.openings or (self.openings[0]["seq"], self.openings[0]["field"]) != (seq, field): continue
            salt, text = self.openings[0]["salt"], self.openings.pop(0)["text"].encode()
            must(sha(b"bailiwick/field/v1\n", bytes.fromhex(salt), big(len(text)), text).hex() == held["commitment"])
        self.seq = seq + 1
    def check(self, note):
        text, lines = note.rsplit("\n\n", 1)
        signatures = [base64.b64decode(line.split(" ")[2]) for line in lines.splitlines() if line.startswith(f"\u2014 {self.origin} ")]
        signatures = [raw[4:] for raw in signatures if raw[:4] == sha(self.origin.encode(), b"\n\1", self.key)[:4]]
        must(signatures and ed25519.verify(self.key, f"{text}\n".encode(), signatures[0]))
    def on_genesis(self, r, line, leaf):
        g, self.log, self.epoch = r["genesis"], leaf, 1
        self.key, self.origin = bytes.fromhex(g["public"]), g.get("origin", f"bailiwick.dev/log/{leaf.hex()}")
        must(g["format"] == "bailiwick.dev/audit/v1" and self.known["key"] in (None, self.key) and self.known["log"] in (None, leaf))
    def on_checkpoint(self, r, line, leaf):
        text = f"{self.origin}\n{self.seq}\n{base64.b64encode(self.root()).decode()}\n\n\u2014 {self.origin} "
        must(r["group"] == self.seq and r["note"].startswith(text) and r["note"].count("\n") == 5)
        again = {name: r[name] for name in ("seq", "group", "prev", "kind", "continues") if name in r}
        again.update(open=self.open, peaks=[peak.hex() for _, peak in self.peaks], note=r["note"], sum=r["sum"])
        must(json.dumps(again, separators=(",", ":"), ensure_ascii=False).encode() == line)
        self.check(r["note"])
        self.end = self.end and "sealed"
    def on_key(self, r, line, leaf):
        k, public, self.epoch = r["key"], bytes.fromhex(r["key"]["public"]), self.epoch + 1
        must(k["epoch"] == self.epoch and k["previous"] == self.key.hex())
        message = b"bailiwick/key/v1\n" + self.log + big(self.seq) + self.chain + big(self.epoch) + public
        must(ed25519.verify(self.key, message, base64.b64decode(k["signature"])))
        self.key = public
    def on_intent(self, r, line, leaf): self.open = self.open + [r["seq"]]; must(len(self.open) <= 512)
    def on_result(self, r, line, leaf): self.close([r["intent"]])
    def on_recovered(self, r, line, leaf): self.close(r["recovered"].get("lost", []))
    def on_seal(self, r, line, leaf): self.end = "seal"
    def close(self, intents):
        must(set(intents) <= set(self.open) and intents == sorted(set(intents)))
        self.open = [intent for intent in self.open if intent not in intents]
def main(words):
    known, worst = {"key": None, "log": None, "pins": []}, 0
    while words and words[0].startswith("--"):
        option, value, words = words[0], words[1], words[2:]
        if option == "--log-key": known["key"] = base64.b64decode(value.split("+", 2)[2])[1:]
        if option == "--log": known["log"] = bytes.fromhex(value)
        note = open(value, encoding="utf-8", newline="").read() if option == "--pinned" else ""
        if note: known["pins"].append((int(note.split("\n")[1]), base64.b64decode(note.split("\n")[2]), note))
    for log in [Log(dir, known) for dir in words]:
        try: verdict, code = ("intact", 0) if log.run() else ("incomplete", 6)
        except (Damage, LookupError, TypeError, ValueError, AttributeError): verdict, code = "tampered", 4
        print(verdict, log.seq)
        worst = max(code, worst, key=(0, 6, 4).index)
    return worst
if __name__ == "__main__": sys.exit(main(sys.argv[1:]))
