//! Built-ins whose meaning is OPA's and not regorus' own: what OPA 1.4.2 gives.

use super::{gives_over, module};

#[test]
fn built_ins_mean_what_they_do_in_opa() {
    for (expression, expected) in [
        (r"regex.match(`^\w+$`, `é`)", "false"),
        (r"regex.match(`\d`, `١`)", "false"),
        (r"regex.match(`\bb`, `éb`)", "true"),
        (r"regex.match(`[a&&b]`, `&`)", "true"),
        (r"regex.match(`[a-c--b]`, `b`)", "true"),
        (r"regex.match(`^\Qa.b\E$`, `a.b`)", "true"),
        (r"regex.is_valid(`(?x)a b`)", "false"),
        (r"regex.is_valid(`\h`)", "false"),
        (r"regex.is_valid(`\d{2}`)", "true"),
        (r"regex.split(`\W+`, `aéb`)", r#"["a", "b"]"#),
        (r"regex.find_n(`\w+`, `aéb`, -1)", r#"["a", "b"]"#),
        (r"regex.find_all_string_submatch_n(`(\w)`, `é1`, -1)", r#"[["1", "1"]]"#),
        (r"regex.replace(`éa`, `\w`, `x`)", "éx"),
        ("count(`e😀`)", "2"),
        ("strings.count(`aaaa`, `aa`)", "2"),
        ("strings.count(`abc`, ``)", "4"),
        ("net.cidr_contains(`10.0.0.0/8`, `::ffff:10.1.2.3`)", "true"),
        ("net.cidr_contains(`::/0`, `::1`)", "true"),
        ("net.cidr_contains(`::/0`, `10.1.2.3`)", "false"),
    ] {
        let text = module(&format!("deny contains sprintf(\"%v\", [v]) if v := {expression}"));
        assert_eq!(gives_over(&text, "{}"), Ok(vec![expected.to_owned()]), "{expression}");
    }
}
