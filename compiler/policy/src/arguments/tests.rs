//! Schemas, arguments, and the outcome of matching them.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::canonical;
use crate::json::Json;

/// Compiles a schema, sends it through its canonical text as a bundle would, and matches each line of
/// arguments.
fn check(schema: &Value, cases: &[(&str, &str)]) {
    let compiled = ArgumentsSchema::compile(schema).unwrap_or_else(|errors| panic!("{errors:?}"));
    let text = canonical::to_vec(&compiled).unwrap();
    let read: ArgumentsSchema = serde_json::from_slice(&text).unwrap();
    assert_eq!(read, compiled);
    assert_eq!(canonical::to_vec(&read).unwrap(), text, "the form in a bundle is not canonical");
    for (args, expected) in cases {
        let args_json = Json::parse(args.as_bytes()).unwrap();
        let found =
            matches(&read, &args_json).map_or_else(|mismatch| mismatch.to_string(), |()| "ok".to_owned());
        assert_eq!(&found, expected, "{args}");
    }
}

/// The problems of a schema, one a line.
fn problems(schema: &Value) -> String {
    let errors = ArgumentsSchema::compile(schema).expect_err("the schema is refused");
    errors.iter().map(|error| format!("{}: {error}\n", error.place.join("."))).collect()
}

/// A schema whose only property `x` has the given schema.
fn of(x: Value) -> Value {
    json!({"type": "object", "properties": {"x": x}})
}

#[test]
fn an_unknown_property_is_a_mismatch_and_a_missing_one_too() {
    let schema = json!({"type": "object", "required": ["code"], "additionalProperties": false,
        "properties": {"code": {"type": "string", "maxLength": 3, "description": "d", "title": "t", "default": 1}, "deep": {"type": "object", "properties": {}}}});
    check(
        &schema,
        &[
            (r#"{"code": "1+1"}"#, "ok"),
            (r#"{"code": "1+1", "cwd": "/"}"#, "`args.cwd` is not a property that this tool knows"),
            (
                r#"{"code": "1+1", "deep": {"a\nb": 1}}"#,
                "`args.deep[\"a\\nb\"]` is not a property that this tool knows",
            ),
            ("{}", "`args.code` is required"),
            (r#"{"code": 1}"#, "`args.code` must be string, not integer"),
            (r#"{"code": "1234"}"#, "`args.code` has 4 characters, more than 3"),
            (r#"{"code": "äöü"}"#, "ok"),
            (r#"{"code": "👍👍👍"}"#, "ok"),
            ("[]", "`args` must be object, not array"),
            ("null", "`args` must be object, not null"),
        ],
    );
    check(
        &json!({"type": "object"}),
        &[("{}", "ok"), (r#"{"": 0}"#, "`args[\"\"]` is not a property that this tool knows")],
    );
    check(
        &json!({"type": "object", "additionalProperties": {"type": "integer"}, "properties": {"s": {"type": "string"}}, "required": ["other"]}),
        &[
            (r#"{"other": 1, "s": "1"}"#, "ok"),
            (r#"{"other": "1"}"#, "`args.other` must be integer, not string"),
        ],
    );
}

#[test]
fn numbers_are_compared_exactly_and_a_fraction_is_no_integer() {
    check(
        &of(json!({"type": "integer", "minimum": -1, "maximum": 9_007_199_254_740_993_i64})),
        &[
            (r#"{"x": -1}"#, "ok"),
            (r#"{"x": -2}"#, "`args.x` is less than -1"),
            (r#"{"x": 9007199254740993}"#, "ok"),
            (r#"{"x": 9007199254740994}"#, "`args.x` is more than 9007199254740993"),
            (r#"{"x": 1.0}"#, "`args.x` must be integer, not number"),
        ],
    );
    check(
        &of(json!({"type": "number", "minimum": 0.5, "maximum": 2})),
        &[
            (r#"{"x": 1}"#, "ok"),
            (r#"{"x": 0}"#, "`args.x` is less than 0.5"),
            (r#"{"x": 2.0}"#, "ok"),
            (r#"{"x": 2.0000000000000004}"#, "`args.x` is more than 2"),
            (r#"{"x": -1e300}"#, "`args.x` is less than 0.5"),
            (r#"{"x": true}"#, "`args.x` must be number, not boolean"),
        ],
    );
    let nan = Json::Map([("x".into(), Json::Double(f64::NAN))].into_iter().collect());
    let schema = ArgumentsSchema::compile(&of(json!({"type": "number", "maximum": 2}))).unwrap();
    assert!(matches(&schema, &nan).is_err());
}

#[test]
fn integers_and_doubles_compare_by_value() {
    use std::cmp::Ordering::{Equal, Greater, Less};
    for (int, double, ordering) in [
        (1, 1.0, Some(Equal)),
        (1, 1.5, Some(Less)),
        (-1, -1.5, Some(Greater)),
        (0, -0.0, Some(Equal)),
        (0, -0.5, Some(Greater)),
        (i64::MAX, 9_223_372_036_854_775_807.0, Some(Less)),
        (i64::MIN, -9_223_372_036_854_775_808.0, Some(Equal)),
        (i64::MIN, -1e300, Some(Greater)),
        (9_007_199_254_740_993, 9_007_199_254_740_992.0, Some(Greater)),
        (0, f64::NAN, None),
    ] {
        assert_eq!(matching::int_with_double(int, double), ordering, "{int} {double}");
    }
}

#[test]
fn listed_values_are_equal_as_json_schema_says() {
    check(
        &of(json!({"enum": ["a", 1, 2.5, null, [1, {"k": true, "l": 0}]]})),
        &[
            (r#"{"x": "a"}"#, "ok"),
            (r#"{"x": 1.0}"#, "ok"),
            (r#"{"x": 2.5}"#, "ok"),
            (r#"{"x": null}"#, "ok"),
            (r#"{"x": [1, {"l": 0, "k": true}]}"#, "ok"),
            (r#"{"x": [1, {"l": 0}]}"#, "`args.x` is none of the values that it may have"),
            (r#"{"x": "A"}"#, "`args.x` is none of the values that it may have"),
            (r#"{"x": false}"#, "`args.x` is none of the values that it may have"),
        ],
    );
    check(
        &of(json!({"type": "object", "const": {"a": 1}})),
        &[
            (r#"{"x": {"a": 1}}"#, "ok"),
            (r#"{"x": {"a": 1, "b": 1}}"#, "`args.x` is none of the values that it may have"),
        ],
    );
}

#[test]
fn patterns_match_anywhere_unless_anchored() {
    check(
        &of(json!({"type": "string", "pattern": "b+", "minLength": 2})),
        &[
            (r#"{"x": "abbc"}"#, "ok"),
            (r#"{"x": "b"}"#, "`args.x` has 1 characters, fewer than 2"),
            (r#"{"x": "ac"}"#, "`args.x` does not match the pattern `b+`"),
        ],
    );
    check(
        &of(json!({"type": "string", "pattern": "^[^-].*$"})),
        &[
            (r#"{"x": "a"}"#, "ok"),
            (r#"{"x": "-rf"}"#, "`args.x` does not match the pattern `^[^-].*$`"),
            // The end of the text, not of a line: what follows a line break must match too.
            (r#"{"x": "a\n-rf"}"#, "`args.x` does not match the pattern `^[^-].*$`"),
            (r#"{"x": "a\n"}"#, "`args.x` does not match the pattern `^[^-].*$`"),
        ],
    );
}

#[test]
fn arrays_have_bounds_and_elements() {
    check(
        &of(
            json!({"type": ["array", "null"], "items": {"type": ["string", "number", "object"], "additionalProperties": {}},
            "minItems": 1, "maxItems": 3, "uniqueItems": true}),
        ),
        &[
            (r#"{"x": null}"#, "ok"),
            (r#"{"x": ["a", 1, {"a": [], "b": 1}]}"#, "ok"),
            (r#"{"x": []}"#, "`args.x` has 0 elements, fewer than 1"),
            (r#"{"x": [1, 2, 3, 4]}"#, "`args.x` has 4 elements, more than 3"),
            (r#"{"x": [1, true]}"#, "`args.x[1]` must be number or string or object, not boolean"),
            (r#"{"x": [1, 1.0]}"#, "`args.x[1]` repeats an earlier element"),
            (r#"{"x": [{"a": 1, "b": 2}, 7, {"b": 2, "a": 1}]}"#, "`args.x[2]` repeats an earlier element"),
            (r#"{"x": {}}"#, "`args.x` must be null or array, not object"),
        ],
    );
    check(
        &of(json!({})),
        &[
            (r#"{"x": {"anything": [1]}}"#, "ok"),
            (r#"{"y": 1}"#, "`args.y` is not a property that this tool knows"),
        ],
    );
}

#[test]
fn what_is_not_enforced_is_refused_by_name_and_place() {
    let schema = of(json!({"type": "string", "format": "uri", "pattern": "(a", "minLength": -1}));
    expect_test::expect![[r#"
        properties.x.format: the keyword `format` is not enforced, so it may not stand here; known are type, properties, required, additionalProperties, items, enum, const, minimum, maximum, minLength, maxLength, pattern, minItems, maxItems, uniqueItems, description, title, default
        properties.x.minLength: must be an integer that is not negative
        properties.x.pattern: invalid pattern: unclosed group
    "#]]
    .assert_eq(&problems(&schema));
    for keyword in [
        "$ref",
        "$defs",
        "$schema",
        "anyOf",
        "allOf",
        "oneOf",
        "not",
        "if",
        "patternProperties",
        "dependentRequired",
        "propertyNames",
        "exclusiveMinimum",
        "multipleOf",
        "contains",
        "prefixItems",
        "unevaluatedProperties",
    ] {
        let found = problems(&of(json!({keyword: {}})));
        assert!(
            found.starts_with(&format!("properties.x.{keyword}: the keyword `{keyword}` is not enforced")),
            "{found}"
        );
    }
}

#[test]
fn what_cannot_have_been_meant_is_refused() {
    for (schema, expected) in [
        (
            json!(true),
            ": must be a schema, which is an object\n: the arguments of a tool are an object: `type: object` is required here\n",
        ),
        (
            json!({"properties": {}}),
            "properties: `properties` has no effect unless `type` contains `object`\n: the arguments of a tool are an object: `type: object` is required here\n",
        ),
        (
            json!({"type": "object", "additionalProperties": true}),
            "additionalProperties: `additionalProperties: true` lets through what no rule can read; give the schema of their values, or false\n",
        ),
        (
            json!({"type": "object", "required": ["a"]}),
            "required: the required property `a` is not among `properties`\n",
        ),
        (
            json!({"type": "object", "required": ["a", "a"], "properties": {"a": {}}}),
            "required: must be a list of names without repetition\n",
        ),
        (
            of(json!({"type": "String"})),
            "properties.x.type: must be null, boolean, integer, number, string, array or object, or a list of these without repetition\n",
        ),
        (
            of(json!({"type": []})),
            "properties.x.type: must be null, boolean, integer, number, string, array or object, or a list of these without repetition\n",
        ),
        (
            of(json!({"type": "string", "minimum": 1})),
            "properties.x.minimum: `minimum` has no effect unless `type` contains `number`\n",
        ),
        (of(json!({"enum": []})), "properties.x.enum: must hold at least one value and none twice\n"),
        (of(json!({"enum": [1, 1]})), "properties.x.enum: must hold at least one value and none twice\n"),
        (
            of(json!({"enum": [1], "const": 1})),
            "properties.x.enum: must be absent: `enum` and `const` do not go together\n",
        ),
        (
            of(json!({"const": 9_223_372_036_854_775_808_u64})),
            "properties.x.const: the number `9223372036854775808` is beyond 64 bits with sign\n",
        ),
        (
            of(json!({"type": "number", "maximum": 1e300})),
            "properties.x.maximum: the number `1e+300` is beyond 64 bits with sign\n",
        ),
        (
            of(json!({"type": "integer", "minimum": 2, "maximum": 1.5})),
            "properties.x.maximum: no value meets both bounds: the minimum is above the maximum\n",
        ),
        (
            of(json!({"type": "string", "minLength": 2, "maxLength": 1})),
            "properties.x.maxLength: no value meets both bounds: the minimum is above the maximum\n",
        ),
        (
            of(json!({"type": "array", "items": [{}], "uniqueItems": 1})),
            "properties.x.items: must be a schema, which is an object\nproperties.x.uniqueItems: must be true or false\n",
        ),
    ] {
        assert_eq!(problems(&schema), expected, "{schema}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| (1..depth).fold(json!({"type": "object"}), |inner, _| of_object(inner));
    fn of_object(inner: Value) -> Value {
        json!({"type": "object", "properties": {"x": inner}})
    }
    assert!(ArgumentsSchema::compile(&nested(MAX_DEPTH)).is_ok());
    assert!(problems(&nested(MAX_DEPTH + 1)).contains("more than 32 levels of nesting"));
    assert!(problems(&nested(200)).contains("more than 32 levels of nesting"));
    let wide = |count: usize| {
        let properties: serde_json::Map<String, Value> =
            (0..count).map(|at| (format!("p{at}"), json!({}))).collect();
        json!({"type": "object", "properties": properties})
    };
    assert!(ArgumentsSchema::compile(&wide(MAX_SCHEMAS - 1)).is_ok());
    assert!(problems(&wide(MAX_SCHEMAS)).contains("more than 1024 schemas"));
    let values: Vec<usize> = (0..=MAX_ENUM).collect();
    assert!(problems(&of(json!({"enum": values}))).contains("more than 1024 values"));
    let deep = (0..20).fold(json!(1), |inner, _| json!([inner]));
    assert!(problems(&of(json!({"const": deep}))).contains("levels of nesting in a value"));
    assert!(
        problems(&json!({"type": "object", "properties": {"x".repeat(MAX_NAME + 1): {}}}))
            .contains("more than 256 bytes")
    );
    assert!(problems(&of(json!({"type": "string", "pattern": "(a{1000}){1000}"}))).contains("larger than"));
}

#[test]
fn a_bundle_with_a_pattern_that_does_not_compile_or_a_field_that_is_unknown_is_refused() {
    assert!(serde_json::from_value::<ArgumentsSchema>(json!({"pattern": "(a"})).is_err());
    assert!(serde_json::from_value::<ArgumentsSchema>(json!({"format": "uri"})).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![any::<i64>(), -2_i64..3].prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![
            "[a-c]{0,3}",
            "object|string|array|integer|number",
            "\\PC{0,6}",
            "[(|)*a-b\\[\\]^$]{0,6}"
        ]
        .prop_map(Value::from),
    ];
    let keyword = prop_oneof![
        "type|properties|required|additionalProperties|items|enum|const|minimum|maximum",
        "minLength|maxLength|pattern|minItems|maxItems|uniqueItems|x|y",
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(keyword.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Schemas that compile more often than random JSON does.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!({"type": "string", "maxLength": 2, "pattern": "^[a-c]*$"})),
        Just(json!({"type": ["integer", "null"], "minimum": -1, "maximum": 1.5})),
        vec(value(), 1..3).prop_map(|values| json!({"enum": values})),
    ];
    let nested = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), any::<bool>())
                .prop_map(|(items, unique)| json!({"type": "array", "items": items, "uniqueItems": unique})),
            btree_map("x|y|type", inner.clone(), 0..3)
                .prop_map(|properties| json!({"type": "object", "properties": properties})),
            inner.prop_map(
                |additional| json!({"type": ["object", "string"], "additionalProperties": additional})
            ),
        ]
    });
    prop_oneof![nested.prop_map(of), value()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any schema and any arguments get an answer, the same from the bundle's form, without a panic.
    #[test]
    fn matching_never_panics(schema in schema(), args in value()) {
        if let Ok(compiled) = ArgumentsSchema::compile(&schema) {
            let text = canonical::to_vec(&compiled).unwrap();
            let read: ArgumentsSchema = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(&canonical::to_vec(&read).unwrap(), &text);
            for args in [&args, &json!({"x": args})] {
                let json = Json::from(args);
                prop_assert_eq!(matches(&compiled, &json), matches(&read, &json));
            }
        }
    }
}
