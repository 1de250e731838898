//! 02xx: fragments, parameters, and the packs that a pack extends.

use expect_test::expect;

use super::*;

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
                  help: choose a value inside the domain; only the pack's author can widen it
            "#]],
        ),
        (
            serde_json::json!(["a.example", "b.example"]),
            expect![[r#"
                error[BW0203] at bindings.indexHosts: parameter `indexHosts`: 2 elements are more than `maxItems`, 1
                  help: choose a value inside the domain; only the pack's author can widen it
            "#]],
        ),
        (
            serde_json::json!("a.example"),
            expect![[r#"
                error[BW0203] at bindings.indexHosts: parameter `indexHosts`: `"a.example"` is not of type `list(string)`
                  help: choose a value inside the domain; only the pack's author can widen it
            "#]],
        ),
        (
            serde_json::json!([1]),
            expect![[r#"
                error[BW0203] at bindings.indexHosts: parameter `indexHosts`: `1` is not of type `list(string)`
                  help: choose a value inside the domain; only the pack's author can widen it
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
              help: fix the declaration: the default, the bounds and the domain must fit the type and one another
        "#]],
        &size("default: 443, maximum: 1000"),
    );
    twins(
        "BW0204",
        &size("default: 443, pattern: x, minimum: a"),
        &expect![[r#"
            pack.yaml:7:63 `x`
            error[BW0204] at spec.parameters[0].pattern: `pattern` does not fit type `int`
              help: fix the declaration: the default, the bounds and the domain must fit the type and one another
            pack.yaml:7:75 `a`
            error[BW0204] at spec.parameters[0].minimum: `"a"` is not of type `int`
              help: fix the declaration: the default, the bounds and the domain must fit the type and one another
        "#]],
        &size("default: 443"),
    );
    twins(
        "BW0204",
        &size("default: 443, minimum: 9, maximum: 8"),
        &expect![[r#"
            pack.yaml:7:63 `9`
            error[BW0204] at spec.parameters[0].minimum: the minimum `9` is above the maximum `8`
              help: fix the declaration: the default, the bounds and the domain must fit the type and one another
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

/// The value of a parameter that looks like a parameter itself is no way around the forms of the fields.
#[test]
fn the_value_of_a_parameter_is_checked_whatever_it_looks_like() {
    let named = |name: &str| {
        Case::of(pack(&format!(
            "  parameters: [{{name: title, type: string, default: '{name}'}}]\n  network: {{egress: [{{name: '${{title}}', to: {{pods: {{}}}}, ports: [{{port: 443}}]}}]}}\n"
        )))
    };
    twins(
        "BW0110",
        &named("${other}"),
        &expect![[r#"
            pack.yaml:8:29 `'${title}'`
            error[BW0110] at spec.network.egress[0].name: `${other}` has not the form `^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
              help: write it in the form that the message names; names are lower-case letters, digits and `-`
        "#]],
        &named("other"),
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
        let (_, diagnostics, _) = make_lock(&case.sources, &case.library);
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
          help: ask for a version that the library holds
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
        error[BW0210] at spec.extends: `pack.lock` names `gone`, which neither the pack nor one that it extends names
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
          help: take one of the `extends` entries out
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
    twins(
        "BW0608",
        &failing,
        &expect![[r#"
        pack.yaml:7:23 `team`
        warning[BW0608] at spec.parameters[0].name: nothing uses parameter `team`
          help: write `"${team}"` or `params.team` where it counts, or take it out
    "#]],
        &rule(parameter, "object.metadata.name != params.team"),
    );
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
          help: choose a value inside the domain; only the pack's author can widen it
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
