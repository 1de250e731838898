//! Random expressions of the kinds that two engines have in common, and their reduction while a property
//! holds.
//!
//! Every expression is well typed; its evaluation may be an error (a division by zero, an index beyond a
//! list). Equal seeds give equal expressions.

/// The kind of an expression's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List(Box<Kind>),
    /// With string keys.
    Map(Box<Kind>),
    /// One of these literals with a meaning, such as a quantity or an address.
    Word(&'static [&'static str]),
}

/// An expression: texts with operands between them.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    kind: Kind,
    /// One more than there are operands.
    texts: Vec<String>,
    operands: Vec<Term>,
}

/// SplitMix64.
pub(crate) struct Dice {
    state: u64,
    /// Whether expressions also use the API server's own functions.
    kubernetes: bool,
}

impl Dice {
    /// Expressions of CEL and its common extensions.
    pub(crate) const fn of(seed: u64) -> Self {
        Self { state: seed, kubernetes: false }
    }

    /// Expressions of CEL, its common extensions and the API server's libraries.
    pub(crate) const fn of_kubernetes(seed: u64) -> Self {
        Self { state: seed, kubernetes: true }
    }

    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.roll() % of.len() as u64).unwrap()]
    }
}

/// Forms of each kind: `$I`, `$U`, `$D`, `$B`, `$S`, `$Y` are operands (int, uint, double, bool, string,
/// bytes), `$T` one of the kind itself or of a list's elements, `$L` and `$N` lists of ints and of strings,
/// `$X` the list itself, `$M` the map itself.
const OF_BOOL: &[&str] = &[
    "($B && $B)",
    "($B || $B)",
    "!$B",
    "($B ? $B : $B)",
    "($I == $I)",
    "($I != $I)",
    "($I < $I)",
    "($I >= $I)",
    "($U < $U)",
    "($D <= $D)",
    "($D == $D)",
    "($S == $S)",
    "($S < $S)",
    "($Y == $Y)",
    "($L == $L)",
    "($N == $N)",
    "($I in $L)",
    "($S in $N)",
    "$S.contains($S)",
    "$S.startsWith($S)",
    "$S.endsWith($S)",
    "$L.all(x, x > $I)",
    "$L.exists(x, x == $I)",
    "$L.exists_one(x, x < $I)",
    "$N.all(x, x.size() > $I)",
    "$L.exists(x, ($I / x) == 1)",
    "$L.all(x, ($I / x) == 1)",
    "has({'a': $I}.a)",
    "has({'a': $I}.b)",
    "({'a': $I, 'b': $I} == {'b': $I, 'a': $I})",
    "('a' in {'a': $I})",
    "(type($I) == type($I))",
    "math.isNaN($D)",
    "math.isInf($D)",
    "(dyn($I) == dyn($D))",
    "(dyn($U) == dyn($I))",
];
const OF_INT: &[&str] = &[
    "($I + $I)",
    "($I - $I)",
    "($I * $I)",
    "($I / $I)",
    "($I % $I)",
    "(-$I)",
    "($B ? $I : $I)",
    "size($S)",
    "$S.size()",
    "$L.size()",
    "size($Y)",
    "int($U)",
    "int($D)",
    "int($I)",
    "int('12')",
    "$L[$I]",
    "{'a': $I, 'b': $I}['a']",
    "{'a': $I}.a",
    "{'a': $I}[$S]",
    "math.greatest($I, $I)",
    "math.least([$I, $I, $I])",
    "math.abs($I)",
    "math.sign($I)",
    "math.bitAnd($I, $I)",
    "math.bitXor($I, $I)",
    "math.bitNot($I)",
    "math.bitShiftLeft($I, $I)",
    "math.bitShiftRight($I, $I)",
    "$S.indexOf($S)",
    "$S.indexOf($S, $I)",
    "$S.lastIndexOf($S)",
    "optional.of($I).orValue($I)",
    "{'a': $I}[?$S].orValue($I)",
    "$L[?$I].orValue($I)",
];
const OF_UINT: &[&str] = &[
    "($U + $U)",
    "($U - $U)",
    "($U * $U)",
    "($U / $U)",
    "($U % $U)",
    "uint($I)",
    "uint($D)",
    "math.bitOr($U, $U)",
    "math.abs($U)",
];
const OF_DOUBLE: &[&str] = &[
    "($D + $D)",
    "($D - $D)",
    "($D * $D)",
    "($D / $D)",
    "(-$D)",
    "double($I)",
    "double($U)",
    "double('1.5')",
    "math.ceil($D)",
    "math.floor($D)",
    "math.round($D)",
    "math.trunc($D)",
    "math.abs($D)",
    "math.sqrt($D)",
    "math.greatest($D, $D)",
    "($B ? $D : $D)",
];
const OF_TEXT: &[&str] = &[
    "($S + $S)",
    "($B ? $S : $S)",
    "string($I)",
    "string($U)",
    "string($B)",
    "string($S)",
    "string($Y)",
    "$S.charAt($I)",
    "$S.substring($I)",
    "$S.substring($I, $I)",
    "$S.replace($S, $S)",
    "$S.replace($S, $S, $I)",
    "$S.lowerAscii()",
    "$S.upperAscii()",
    "$S.trim()",
    "$S.reverse()",
    "$N.join()",
    "$N.join($S)",
    "$N[$I]",
    "strings.quote($S)",
    "'%d and %s'.format([$I, $S])",
    "'%x %o %b'.format([$I, $I, $I])",
    "'%.2f'.format([$D])",
    "'%s'.format([$L])",
];
const OF_BYTES: &[&str] = &["($Y + $Y)", "bytes($S)", "($B ? $Y : $Y)"];
const OF_LIST: &[&str] = &[
    "[$T]",
    "[$T, $T]",
    "[$T, $T, $T]",
    "($X + $X)",
    "$X.filter(x, $B)",
    "$X.map(x, $T)",
    "$L.map(x, x > $I, $T)",
    "$X.reverse()",
    "$X.slice($I, $I)",
    "$X.distinct()",
    "[$X, $X].flatten()",
    "($B ? $X : $X)",
];
const OF_INTS: &[&str] =
    &["lists.range(3)", "$X.sort()", "$X.map(x, x + $I)", "$X.filter(x, x > $I)", "$N.map(x, x.size())"];
const OF_TEXTS: &[&str] =
    &["$S.split($S)", "$S.split($S, $I)", "$X.sort()", "$X.map(x, x + $S)", "$L.map(x, string(x))"];
const OF_MAP: &[&str] = &["{'a': $T}", "{'a': $T, 'b': $T}", "($B ? $M : $M)", "{$S: $T, 'ä': $T}"];

/// Forms of the API server's libraries. `$Q` quantity, `$P` address, `$R` network, `$V` version, `$W` URL,
/// `$G` pattern, as texts.
const KUBERNETES: &[(Kind, &[&str])] = &[
    (
        Kind::Bool,
        &[
            "isQuantity($Q)",
            "quantity($Q).isLessThan(quantity($Q))",
            "quantity($Q).isGreaterThan(quantity($Q))",
            "(quantity($Q) == quantity($Q))",
            "quantity($Q).isInteger()",
            "isIP($P)",
            "ip.isCanonical($P)",
            "ip($P).isLoopback()",
            "ip($P).isUnspecified()",
            "ip($P).isGlobalUnicast()",
            "ip($P).isLinkLocalUnicast()",
            "(ip($P) == ip($P))",
            "isCIDR($R)",
            "cidr($R).containsIP($P)",
            "cidr($R).containsIP(ip($P))",
            "cidr($R).containsCIDR($R)",
            "(cidr($R) == cidr($R))",
            "isURL($W)",
            "(url($W) == url($W))",
            "isSemver($V)",
            "isSemver($V, true)",
            "semver($V).isGreaterThan(semver($V))",
            "(semver($V) == semver($V))",
            "$N.isSorted()",
            "$L.isSorted()",
            "sets.contains($L, $L)",
            "sets.equivalent($N, $N)",
            "sets.intersects($L, $L)",
            "format.dns1123Label().validate($S).hasValue()",
            "format.named('uri').value().validate($W).hasValue()",
            "$L.all(i, x, i < x)",
            "$N.exists(i, s, s == $S)",
            "{'a': $I, 'b': $I}.existsOne(k, v, v == $I)",
            "$S.matches($G)",
        ],
    ),
    (
        Kind::Int,
        &[
            "quantity($Q).compareTo(quantity($Q))",
            "quantity($Q).asInteger()",
            "quantity($Q).sign()",
            "quantity($Q).add($I).sign()",
            "quantity($Q).sub(quantity($Q)).sign()",
            "ip($P).family()",
            "cidr($R).prefixLength()",
            "cidr($R).ip().family()",
            "semver($V).major()",
            "semver($V, true).minor()",
            "semver($V).compareTo(semver($V))",
            "($L + [1]).sum()",
            "($L + [1]).max()",
            "($L + [1]).min()",
            "$L.indexOf($I)",
            "$N.lastIndexOf($S)",
        ],
    ),
    (
        Kind::Text,
        &[
            "string(ip($P))",
            "string(cidr($R))",
            "string(cidr($R).masked())",
            "url($W).getScheme()",
            "url($W).getHost()",
            "url($W).getHostname()",
            "url($W).getPort()",
            "url($W).getEscapedPath()",
            "$S.find($G)",
            "$N.min()",
            "string(timestamp('2024-02-29T23:59:59Z') + duration('36h'))",
            "string(duration('90m') - duration('1s'))",
        ],
    ),
    (Kind::Double, &["quantity($Q).asApproximateFloat()"]),
];
/// The same for lists of strings.
const KUBERNETES_TEXTS: &[&str] = &[
    "$S.findAll($G)",
    "$S.findAll($G, $I)",
    "$N.transformList(i, s, s + $S)",
    "$N.transformList(i, s, i > 0, $S)",
    "format.dns1123Label().validate($S).orValue([])",
];

const QUANTITIES: &[&str] = &[
    "'0'",
    "'1'",
    "'1.5'",
    "'100m'",
    "'2Gi'",
    "'-3k'",
    "'1e3'",
    "'1E'",
    "'0.1u'",
    "'1.0001'",
    "'9999999999999999999'",
    "'x'",
];
const ADDRESSES: &[&str] = &[
    "'127.0.0.1'",
    "'0.0.0.0'",
    "'192.168.1.255'",
    "'169.254.1.1'",
    "'::1'",
    "'::'",
    "'fe80::1'",
    "'2001:db8::A'",
    "'::ffff:1.2.3.4'",
    "'1.2.3'",
    "'01.2.3.4'",
    "'224.0.0.1'",
];
const NETWORKS: &[&str] = &[
    "'10.0.0.0/8'",
    "'192.168.1.255/16'",
    "'0.0.0.0/0'",
    "'127.0.0.1/32'",
    "'::/0'",
    "'2001:db8::/32'",
    "'fe80::1/64'",
    "'10.0.0.0/33'",
    "'10.0.0.0'",
];
const VERSIONS: &[&str] = &[
    "'1.2.3'",
    "'0.0.0'",
    "'1.2.3-rc.1'",
    "'1.2.3-rc.2+b'",
    "'1.10.0'",
    "'v1.2'",
    "'1'",
    "'01.2.3'",
    "'1.2.3-'",
];
const URLS: &[&str] = &[
    "'https://example.com:80/a%20b?x=1&y#f'",
    "'/path'",
    "'http://[::1]:8080/'",
    "'mailto:a@b'",
    "'https://user:pw@host/'",
    "''",
    "'../a'",
    "'http://a b/'",
    "'HTTP://EXAMPLE.com'",
];
const PATTERNS: &[&str] =
    &["'a'", "'[a-z]+'", "'^$'", "'(a|B)*'", "'.'", "'[[:alpha:]]'", "'\\\\d{1,2}'", "'(?i)A'"];

/// The forms that a term of a kind may have.
fn forms(kind: &Kind, dice: &mut Dice) -> &'static [&'static str] {
    if dice.kubernetes && dice.roll().is_multiple_of(3) {
        let texts = matches!(kind, Kind::List(of) if **of == Kind::Text);
        let own = KUBERNETES.iter().find(|(of, _)| of == kind).map(|(_, forms)| *forms);
        if let Some(forms) = own.or(texts.then_some(KUBERNETES_TEXTS)) {
            return forms;
        }
    }
    match kind {
        Kind::Bool => OF_BOOL,
        Kind::Int => OF_INT,
        Kind::Uint => OF_UINT,
        Kind::Double => OF_DOUBLE,
        Kind::Text => OF_TEXT,
        Kind::Bytes => OF_BYTES,
        Kind::List(of) if **of == Kind::Int && dice.roll().is_multiple_of(3) => OF_INTS,
        Kind::List(of) if **of == Kind::Text && dice.roll().is_multiple_of(3) => OF_TEXTS,
        Kind::List(_) => OF_LIST,
        Kind::Map(_) => OF_MAP,
        Kind::Word(words) => words,
    }
}

/// The kinds of whole expressions by which engines are compared.
pub(crate) fn kinds() -> [Kind; 8] {
    [
        Kind::Bool,
        Kind::Int,
        Kind::Uint,
        Kind::Double,
        Kind::Text,
        Kind::List(Box::new(Kind::Int)),
        Kind::List(Box::new(Kind::Text)),
        Kind::Map(Box::new(Kind::Int)),
    ]
}

impl Term {
    /// An expression of this kind that nests this deep at most.
    pub(crate) fn random(kind: &Kind, depth: u32, dice: &mut Dice) -> Self {
        let leaf =
            |text: &str| Self { kind: kind.clone(), texts: vec![text.to_owned()], operands: Vec::new() };
        if depth == 0 || matches!(kind, Kind::Word(_)) || dice.roll().is_multiple_of(8) {
            let plain: &&str = dice.pick(leaves(kind));
            return leaf(plain);
        }
        let forms = forms(kind, dice);
        let form: &&str = dice.pick(forms);
        let mut parts = form.split('$');
        let mut texts = vec![parts.next().unwrap_or_default().to_owned()];
        let mut operands = Vec::new();
        for part in parts {
            let (sign, rest) = part.split_at(1);
            texts.push(rest.to_owned());
            operands.push(Self::random(&operand(sign, kind), depth - 1, dice));
        }
        Self { kind: kind.clone(), texts, operands }
    }

    /// As CEL.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (before, operand) in self.texts.iter().zip(&self.operands) {
            text += before;
            text += &operand.text();
        }
        text + self.texts.last().map_or("", String::as_str)
    }

    /// As CEL, with what `replaced` gives in the place of a plain value.
    pub(crate) fn text_with(&self, replaced: &mut dyn FnMut(&Kind, &str) -> Option<String>) -> String {
        let mut text = String::new();
        for (before, operand) in self.texts.iter().zip(&self.operands) {
            text += before;
            text += &operand.text_with(replaced);
        }
        let last = self.texts.last().map_or("", String::as_str);
        let own = if self.operands.is_empty() { replaced(&self.kind, last) } else { None };
        text + &own.unwrap_or_else(|| last.to_owned())
    }

    /// Its text without its operands.
    pub(crate) fn form(&self) -> String {
        self.texts.join("…")
    }

    /// The smallest expression found for which the property still holds: operands replace the expressions
    /// around them, and plain values replace anything.
    pub(crate) fn smallest(mut self, holds: &dyn Fn(&str) -> bool) -> Self {
        loop {
            // A wrong operand of any kind is wrong without its surroundings, too: operands name no variables
            // of macros.
            let parts = self.operands.clone().into_iter();
            let smaller = parts.chain(self.smaller()).find(|one| holds(&one.text()));
            match smaller {
                Some(smaller) => self = smaller,
                None => return self,
            }
        }
    }

    /// Everything that is one step smaller.
    fn smaller(&self) -> Vec<Self> {
        let mut found: Vec<Self> =
            self.operands.iter().filter(|operand| operand.kind == self.kind).cloned().collect();
        let rank = leaves(&self.kind).iter().position(|leaf| *leaf == self.text());
        let simpler = rank.map_or(leaves(&self.kind), |rank| &leaves(&self.kind)[..rank]);
        found.extend(simpler.iter().map(|leaf| Self {
            kind: self.kind.clone(),
            texts: vec![(*leaf).to_owned()],
            operands: Vec::new(),
        }));
        for (at, operand) in self.operands.iter().enumerate() {
            for smaller in operand.smaller() {
                let mut one = self.clone();
                one.operands[at] = smaller;
                found.push(one);
            }
        }
        found
    }
}

/// The plain values of a kind, the plainest first.
fn leaves(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind::Bool => &["true", "false"],
        Kind::Int => &["0", "1", "2", "-1", "7", "-3", "63", "9223372036854775807", "-9223372036854775808"],
        Kind::Uint => &["0u", "1u", "7u", "18446744073709551615u"],
        Kind::Double => &["0.0", "1.0", "1.5", "-2.5", "0.1", "1e300", "-1e-7"],
        Kind::Text => &["''", "'a'", "'b'", "'aBa'", "'ä'", "'x😀y'", "' \\t'", "'1'"],
        Kind::Bytes => &["b''", "b'a'", "b'\\xff'"],
        Kind::List(_) => &["[]"],
        Kind::Map(_) => &["{}"],
        Kind::Word(words) => words,
    }
}

fn operand(sign: &str, of: &Kind) -> Kind {
    match (sign, of) {
        ("B", _) => Kind::Bool,
        ("I", _) => Kind::Int,
        ("U", _) => Kind::Uint,
        ("D", _) => Kind::Double,
        ("S", _) => Kind::Text,
        ("Y", _) => Kind::Bytes,
        ("Q", _) => Kind::Word(QUANTITIES),
        ("P", _) => Kind::Word(ADDRESSES),
        ("R", _) => Kind::Word(NETWORKS),
        ("V", _) => Kind::Word(VERSIONS),
        ("W", _) => Kind::Word(URLS),
        ("G", _) => Kind::Word(PATTERNS),
        ("L", _) => Kind::List(Box::new(Kind::Int)),
        ("N", _) => Kind::List(Box::new(Kind::Text)),
        ("T", Kind::List(inner) | Kind::Map(inner)) => (**inner).clone(),
        ("X" | "M", of) => of.clone(),
        _ => panic!("no operand `${sign}` of {of:?}"),
    }
}
