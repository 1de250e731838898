//! Every code of reading and composing a pack (01xx, 02xx): a pack that it refuses, the message as rendered, and the twin
//! without the fault that is accepted.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use bailiwick_compiler::diagnostic::{Diagnostic, has_errors};
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::parameters::Bindings;
use bailiwick_compiler::resolve::{make_lock, resolve};
use bailiwick_compiler::source::{PackSources, SourceFile};
use bailiwick_compiler::yaml::line_and_column;
use expect_test::{Expect, expect};

/// A pack with this body of `spec`, indented by two.
fn pack(spec: &str) -> String {
    named("p", "1.0.0", spec)
}

fn named(name: &str, version: &str, spec: &str) -> String {
    format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: {name}-{version}}}\n\
         spec:\n  pack: {name}\n  version: {version}\n{spec}"
    )
}

fn render(found: &Diagnostic, sources: &PackSources) -> String {
    let Some(place) = &found.place else { return format!("{found}\n") };
    let files = sources.files.iter().chain(&sources.lock);
    let text =
        files.filter(|file| file.name == place.file).map(|file| String::from_utf8_lossy(&file.bytes)).next();
    let text = text.unwrap_or_default();
    let (line, column) = line_and_column(&text, place.bytes.start);
    let shown = text.get(place.bytes.clone()).unwrap_or_default().replace('\n', "⏎");
    format!("{}:{line}:{column} `{shown}`\n{found}\n", place.file)
}

/// A pack with what it is compiled with.
#[derive(Default)]
struct Case {
    sources: PackSources,
    library: MemoryLibrary,
    bindings: Bindings,
}

impl Case {
    fn of(text: impl Into<Vec<u8>>) -> Self {
        Self { sources: PackSources::single(text), ..Self::default() }
    }

    fn with_fragment(mut self, name: &str, text: &str) -> Self {
        self.sources.files.push(SourceFile::new(name, text));
        self
    }

    fn with_library(mut self, packs: &[&str]) -> Self {
        for text in packs {
            self.library.add(PackSources::single(*text));
        }
        self
    }

    fn with_lock(mut self, text: &str) -> Self {
        self.sources.lock = Some(SourceFile::new("pack.lock", text));
        self
    }

    fn locked(mut self) -> Self {
        let (text, diagnostics) = make_lock(&self.sources, &self.library);
        let text = text.unwrap_or_else(|| panic!("no lock: {diagnostics:?}"));
        self.sources.lock = Some(SourceFile::new("pack.lock", text));
        self
    }

    fn binding(mut self, name: &str, value: serde_json::Value) -> Self {
        self.bindings.values.insert(name.to_owned(), value);
        self
    }

    fn run(&self) -> (bool, Vec<Diagnostic>) {
        let (resolved, diagnostics) = resolve(&self.sources, &self.library, &self.bindings);
        assert_eq!(resolved.is_none(), has_errors(&diagnostics), "a result exactly when there is no error");
        (resolved.is_some(), diagnostics)
    }
}

/// The failing pack gives these findings, the first of them with this code; its twin none.
fn twins(code: &str, failing: &Case, expected: &Expect, passing: &Case) {
    let (_, diagnostics) = failing.run();
    assert_eq!(diagnostics.first().map(|found| found.code.id()), Some(code), "{diagnostics:?}");
    for found in &diagnostics {
        assert!(found.place.is_some() || found.at.to_string().starts_with("bindings"), "no place: {found}");
    }
    expected.assert_eq(&diagnostics.iter().map(|found| render(found, &failing.sources)).collect::<String>());
    let (accepted, diagnostics) = passing.run();
    assert!(accepted && diagnostics.is_empty(), "{diagnostics:?}");
}

const SUBJECT: &str = "  subjects: {namespaces: {selector: {matchLabels: {zone: agents}}}}\n";

#[test]
fn bw0101_invalid_yaml() {
    twins(
        "BW0101",
        &Case::of(pack("  images: [{match: [a\n")),
        &expect![[r#"
        pack.yaml:7:20 `[a`
        error[BW0101]: not valid YAML: unclosed bracket '['
    "#]],
        &Case::of(pack("  images: [{match: [a]}]\n")),
    );
}

#[test]
fn bw0102_duplicate_key() {
    let twice = "  isolation: {}\n  network: {}\n  isolation: {serviceAccountToken: Forbidden}\n";
    twins(
        "BW0102",
        &Case::of(pack(twice)),
        &expect![[r#"
        pack.yaml:9:3 `isolation`
        error[BW0102]: key `isolation` stands here twice
          help: keep one of them: readers disagree about which one counts
    "#]],
        &Case::of(pack("  isolation: {}\n  network: {}\n")),
    );
}

#[test]
fn bw0103_limit_exceeded() {
    let mut bomb = String::from("  x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n");
    for level in 1..8 {
        let before = format!("*x{}", level - 1);
        bomb.push_str(&format!("  x{level}: &x{level} [{}]\n", [before.as_str(); 10].join(", ")));
    }
    let mild = "  subjects:\n    namespaces: {selector: &s {matchLabels: {zone: agents}}}\n    pods: *s\n";
    twins(
        "BW0103",
        &Case::of(pack(&bomb)),
        &expect![[r#"
        pack.yaml:7:39 `a`
        error[BW0103]: the document is too large to read: budget breached: RecordedAnchorEvents { recorded_anchor_events: 100001 }
          help: at most 64 levels, 1000000 values, 64 documents, and 100000 values by aliases
    "#]],
        &Case::of(pack(mild)),
    );
}

#[test]
fn bw0104_unknown_field() {
    let failing = Case::of(pack("  netwrok: {}\n  isolation: {runtimeClas: {}, quux: 1}\n"));
    twins(
        "BW0104",
        &failing,
        &expect![[r#"
        pack.yaml:7:3 `netwrok`
        error[BW0104] at spec.netwrok: unknown field `netwrok`
          help: did you mean `network`?
        pack.yaml:8:15 `runtimeClas`
        error[BW0104] at spec.isolation.runtimeClas: unknown field `runtimeClas`
          help: did you mean `runtimeClass`?
        pack.yaml:8:32 `quux`
        error[BW0104] at spec.isolation.quux: unknown field `quux`
          help: known here: `podSecurity`, `runtimeClass`, `serviceAccountToken`
    "#]],
        &Case::of(pack("  network: {}\n")),
    );
}

#[test]
fn bw0105_not_utf8() {
    let latin = [pack("  description: caf").into_bytes(), b"\xe9\n".to_vec()].concat();
    twins(
        "BW0105",
        &Case::of(latin),
        &expect![[r#"
        pack.yaml:1:1 ``
        error[BW0105]: `pack.yaml` is not UTF-8: byte 129 is 0xe9
          help: save the file as UTF-8
    "#]],
        &Case::of(pack("  description: café\n")),
    );
}

#[test]
fn bw0106_boolean_key() {
    let key = |key: &str| {
        Case::of(pack(&format!("  subjects: {{namespaces: {{selector: {{matchLabels: {{{key}: a}}}}}}}}\n")))
    };
    twins(
        "BW0106",
        &key("on"),
        &expect![[r#"
        pack.yaml:7:52 `on`
        error[BW0106] at spec.subjects.namespaces.selector.matchLabels.on: key `on` is a boolean in YAML: kubectl reads it as `"true"`
          help: write `"on"`
    "#]],
        &key("'on'"),
    );
}

#[test]
fn bw0107_wrong_type() {
    let failing = "  isolation: Restricted\n  network: [a]\n  description: yes\n  images:\n  subjects: {namespaces: {selector: {matchLabels: {a: 1}}, exclusive: 'true'}}\n";
    twins(
        "BW0107",
        &Case::of(pack(failing)),
        &expect![[r#"
        pack.yaml:7:14 `Restricted`
        error[BW0107] at spec.isolation: expected an object, found a string
        pack.yaml:8:12 `[a]`
        error[BW0107] at spec.network: expected an object, found a list
        pack.yaml:9:16 `yes`
        error[BW0107] at spec.description: expected a string, found a boolean
          help: put it in quotes
        pack.yaml:10:9 ``
        error[BW0107] at spec.images: expected a list, found null
          help: leave the field out, or give it a value
        pack.yaml:11:55 `1`
        error[BW0107] at spec.subjects.namespaces.selector.matchLabels.a: expected a string, found an integer
          help: put it in quotes
        pack.yaml:11:71 `'true'`
        error[BW0107] at spec.subjects.namespaces.exclusive: expected a boolean, found a string
    "#]],
        &Case::of(pack("  description: 'yes'\n  images: []\n")),
    );
}

#[test]
fn bw0108_missing_field() {
    let class = |extra: &str| {
        Case::of(pack(&format!(
            "  isolation: {{runtimeClass: {{classes: [{{name: gvisor, kind: GVisor{extra}}}]}}}}\n"
        )))
    };
    twins(
        "BW0108",
        &class(""),
        &expect![[r#"
        pack.yaml:7:40 `{name: gvisor, kind: GVisor}`
        error[BW0108] at spec.isolation.runtimeClass.classes[0]: field `handler` is missing
    "#]],
        &class(", handler: runsc"),
    );
}

#[test]
fn bw0109_unknown_word() {
    let level = |level: &str| {
        Case::of(pack(&format!("  isolation: {{podSecurity: {{level: {level}, version: v1.36}}}}\n")))
    };
    twins(
        "BW0109",
        &level("restrictd"),
        &expect![[r#"
        pack.yaml:7:36 `restrictd`
        error[BW0109] at spec.isolation.podSecurity.level: unknown word `restrictd`
          help: did you mean `Restricted`? One of `Privileged`, `Baseline`, `Restricted`
    "#]],
        &level("Restricted"),
    );
}

#[test]
fn bw0110_bad_form() {
    let failing = named(
        "Code_Interpreter",
        "1.0",
        "  network: {egress: [{name: a, to: {cidr: 10.0.0.1/8}, ports: [{port: 1}]}]}\n  audit: {retention: 10 days}\n",
    );
    let passing = pack(
        "  network: {egress: [{name: a, to: {cidr: 10.0.0.0/8}, ports: [{port: 1}]}]}\n  audit: {retention: 240h}\n",
    );
    twins(
        "BW0110",
        &Case::of(failing),
        &expect![[r#"
        pack.yaml:3:18 `Code_Interpreter-1.0`
        error[BW0110] at metadata.name: `Code_Interpreter-1.0` has not the form `^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
        pack.yaml:5:9 `Code_Interpreter`
        error[BW0110] at spec.pack: `Code_Interpreter` has not the form `^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
        pack.yaml:6:12 `1.0`
        error[BW0107] at spec.version: expected a string, found an integer
          help: put it in quotes
        pack.yaml:7:43 `10.0.0.1/8`
        error[BW0110] at spec.network.egress[0].to.cidr: `10.0.0.1/8` is an address inside a network, not a network
          help: the bits after the prefix must be zero
        pack.yaml:8:22 `10 days`
        error[BW0110] at spec.audit.retention: `10 days` is no duration
          help: write it as Go does: `1h30m`, `10s`, `500ms`
    "#]],
        &Case::of(passing),
    );
}

#[test]
fn bw0111_out_of_range() {
    let ports = |ports: &str| {
        Case::of(pack(&format!(
            "  network: {{egress: [{{name: a, to: {{pods: {{}}}}, ports: [{ports}]}}]}}\n"
        )))
    };
    twins(
        "BW0111",
        &ports("{port: 70000}"),
        &expect![[r#"
        pack.yaml:7:63 `70000`
        error[BW0111] at spec.network.egress[0].ports[0].port: `70000` is out of range: from 1 to 65535
    "#]],
        &ports("{port: 65535}"),
    );
    twins(
        "BW0111",
        &ports(""),
        &expect![[r#"
        pack.yaml:7:55 `[]`
        error[BW0111] at spec.network.egress[0].ports: at least 1 element must be there, found 0
    "#]],
        &ports("{port: 1}"),
    );
}

#[test]
fn bw0112_duplicate_name() {
    let rules = |second: &str| {
        let rule = |name: &str| format!("    - {{name: {name}, to: {{pods: {{}}}}, ports: [{{port: 1}}]}}\n");
        Case::of(pack(&format!("  network:\n    egress:\n{}{}", rule("dns"), rule(second))))
    };
    twins(
        "BW0112",
        &rules("dns"),
        &expect![[r#"
        pack.yaml:10:14 `dns`
        error[BW0112] at spec.network.egress[1].name: `dns` is the name of another element of this list
          help: give each element a name of its own
          spec.network.egress[0].name: first used here
    "#]],
        &rules("dns-tcp"),
    );
}

#[test]
fn bw0113_members() {
    let to = |to: &str| {
        Case::of(pack(&format!("  network: {{egress: [{{name: a, to: {to}, ports: [{{port: 1}}]}}]}}\n")))
    };
    twins(
        "BW0113",
        &to("{hosts: [a.example], cidr: 192.0.2.0/24}"),
        &expect![[r#"
        pack.yaml:7:36 `{hosts: [a.example], cidr: 192.0.2.0/24}`
        error[BW0113] at spec.network.egress[0].to: only one of `hosts` or `cidr` or `namespaces`, `pods` may be there
    "#]],
        &to("{cidr: 192.0.2.0/24, except: [192.0.2.0/25]}"),
    );
    twins(
        "BW0113",
        &to("{}"),
        &expect![[r#"
        pack.yaml:7:36 `{}`
        error[BW0113] at spec.network.egress[0].to: one of `hosts` or `cidr` or `namespaces`, `pods` must be there
    "#]],
        &to("{namespaces: {}, pods: {}}"),
    );
    twins(
        "BW0113",
        &to("{pods: {}, except: [192.0.2.0/25]}"),
        &expect![[r#"
        pack.yaml:7:36 `{pods: {}, except: [192.0.2.0/25]}`
        error[BW0113] at spec.network.egress[0].to: `except` needs `cidr`
    "#]],
        &to("{pods: {}}"),
    );
    let images = |entry: &str| Case::of(pack(&format!("  images: [{{match: [a], {entry}}}]\n")));
    let signed = "require: [{signature: {identity: {publicKey: k}}}]";
    twins(
        "BW0113",
        &images(&format!("deny: true, {signed}")),
        &expect![[r#"
        pack.yaml:7:12 `{match: [a], deny: true, require: [{signature: {identity: {publicKey: k}}}]}`
        error[BW0113] at spec.images[0]: `deny`, `require` exclude each other
    "#]],
        &images(signed),
    );
}

#[test]
fn bw0114_wrong_document() {
    twins(
        "BW0114",
        &Case::of("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"),
        &expect![[r#"
        pack.yaml:1:13 `v1`
        error[BW0114] at apiVersion: expected apiVersion `bailiwick.dev/v1alpha1`
          help: a pack's folder holds one `PolicyPack` of `bailiwick.dev/v1alpha1` and fragments of it
    "#]],
        &Case::of(pack("")),
    );
    twins(
        "BW0114",
        &Case::of("# nothing\n"),
        &expect![[r#"
        pack.yaml:1:1 ``
        error[BW0114]: there is no PolicyPack here
          help: a pack begins with `apiVersion: bailiwick.dev/v1alpha1` and `kind: PolicyPack`
    "#]],
        &Case::of(pack("")),
    );
    twins(
        "BW0114",
        &Case::of("- a\n"),
        &expect![[r#"
        pack.yaml:1:1 `- a`
        error[BW0114]: expected a PolicyPack, found a list
          help: a pack's folder holds one `PolicyPack` of `bailiwick.dev/v1alpha1` and fragments of it
    "#]],
        &Case::of(pack("")),
    );
}

#[test]
fn bw0115_object_name() {
    let failing = pack(SUBJECT).replace("name: p-1.0.0", "name: p");
    twins(
        "BW0115",
        &Case::of(failing),
        &expect![[r#"
        pack.yaml:3:18 `p`
        error[BW0115] at metadata.name: `p` is not the name of pack `p` in version `1.0.0`
          help: write `p-1.0.0`
    "#]],
        &Case::of(pack(SUBJECT)),
    );
}

#[test]
fn bw0201_fragment_clash() {
    let fragment =
        |spec: &str| format!("apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nspec:\n{spec}");
    let rule = "  network: {egress: [{name: dns, to: {pods: {}}, ports: [{port: 53}]}]}\n";
    let base = pack(&format!("  isolation: {{serviceAccountToken: Forbidden}}\n{rule}"));
    let clash = fragment(&format!("  isolation: {{serviceAccountToken: Allowed}}\n{rule}"));
    let fine = fragment(
        "  isolation: {podSecurity: {level: Baseline, version: v1.36}}\n  network: {egress: [{name: web, to: {pods: {}}, ports: [{port: 80}]}]}\n",
    );
    twins(
        "BW0201",
        &Case::of(base.clone()).with_fragment("more.yaml", &clash),
        &expect![[r#"
            more.yaml:4:36 `Allowed`
            error[BW0201] at spec.isolation.serviceAccountToken: this field is stated in another file already
              help: keep it in `pack.yaml` or in `more.yaml`
              spec.isolation.serviceAccountToken: first stated in `pack.yaml`
            more.yaml:5:29 `dns`
            error[BW0201] at spec.network.egress[1]: `dns` is declared in another file already
              help: keep it in `pack.yaml` or in `more.yaml`
              spec.network.egress[1]: first stated in `pack.yaml`
        "#]],
        &Case::of(base).with_fragment("more.yaml", &fine),
    );
}

fn hosts(parameters: &str, host: &str) -> String {
    pack(&format!(
        "  parameters:\n  - {parameters}\n  network: {{egress: [{{name: a, to: {{hosts: [{host}]}}, ports: [{{port: 443}}]}}]}}\n"
    ))
}

const HOSTS: &str = "{name: indexHosts, type: list(string), default: [a.example], bindable: true, subsetOf: [a.example, b.example], maxItems: 1}";

#[test]
fn bw0202_unknown_parameter() {
    twins(
        "BW0202",
        &Case::of(hosts(HOSTS, "'${indexHost}', '${indexHosts}'")),
        &expect![[r#"
        pack.yaml:9:45 `'${indexHost}'`
        error[BW0202] at spec.network.egress[0].to.hosts[0]: the pack has no parameter `indexHost`
          help: did you mean `${indexHosts}`?
    "#]],
        &Case::of(hosts(HOSTS, "'${indexHosts}'")),
    );
    let good = hosts(HOSTS, "'${indexHosts}'");
    twins(
        "BW0202",
        &Case::of(good.clone()).binding("indexHots", serde_json::json!(["a.example"])),
        &expect![[r#"
            error[BW0202] at bindings.indexHots: the pack has no parameter `indexHots`
              help: did you mean `indexHosts`?
        "#]],
        &Case::of(good).binding("indexHosts", serde_json::json!(["b.example"])),
    );
}

#[test]
fn bw0203_parameter_domain() {
    let good = || Case::of(hosts(HOSTS, "'${indexHosts}'"));
    let passing = good().binding("indexHosts", serde_json::json!([]));
    for (value, expected) in [
        (
            serde_json::json!(["evil.example"]),
            expect![[r#"
            error[BW0203] at bindings.indexHosts: parameter `indexHosts`: `evil.example` is not in `subsetOf`: `a.example`, `b.example`
        "#]],
        ),
        (
            serde_json::json!(["a.example", "b.example"]),
            expect![[r#"
            error[BW0203] at bindings.indexHosts: parameter `indexHosts`: 2 elements are more than `maxItems`, 1
        "#]],
        ),
        (
            serde_json::json!("a.example"),
            expect![[r#"
            error[BW0203] at bindings.indexHosts: parameter `indexHosts`: `"a.example"` is no `list(string)`
        "#]],
        ),
        (
            serde_json::json!([1]),
            expect![[r#"
            error[BW0203] at bindings.indexHosts: parameter `indexHosts`: `1` is no `list(string)`
        "#]],
        ),
    ] {
        twins("BW0203", &good().binding("indexHosts", value), &expected, &passing);
    }
}

#[test]
fn bw0204_bad_parameter() {
    let size = |rest: &str| {
        Case::of(pack(&format!(
            "  parameters: [{{name: port, type: int, {rest}}}]\n  network: {{egress: [{{name: a, to: {{pods: {{}}}}, ports: [{{port: '${{port}}'}}]}}]}}\n"
        )))
    };
    twins(
        "BW0204",
        &size("default: 443, maximum: 100"),
        &expect![[r#"
        pack.yaml:7:49 `443`
        error[BW0204] at spec.parameters[0].default: the default is outside the domain: `443` is beyond the maximum `100`
    "#]],
        &size("default: 443, maximum: 1000"),
    );
    twins(
        "BW0204",
        &size("default: 443, pattern: x, minimum: a"),
        &expect![[r#"
        pack.yaml:7:63 `x`
        error[BW0204] at spec.parameters[0].pattern: `pattern` does not fit type `int`
        pack.yaml:7:75 `a`
        error[BW0204] at spec.parameters[0].minimum: `"a"` is no `int`
    "#]],
        &size("default: 443"),
    );
    twins(
        "BW0204",
        &size("default: 443, minimum: 9, maximum: 8"),
        &expect![[r#"
        pack.yaml:7:63 `9`
        error[BW0204] at spec.parameters[0].minimum: the minimum `9` is above the maximum `8`
    "#]],
        &size("default: 443, enum: [443, 80]"),
    );
}

#[test]
fn bw0205_not_bindable() {
    let fixed = HOSTS.replace("bindable: true, ", "");
    let chosen = |parameter: &str| {
        Case::of(hosts(parameter, "'${indexHosts}'")).binding("indexHosts", serde_json::json!([]))
    };
    twins(
        "BW0205",
        &chosen(&fixed),
        &expect![[r#"
        error[BW0205] at bindings.indexHosts: parameter `indexHosts` is not bindable
          help: only the author of the pack can open it, with `bindable: true`
    "#]],
        &chosen(HOSTS),
    );
}

#[test]
fn bw0206_unset_parameter() {
    let open = HOSTS.replace("default: [a.example], ", "");
    let failing = || Case::of(hosts(&open, "'${indexHosts}'"));
    twins(
        "BW0206",
        &failing(),
        &expect![[r#"
        pack.yaml:8:5 `{name: indexHosts, type: list(string), bindable: true, subsetOf: [a.example, b.example], maxItems: 1}`
        error[BW0206] at spec.parameters[0]: parameter `indexHosts` has no default and no value was chosen
          help: give it a default, or choose a value
    "#]],
        &failing().binding("indexHosts", serde_json::json!(["a.example"])),
    );
}

#[test]
fn bw0213_parameter_place() {
    let list = hosts(HOSTS, "X").replace("[X]", "'${indexHosts}'");
    twins(
        "BW0213",
        &Case::of(list),
        &expect![[r#"
        pack.yaml:9:44 `'${indexHosts}'`
        error[BW0213] at spec.network.egress[0].to.hosts: parameter `indexHosts` stands for a whole list
          help: write `["${indexHosts}"]`
    "#]],
        &Case::of(hosts(HOSTS, "'${indexHosts}'")),
    );
    let rule = |expression: &str, exceptable: &str| {
        Case::of(pack(&format!(
            "  parameters: [{{name: flag, type: string, default: 'true'}}]\n  admission:\n    rules:\n    - name: r\n      match: {{resources: [{{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}}]}}\n      validations: [{{expression: \"{expression}\"}}]\n      podTemplates: {exceptable}\n"
        )))
    };
    twins(
        "BW0213",
        &rule("${flag}", "'${flag}'"),
        &expect![[r#"
        pack.yaml:12:34 `"${flag}"`
        error[BW0213] at spec.admission.rules[0].validations[0].expression: parameter `flag` stands in a CEL expression
          help: write `params.flag` in it
        pack.yaml:13:21 `'${flag}'`
        error[BW0213] at spec.admission.rules[0].podTemplates: parameter `flag` stands for a boolean
          help: write `true` or `false`
    "#]],
        &rule("params.flag == 'true'", "true"),
    );
}

const CHILD: &str = "  extends: [{name: base, version: '^1.0'}]\n";

fn base(version: &str) -> String {
    named(
        "base",
        version,
        "  parameters: [{name: size, type: int, default: 1, maximum: 9, bindable: true}]\n  network: {egress: [{name: a, to: {pods: {}}, ports: [{port: '${size}'}]}]}\n",
    )
}

#[test]
fn bw0207_unknown_pack() {
    let failing = Case::of(pack("  extends: [{name: bose, version: '^1'}]\n"))
        .with_library(&[&base("1.0.0")])
        .with_lock("packs: []\n");
    twins(
        "BW0207",
        &failing,
        &expect![[r#"
        pack.yaml:7:20 `bose`
        error[BW0207] at spec.extends[0].name: the library has no pack `bose`
          help: did you mean `base`?
    "#]],
        &Case::of(pack(CHILD)).with_library(&[&base("1.0.0")]).locked(),
    );
}

#[test]
fn bw0208_no_version() {
    let library = [
        base("1.0.0"),
        base("1.4.0"),
        named("other", "1.0.0", "  extends: [{name: base, version: '=1.0.0'}]\n"),
    ];
    let library: Vec<_> = library.iter().map(String::as_str).collect();
    let both = pack("  extends: [{name: base, version: '^1.1'}, {name: other, version: '^1'}]\n");
    let passing = pack("  extends: [{name: other, version: '^1'}, {name: base, version: '^1.0'}]\n");
    let lock = |case: Case| {
        let (_, diagnostics) = make_lock(&case.sources, &case.library);
        diagnostics.iter().map(|found| render(found, &case.sources)).collect::<String>()
    };
    expect![[r#"
        pack.yaml:7:35 `'^2'`
        error[BW0208] at spec.extends[0].version: no version of `base` is ^2
          help: the library holds `1.0.0`, `1.4.0`
    "#]]
    .assert_eq(&lock(Case::of(pack("  extends: [{name: base, version: '^2'}]\n")).with_library(&library)));
    expect![[r#"
        pack.yaml:7:43 ` {name: `
        error[BW0208] in `other` at spec.extends[0].version: `base` =1.0.0 is asked for here, and 1.4.0 was taken for `p`
    "#]].assert_eq(&lock(Case::of(both).with_library(&library)));
    let (accepted, diagnostics) = Case::of(passing).with_library(&library).locked().run();
    assert!(accepted && diagnostics.is_empty(), "{diagnostics:?}");
}

#[test]
fn bw0209_lock_missing() {
    let failing = Case::of(pack(CHILD)).with_library(&[&base("1.0.0")]);
    twins(
        "BW0209",
        &failing,
        &expect![[r#"
        pack.yaml:7:12 `[{name: base, version: '^1.0'}]`
        error[BW0209] at spec.extends: the pack extends others and has no `pack.lock`
          help: run `bailiwick compile --lock` and commit `pack.lock`
    "#]],
        &Case::of(pack(CHILD)).with_library(&[&base("1.0.0")]).locked(),
    );
}

#[test]
fn bw0210_lock_stale() {
    let with = |lock: &str| Case::of(pack(CHILD)).with_library(&[&base("1.0.0")]).with_lock(lock);
    let passing = || Case::of(pack(CHILD)).with_library(&[&base("1.0.0")]).locked();
    let lock =
        passing().sources.lock.map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).expect("a lock");
    let digest = "0".repeat(64);
    twins(
        "BW0210",
        &with("packs: []\n"),
        &expect![[r#"
        pack.yaml:7:35 `'^1.0'`
        error[BW0210] at spec.extends[0].version: `pack.lock` does not name `base`
          help: run `bailiwick compile --lock`
    "#]],
        &passing(),
    );
    twins(
        "BW0210",
        &with(&lock.replace("1.0.0", "0.9.0")),
        &expect![[r#"
        pack.yaml:7:35 `'^1.0'`
        error[BW0210] at spec.extends[0].version: `pack.lock` names `base` 0.9.0, which is not ^1.0
          help: run `bailiwick compile --lock`
    "#]],
        &passing(),
    );
    twins(
        "BW0210",
        &with(&lock.replace("1.0.0", "1.2.0")),
        &expect![[r#"
        pack.yaml:7:35 `'^1.0'`
        error[BW0210] at spec.extends[0].version: `pack.lock` names `base` 1.2.0, which the library does not hold
          help: run `bailiwick compile --lock`
    "#]],
        &passing(),
    );
    let surplus = format!("{lock}- {{name: gone, version: 1.0.0, digest: \"{digest}\"}}\n");
    twins(
        "BW0210",
        &with(&surplus),
        &expect![[r#"
        pack.yaml:7:12 `[{name: base, version: '^1.0'}]`
        error[BW0210] at spec.extends: `pack.lock` names `gone`, which no pack of the chain extends
          help: run `bailiwick compile --lock`
    "#]],
        &passing(),
    );
}

#[test]
fn bw0211_lock_digest() {
    let passing = Case::of(pack(CHILD)).with_library(&[&base("1.0.0")]).locked();
    let mut failing =
        Case::of(pack(CHILD)).with_library(&[&base("1.0.0").replace("default: 1", "default: 2")]);
    failing.sources.lock.clone_from(&passing.sources.lock);
    twins(
        "BW0211",
        &failing,
        &expect![[r#"
        pack.yaml:7:20 `base`
        error[BW0211] at spec.extends[0].name: `base` 1.0.0 has changed: its digest is 92d5538f3fdd97aa32a6d8d935c22f70f4265b958c06430b74bd5e5bcc7b3943, `pack.lock` says 95c8cd1ce1de0c97f51ee7a6c75e0092eedc68f559eb3b685c5bf1bb3ccbbae0
          help: find out who changed it; a wanted change needs a new version
    "#]],
        &passing,
    );
}

#[test]
fn bw0212_extends_cycle() {
    let other = |extends: &str| named("other", "1.0.0", extends);
    let child = || Case::of(pack("  extends: [{name: other, version: '^1'}]\n"));
    let this = pack("");
    let failing = child()
        .with_library(&[&other("  extends: [{name: p, version: '^1'}]\n"), &this])
        .with_lock(&format!("packs: [{{name: other, version: 1.0.0, digest: \"{}\"}}]\n", "0".repeat(64)));
    let (_, diagnostics) = failing.run();
    let cycle = diagnostics.iter().find(|found| found.code.id() == "BW0212").expect("found");
    expect![[r#"
        pack.yaml:7:28 `e`
        error[BW0212] in `other` at spec.extends[0].name: packs extend each other in a circle: `p` → `other` → `p`
    "#]].assert_eq(&render(cycle, &failing.sources));
    let (accepted, diagnostics) = child().with_library(&[&other("")]).locked().run();
    assert!(accepted && diagnostics.is_empty(), "{diagnostics:?}");
}

#[test]
fn bw0608_unused_parameter() {
    let rule = |parameter: &str, expression: &str| {
        Case::of(pack(&format!(
            "  parameters: [{parameter}]\n  admission:\n    rules:\n    - name: r\n      match: {{resources: [{{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}}]}}\n      validations: [{{expression: \"{expression}\"}}]\n"
        )))
    };
    let parameter = "{name: team, type: string, default: a}";
    let failing = rule(parameter, "object.metadata.name != 'team'");
    twins("BW0608", &failing, &expect![[r#"
        pack.yaml:7:23 `team`
        warning[BW0608] at spec.parameters[0].name: nothing uses parameter `team`
          help: write `"${team}"` or `params.team` where it counts, or take it out
    "#]], &rule(parameter, "object.metadata.name != params.team"));
    let (accepted, diagnostics) = rule(parameter, "object.metadata.name != params['team']").run();
    assert!(accepted && diagnostics.is_empty(), "{diagnostics:?}");
}

#[test]
fn a_choice_of_an_extending_pack_stays_in_the_domain() {
    let child = |size: &str| {
        Case::of(pack(&format!(
        "  parameters: [{{name: mine, type: int, default: 3}}]\n  extends: [{{name: base, version: '^1.0', parameters: {{size: {size}}}}}]\n  description: '{{params.mine}}'\n"
    ))).with_library(&[&base("1.0.0")])
    };
    let locked = Case::of(pack(CHILD)).with_library(&[&base("1.0.0")]).locked();
    let run = |size: &str| {
        let mut case = child(size);
        case.sources.lock.clone_from(&locked.sources.lock);
        let (resolved, diagnostics) = resolve(&case.sources, &case.library, &case.bindings);
        (resolved, diagnostics.iter().map(|found| render(found, &case.sources)).collect::<String>())
    };
    expect![[r#"
        pack.yaml:8:62 `12`
        error[BW0203] at spec.extends[0].parameters.size: parameter `size`: `12` is beyond the maximum `9`
    "#]]
    .assert_eq(&run("12").1);
    let (resolved, diagnostics) = run("'${mine}'");
    assert_eq!(diagnostics, "");
    let resolved = resolved.expect("accepted");
    let names: Vec<_> = resolved.packs.iter().map(|pack| pack.name.as_str()).collect();
    assert_eq!(names, ["base", "p"]);
    assert_eq!(resolved.packs[0].parameters["size"], 3);
    let network = resolved.packs[0].spec.network.as_ref().expect("there");
    assert_eq!(network.egress[0].ports[0].port, 3);
}

#[test]
fn the_digest_is_of_the_text_as_authored() {
    let digest = |case: &Case| {
        let (resolved, _) = resolve(&case.sources, &case.library, &case.bindings);
        resolved.expect("accepted").packs[0].digest.clone()
    };
    let text = hosts(HOSTS, "'${indexHosts}'");
    let plain = digest(&Case::of(text.clone()));
    assert_eq!(plain, digest(&Case::of(text.clone()).binding("indexHosts", serde_json::json!([]))));
    assert_eq!(plain, digest(&Case::of(format!("# a comment\n{text}"))));
    assert_ne!(plain, digest(&Case::of(text.replace("443", "444"))));
}

#[test]
fn no_code_of_reading_and_composing_is_without_its_twins() {
    let this = include_str!("pack_diagnostics.rs");
    let tested: BTreeSet<_> = this.lines().filter_map(|line| line.strip_prefix("fn bw")?.get(..4)).collect();
    // BW022x and above are about what the sections say; their tests stand beside the lowering.
    let reading = bailiwick_compiler::check::codes()
        .map(|code| code.id().trim_start_matches("BW").to_owned())
        .filter(|code| code.as_str() < "0220" || code == "0608");
    for code in reading {
        assert!(tested.contains(code.as_str()), "BW{code} has no test here");
    }
}
