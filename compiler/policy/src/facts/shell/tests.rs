//! Lines and what is known of them.

use super::*;

#[test]
fn smoke() {
    let shell = parse("ls -la | grep x; cat $(find . -name '*.rs') > out");
    assert!(shell.line().is_some(), "{shell:?}");
    assert_eq!(parse("ls | cat").only_runs(&["ls", "cat"]), Fact::Known(true));
}
