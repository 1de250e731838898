//! 01xx: text, tree and schema.

use expect_test::expect;

use super::*;

#[test]
fn bw0101_invalid_yaml() {
    twins(
        "BW0101",
        &Case::of(pack("  images: [{match: [a\n")),
        &expect![[r#"
            pack.yaml:7:20 `[a`
            error[BW0101]: not valid YAML: unclosed bracket '['
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
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
            pack.yaml:7:19 ``
            error[BW0105]: `pack.yaml` is not UTF-8: byte 129 is 0xe9
              help: save the file as UTF-8
        "#]],
        &Case::of(pack("  description: café\n")),
    );
}

#[test]
fn bw0106_not_text() {
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
              help: write a value of the type that the message names; quote words and numbers that are meant as text
            pack.yaml:8:12 `[a]`
            error[BW0107] at spec.network: expected an object, found a list
              help: write a value of the type that the message names; quote words and numbers that are meant as text
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
              help: write a value of the type that the message names; quote words and numbers that are meant as text
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
              help: add `handler`
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
              help: write it in the form that the message names; names are lower-case letters, digits and `-`
            pack.yaml:5:9 `Code_Interpreter`
            error[BW0110] at spec.pack: `Code_Interpreter` has not the form `^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
              help: write it in the form that the message names; names are lower-case letters, digits and `-`
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
              help: write a value inside the range
        "#]],
        &ports("{port: 65535}"),
    );
    twins(
        "BW0111",
        &ports(""),
        &expect![[r#"
            pack.yaml:7:55 `[]`
            error[BW0111] at spec.network.egress[0].ports: at least 1 element must be there, found 0
              help: write a value inside the range
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
              help: keep exactly the members that the message asks for; where you mean both, write two entries
        "#]],
        &to("{cidr: 192.0.2.0/24, except: [192.0.2.0/25]}"),
    );
    twins(
        "BW0113",
        &to("{}"),
        &expect![[r#"
            pack.yaml:7:36 `{}`
            error[BW0113] at spec.network.egress[0].to: one of `hosts` or `cidr` or `namespaces`, `pods` must be there
              help: keep exactly the members that the message asks for; where you mean both, write two entries
        "#]],
        &to("{namespaces: {}, pods: {}}"),
    );
    twins(
        "BW0113",
        &to("{pods: {}, except: [192.0.2.0/25]}"),
        &expect![[r#"
            pack.yaml:7:36 `{pods: {}, except: [192.0.2.0/25]}`
            error[BW0113] at spec.network.egress[0].to: `except` needs `cidr`
              help: keep exactly the members that the message asks for; where you mean both, write two entries
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
              help: keep exactly the members that the message asks for; where you mean both, write two entries
        "#]],
        &images(signed),
    );
    twins(
        "BW0113",
        &images("deny: true, digest: Any"),
        &expect![[r#"
            pack.yaml:7:12 `{match: [a], deny: true, digest: Any}`
            error[BW0113] at spec.images[0]: `deny`, `digest` exclude each other
              help: keep exactly the members that the message asks for; where you mean both, write two entries
        "#]],
        &images(&format!("digest: Resolve, {signed}")),
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
