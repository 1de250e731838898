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
        ("net.cidr_contains(`::ffff:10.0.0.0/104`, `10.1.2.3`)", "true"),
        ("net.cidr_contains(`::ffff:10.0.0.0/104`, `::ffff:10.1.2.3`)", "true"),
        ("net.cidr_contains(`::ffff:10.0.0.0/104`, `11.1.2.3`)", "false"),
        ("net.cidr_contains(`::ffff:0:0/96`, `192.0.2.1`)", "true"),
        ("net.cidr_contains(`::ffff:0:0/95`, `192.0.2.1`)", "false"),
        ("net.cidr_contains(`::ffff:0:0/95`, `::fffe:0:1`)", "true"),
        ("net.cidr_contains(`10.0.0.0/8`, `::ffff:10.1.0.0/112`)", "true"),
        ("net.cidr_contains(`10.0.0.0/8`, `::ffff:10.0.0.0/103`)", "false"),
        ("net.cidr_contains(`::ffff:10.0.0.0/104`, `10.1.0.0/16`)", "true"),
        ("net.cidr_contains(`::/0`, `::/64`)", "true"),
        ("net.cidr_contains(`::/0`, `::/80`)", "false"),
        ("net.cidr_contains(`10.0.0.0/8`, `10.1.0.0/16`)", "true"),
        ("net.cidr_contains(`10.0.0.0/8`, `0.0.0.0/0`)", "false"),
        ("net.cidr_contains(`2001:db8::/32`, `2001:db8:1::/48`)", "true"),
    ] {
        let text = module(&format!("deny contains sprintf(\"%v\", [v]) if v := {expression}"));
        assert_eq!(gives_over(&text, "{}"), Ok(vec![expected.to_owned()]), "{expression}");
    }
}
