//! Hostile and broken pack texts: each gets a clear error with a place, in bounded time and memory. The driver mutates seeds
//! with a fixed generator, so that a failure comes back.
#![forbid(unsafe_code)]

use bailiwick_compiler::diagnostic::has_errors;
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::parameters::Bindings;
use bailiwick_compiler::resolve::resolve;
use bailiwick_compiler::source::PackSources;

const EXAMPLE: &str = include_str!("../../docs/formats/complete.yaml");

const SEEDS: [&str; 6] = [
    EXAMPLE,
    "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: p-1.0.0}\nspec: {pack: p, version: 1.0.0}\n",
    "packs:\n- {name: base, version: 1.0.0, digest: \"0000000000000000000000000000000000000000000000000000000000000000\"}\n",
    "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec: {cases: [{name: c, syscall: {sandbox: s, name: socket}, expect: {action: Errno}}]}\n",
    "a: &a [x, *b]\nb: &b {<<: *a, on: 0o17, y: .nan}\n---\n? - q\n: >-\n  folded\n  text\n...\n",
    "\u{feff}a: \"\\u00e4\\x41\\\n   b\" # ${x}\nb: '${x}'\nc: !!int \"9\"\n",
];

/// A generator that gives the same numbers everywhere (xorshift64*, Vigna 2016).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or(0) % limit.max(1)
    }
}

fn mutate(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    const TOKENS: [&str; 18] = [
        "&a",
        "*a",
        "<<: *a",
        "[",
        "{",
        "]",
        "}",
        "\n",
        "- ",
        ": ",
        "\"",
        "'",
        "|\n",
        "${x}",
        "\u{0}",
        "!!binary ",
        "\t",
        "---\n",
    ];
    let at = numbers.below(bytes.len() + 1);
    let end = (at + numbers.below(40)).min(bytes.len());
    match numbers.below(6) {
        0 => drop(bytes.drain(at..end)),
        1 => drop(bytes.splice(at..at, TOKENS[numbers.below(TOKENS.len())].bytes())),
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = u8::try_from(numbers.below(256)).unwrap_or(0);
            }
        }
        3 => {
            let copy = bytes[at..end].to_vec();
            let to = numbers.below(bytes.len() + 1);
            drop(bytes.splice(to..to, copy));
        }
        4 => bytes.truncate(at.max(1)),
        _ => {
            let seed = SEEDS[numbers.below(SEEDS.len())].as_bytes();
            let from = numbers.below(seed.len());
            let to = (from + numbers.below(60)).min(seed.len());
            drop(bytes.splice(at..end, seed[from..to].iter().copied()));
        }
    }
}

#[test]
fn mutated_packs_never_break_the_compiler() {
    let rounds = std::env::var("FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..rounds {
        let mut bytes = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
        for _ in 0..=numbers.below(6) {
            mutate(&mut bytes, &mut numbers);
        }
        let outcome = std::panic::catch_unwind(|| bailiwick_compiler::fuzz::fuzz(&bytes));
        assert!(outcome.is_ok(), "round {round}: {:?}", String::from_utf8_lossy(&bytes));
    }
}

fn codes(bytes: Vec<u8>) -> Vec<&'static str> {
    let (resolved, diagnostics) =
        resolve(&PackSources::single(bytes), &MemoryLibrary::default(), &Bindings::default());
    assert_eq!(resolved.is_none(), has_errors(&diagnostics));
    assert!(diagnostics.iter().all(|found| found.place.is_some()), "{diagnostics:?}");
    diagnostics.iter().map(|found| found.code.id()).collect()
}

#[test]
fn nesting_of_every_kind_is_refused() {
    let deep = 200_000;
    for text in [
        "[".repeat(deep),
        "{a: ".repeat(deep),
        "- ".repeat(deep),
        "? ".repeat(deep),
        (0..2_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>(),
        format!("a: {}", "!!str ".repeat(deep)),
        "&a ".repeat(deep),
        "\"".to_owned() + &"\\".repeat(deep),
    ] {
        let found = codes(text.clone().into_bytes());
        assert!(matches!(found.as_slice(), ["BW0101" | "BW0103" | "BW0114"]), "{found:?} for {:.20}", text);
    }
}

#[test]
fn size_is_bounded() {
    assert_eq!(codes(vec![b' '; (4 << 20) + 1]), ["BW0103"]);
    assert_eq!(codes(vec![0; 100_000]), ["BW0101"]);
    let many = "a: 1\n---\n".repeat(10_000);
    assert_eq!(codes(many.into_bytes()), ["BW0103"]);
}

#[test]
fn ten_thousand_rules_are_read_and_ten_thousand_errors_reported() {
    let rule = |index: usize, field: &str| {
        format!(
            "    - name: rule-{index}\n      match: {{resources: [{{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}}]}}\n      validations: [{{{field}: \"object.metadata.name != 'n{index}'\"}}]\n"
        )
    };
    let pack = |field: &str| {
        let rules: String = (0..10_000).map(|index| rule(index, field)).collect();
        format!(
            "{}  admission:\n    rules:\n{rules}",
            SEEDS[1].replace("{pack: p, version: 1.0.0}", "\n  pack: p\n  version: 1.0.0")
        )
    };
    let (resolved, diagnostics) =
        resolve(&PackSources::single(pack("expression")), &MemoryLibrary::default(), &Bindings::default());
    assert!(diagnostics.is_empty(), "{:?}", diagnostics.first());
    let resolved = resolved.expect("accepted");
    assert_eq!(resolved.packs[0].spec.admission.as_ref().expect("there").rules.len(), 10_000);
    let found = codes(pack("expresion").into_bytes());
    assert_eq!(found.iter().filter(|code| **code == "BW0104").count(), 10_000);
}

#[test]
fn the_complete_example_of_the_language_is_read_without_a_finding() {
    let sources = PackSources::single(EXAMPLE);
    let base = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: restricted-agent-1.0.0}\nspec: {pack: restricted-agent, version: 1.0.0}\n";
    let mut library = MemoryLibrary::default();
    library.add(PackSources::single(base));
    let (lock, diagnostics, _) = bailiwick_compiler::resolve::make_lock(&sources, &library);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let mut sources = sources;
    sources.lock = lock.map(|text| bailiwick_compiler::source::SourceFile::new("pack.lock", text));
    let (resolved, diagnostics) = resolve(&sources, &library, &Bindings::default());
    assert!(resolved.is_some() && diagnostics.is_empty(), "{diagnostics:?}");
}
