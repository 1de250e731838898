#!/usr/bin/env python3
"""Verifies audit logs, sealed ones or copies. Written from docs/formats/audit-log.md alone; needs only Python's standard library.
Prints a line for each DIR: `intact RECORDS`, `incomplete RECORDS` or `tampered RECORD`. Exits with the worst verdict: 0, 6, 4."""
import argparse, base64, functools, hashlib, itertools, json, math, os, re, sys, zlib
from ed25519 import must, point, signs
KINDS = "genesis session intent result decision approval admission connection key checkpoint recovered redaction admin seal".split()
OWN = {**{kind: kind for kind in ("genesis", "key", "recovered", "seal")}, "intent": "result", **dict.fromkeys(("open", "peaks", "note"), "checkpoint")}
HELD = ("arguments", "facts", "reason", "result")
STRING = rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\bfnrt]|u00[01][0-9a-f]))*"'
def tried(work, *given):
    """What it returns, or None if what it reads is not as it must be."""
    try: return work(*given)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError): return None
def is_text(value): return isinstance(value, str)
def is_small(value): return type(value) is int and 0 <= value < 2**32
def is_number(value): return type(value) is int and 0 <= value < 2**64
def is_hash(value): return is_text(value) and re.fullmatch("[0-9a-f]{64}", value)
FORMS = {**dict.fromkeys("session call tool policyDigest effect note seal".split(), is_text), **dict.fromkeys(("time", "intent"), is_number),
         **dict.fromkeys("subject stateDelta rules approval sandbox outcome usage".split(), lambda _: True), "open": [is_number], "peaks": [is_hash],
         "genesis": {"format": is_text, "nonce": is_hash, "public": is_hash, "origin?": is_text},
         "key": {"epoch": is_number, "public": is_hash, "previous": is_hash, "signature": is_text},
         "recovered": {"cause": is_text, "cuts?": [{"segment": is_small, "offset": is_number, "bytes": is_number, "sha256": is_hash}], "lost?": [is_number]},
         "continues": {"segment": is_small, "offset": is_number, "hash": is_hash}}
OPENING = {"seq": is_number, "field": is_text, "salt": is_hash, "text": is_text}
def fits(value, form):
    if isinstance(form, list): return isinstance(value, list) and all(fits(element, form[0]) for element in value)
    if not isinstance(form, dict): return form(value)
    return isinstance(value, dict) and {*value} <= {name.rstrip("?") for name in form} and all(
        fits(value[name.rstrip("?")], form[name]) if name.rstrip("?") in value else "?" in name for name in form)
def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def big(number): return number.to_bytes(8, "big")
def base(text): must(base64.b64encode(raw := base64.b64decode(text, validate=True)).decode() == text); return raw
def whole(line): return line[-18:] == b',"sum":"%08x"}' % zlib.crc32(line[:-18])
def unique(pairs): must(len(dict(pairs)) == len(pairs)); return dict(pairs)
def finite(read): return lambda text: read(text) if math.isfinite(float(text)) else must(False)
loads = functools.partial(json.loads, object_pairs_hook=unique, parse_int=finite(int), parse_float=finite(float), parse_constant=lambda _: must(False))
def parse(line):
    outside = re.sub(STRING, b"", line)
    must(whole(line) and not re.search(rb'[\s"\\]|(?<![eE])-0(?![.eE])', outside))
    must(max(itertools.accumulate((c in b"[{") - (c in b"]}") for c in outside)) < 128)
    r = loads(line.decode())
    must(list(r)[:4] == ["seq", "group", "prev", "kind"] and list(r)[-1] == "sum" and r["kind"] in KINDS)
    for name, value in list(r.items())[4:-1]:
        if name not in HELD: must(fits(value, FORMS[name]))
        else: must(value == "dropped" or isinstance(value, dict) and len(value) == 1 and ("plain" in value or is_hash(value.get("commitment", value.get("blob")))))
    must(is_number(r["seq"]) and is_number(r["group"]) and is_hash(r["prev"]) and all((name in r) == (r["kind"] == kind) for name, kind in OWN.items()))
    return r
def opening(line): return {**o, "text": o["text"].encode()} if fits(o := loads(line.decode()), OPENING) and len(line) < 41_944_064 else None
def noted(note):
    found = re.fullmatch("([^\n]+\n(0|[1-9][0-9]*)\n([^\n]+)\n(?:[^\n]*\n)*?)\n((?:\u2014 [^ \n]* [^ \n]+\n)+)", note)
    size, signed = int(found[2]), [(name, base(raw)) for _, name, raw in (line.split(" ") for line in found[4].split("\n")[:-1])]
    must(is_number(size) and len(base(found[3])) == 32 and all(len(raw) >= 4 for _, raw in signed))
    return must(len(note.encode()) <= 32768 and not re.search(r"[\x00-\x09\x0b-\x1f]", note)) or (size, found[1], signed)
def is_tail(data, lost):
    """Whether something stands there; raises if no crash leaves it."""
    data, count = data.rstrip(b"\0"), 0
    for line in data.split(b"\n"):
        begins = [0] + [found.start() for found in re.finditer(rb'\{"seq":', line)][:-5:-1]
        line = next((line[at:] for at in begins if whole(line[at:])), b"")
        group = (tried(parse, line) or {}).get("group")
        count, lost = count + (line != b""), group if lost is None else lost
        must(len(data) <= 1 << 20 and count <= 256 and (group is None or group <= lost))
    return len(data) > 0
class Log:
    def __init__(self, dir, known):
        self.dir, self.known, self.seq, self.group, self.chain, self.peaks, self.open, self.end = dir, known, 0, 0, bytes(32), [], [], None
    def read(self, folder, name):
        path = f"{self.dir}/{folder}/{name}"
        if os.path.isfile(path) and not os.path.islink(path): return open(path, "rb").read()
        must(folder != "segments"); return b""
    def head(self, size):
        root = self.peaks[-1][1] if self.peaks else sha()
        for _, peak in self.peaks[-2::-1]: root = sha(b"\1", peak, root)
        return f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    def run(self):
        data = {int(name[:8]): self.read("segments", name) for name in os.listdir(f"{self.dir}/segments") if re.fullmatch(r"(?!0{8})\d{8}\.jsonl", name, re.A)}
        begins = {number: tried(parse, bytes[:max(bytes.find(b"\n", 0, 65536), 0)]) for number, bytes in data.items()}
        first = {number: r for number, r in begins.items() if r and ("continues" in r or "genesis" in r)}
        top = at = max(first, default=0)
        end, course = None, []
        while at:
            course, r = [(at, end)] + course, first.get(at)
            self.seq = r["seq"] if r else 0; must(r)
            must("continues" not in r or r["continues"]["segment"] in {number for number in data if number < at})
            at, end = r.get("continues", {}).get("segment", 0), r.get("continues", {}).get("offset")
        self.seq, unfinished = 0, False
        for number, end in course:
            bytes, at = data[number], 0
            self.openings = [o for line in self.read("disclosures", f"{number:08}.jsonl").split(b"\n") if (o := tried(opening, line))]
            while at < (len(bytes) if end is None else end):
                stop = bytes.find(b"\n", at, at + 65536 if end is None else min(at + 65536, end))
                if stop < 0 or not whole(bytes[at:stop]): must(end is None); break
                self.line(bytes[at:stop], at); at = stop + 1
            unfinished |= is_tail(bytes[at:], self.seq) and end is None
        for number in sorted(set(data) - {number for number, _ in course}):
            unfinished |= is_tail(data[number], self.seq if number > top else None) and number > top
        must(all(size <= self.seq for size, *_ in self.known["notes"]))
        return self.end == "sealed" and not unfinished and not self.open and any([*self.known["keys"], *self.known["logs"], *(size for size, *_ in self.known["notes"])])
    def line(self, line, at):
        r = parse(line)
        kind, seq, group, leaf, size = r["kind"], r["seq"], r["group"], sha(b"\0", line), 1
        must(seq == self.seq and r["prev"] == self.chain.hex() and (group == seq or group == self.group and seq - group < 256))
        must((self.end is None or self.end == "seal" and kind == "checkpoint") and (kind == "genesis") == (seq == 0))
        getattr(self, f"on_{kind}", lambda *_: None)(r, line, leaf)
        closed = [r["intent"]] if kind == "result" else r.get("recovered", {}).get("lost", [])
        must(set(closed) <= set(self.open) and closed == sorted(set(closed)))
        self.open = [intent for intent in self.open if intent not in closed] + [seq] * (kind == "intent")
        must(len(self.open) <= 512 and ("continues" in r) == (at == 0 and seq > 0) and r.get("continues", {}).get("hash", r["prev"]) == r["prev"])
        self.end, self.chain, self.group = "sealed" if self.end else {"seal": "seal"}.get(kind), sha(b"bailiwick/chain/v1\n", self.chain, leaf), group
        while self.peaks and self.peaks[-1][0] == size: leaf, size = sha(b"\1", self.peaks.pop()[1], leaf), 2 * size
        self.peaks.append((size, leaf))
        for note in [note for size, *note in self.known["notes"] if size == seq + 1]: self.check(*note, self.head(seq + 1))
        for field, held in [(field, r[field]) for field in HELD if isinstance(r.get(field), dict) and "plain" not in r[field]]:
            if "blob" in held:
                text = self.read("blobs", held["blob"])
                must(sha(text).hex() == held["blob"] and len(text) <= 20 << 20); continue
            while self.openings and self.openings[0]["seq"] < seq: self.openings.pop(0)
            if not self.openings or (self.openings[0]["seq"], self.openings[0]["field"]) != (seq, field): continue
            salt, text = self.openings[0]["salt"], self.openings.pop(0)["text"]
            must(sha(b"bailiwick/field/v1\n", bytes.fromhex(salt), big(len(text)), text).hex() == held["commitment"])
        self.seq = seq + 1
    def check(self, text, signed, head):
        signatures = [raw[4:] for name, raw in signed if name == self.origin and raw[:4] == sha(self.origin.encode(), b"\n\1", self.key)[:4]]
        must(text.startswith(head) and signs(self.key, text.encode(), signatures[0]))
    def on_genesis(self, r, line, leaf):
        g, self.log, self.epoch = r["genesis"], leaf, 1
        self.key, self.origin = bytes.fromhex(g["public"]), g.get("origin", f"bailiwick.dev/log/{leaf.hex()}")
        must(point(self.key) and len(self.origin.encode()) <= 256 and re.fullmatch(r"[^\s\x00-\x1f\x7f-\x9f+]+", self.origin))
        must(g["format"] == "bailiwick.dev/audit/v1" and {self.key} >= set(self.known["keys"]) and {leaf} >= set(self.known["logs"]))
    def on_checkpoint(self, r, line, leaf):
        self.check(*noted(r["note"])[1:], self.head(self.seq))
        again = {name: r[name] for name in ("seq", "group", "prev", "kind", "continues") if name in r}
        again.update(open=self.open, peaks=[peak.hex() for _, peak in self.peaks], note=r["note"], sum=r["sum"])
        must(r["group"] == self.seq and json.dumps(again, separators=(",", ":"), ensure_ascii=False).encode() == line and r["note"].count("\n") == 5)
    def on_key(self, r, line, leaf):
        k, public, self.epoch = r["key"], bytes.fromhex(r["key"]["public"]), self.epoch + 1
        message = b"bailiwick/key/v1\n" + self.log + big(self.seq) + self.chain + big(self.epoch) + public
        must(k["epoch"] == self.epoch and k["previous"] == self.key.hex() and point(public) and signs(self.key, message, base(k["signature"])))
        self.key = public
def main():
    words = argparse.ArgumentParser(description=__doc__)
    for option in ("--log-key", "--log", "--pinned"): words.add_argument(option, action="append", default=[])
    words.add_argument("dirs", metavar="DIR", nargs="+")
    given = words.parse_args()
    known = {"keys": [base64.b64decode(key.split("+", 2)[2])[1:] for key in given.log_key], "logs": list(map(bytes.fromhex, given.log)),
             "notes": [tried(noted, open(note, encoding="utf-8", newline="").read()) or sys.exit(f"cannot use {note}") for note in given.pinned]}
    verdicts = {log: tried(log.run) for log in [Log(dir, known) for dir in given.dirs]}
    for log, holds in verdicts.items(): print({True: "intact", False: "incomplete", None: "tampered"}[holds], log.seq)
    return 4 if None in verdicts.values() else 6 if False in verdicts.values() else 0
if __name__ == "__main__": sys.exit(main())
