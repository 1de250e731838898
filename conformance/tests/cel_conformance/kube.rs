//! The crate `kube-cel`, another Rust implementation of the API server's libraries, with the same expressions
//! as cel-go.
//!
//! A difference from us on which cel-go agrees with us is not ours to fix: such differences are counted by their smallest expressions, and the
//! page shows them. The test checks that in no difference we are alone.

use std::panic::catch_unwind;

use kube_cel::{KubeCelExt, cel};

/// The stack of the thread that runs it, bytes: unoptimised, its parser takes some kilobytes for each level.
const STACK: usize = 64 << 20;

/// Runs work that asks for the results of expressions, written as `shown` in `conformance/cel/costs` does; `error` if one is an error or there is
/// no such function.
pub(crate) fn ask<T: Send>(work: impl FnOnce(&dyn Fn(&str) -> String) -> T + Send) -> T {
    let run = || {
        let context = cel::Context::default().with_all();
        work(&|source| outcome(&context, source))
    };
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK);
        builder.spawn_scoped(scope, run).unwrap().join().unwrap()
    })
}

fn outcome(context: &cel::Context<'_>, source: &str) -> String {
    let run = || match cel::Program::compile(source) {
        Ok(program) => program.execute(context).map_or_else(|_| "error".to_owned(), |value| shown(&value)),
        Err(_) => "error".to_owned(),
    };
    catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|_| "a panic".to_owned())
}

fn shown(value: &cel::Value) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match value {
        cel::Value::Null => "null".to_owned(),
        cel::Value::Bool(value) => value.to_string(),
        cel::Value::Int(value) => value.to_string(),
        cel::Value::UInt(value) => format!("{value}u"),
        cel::Value::Float(value) if value.is_nan() => "NaN".to_owned(),
        cel::Value::Float(value) => format!("d{:016x}", value.to_bits()),
        cel::Value::Bytes(bytes) => format!("b{}", hex(bytes)),
        cel::Value::String(text) => format!("s{}", hex(text.as_bytes())),
        cel::Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        cel::Value::Map(entries) => {
            let mut entries: Vec<String> = entries
                .map
                .iter()
                .map(|(key, value)| {
                    let key = match key {
                        cel::objects::Key::Int(key) => key.to_string(),
                        cel::objects::Key::Uint(key) => format!("{key}u"),
                        cel::objects::Key::Bool(key) => key.to_string(),
                        cel::objects::Key::String(key) => format!("s{}", hex(key.as_bytes())),
                    };
                    format!("{key}: {}", shown(value))
                })
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => format!("another value: {other:?}"),
    }
}
