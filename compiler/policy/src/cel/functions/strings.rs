//! Strings: the standard functions and the strings extension. Positions are in code points.

use std::rc::Rc;

use super::super::text::{byte_of_char, chars_before, length};
use super::super::value::{List, Value};
use super::super::{EvalError, Fuel};
use super::{Outcome, no_overload};
use crate::ir::Func;

/// `size`, `contains`, `startsWith`, `endsWith`.
pub(super) fn standard<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match (function, args) {
        (Func::Size, [Value::List(list)]) => Ok(Value::Int(length(list.len()))),
        (Func::Size, [Value::Map(map)]) => Ok(Value::Int(length(map.len()))),
        (Func::Size, [value]) => match (value.as_str(), value.as_bytes()) {
            (Some(text), _) => {
                fuel.spend_bytes(text.len())?;
                Ok(Value::Int(length(text.chars().count())))
            }
            (_, Some(bytes)) => Ok(Value::Int(length(bytes.len()))),
            _ => no_overload(function),
        },
        (_, [text, part]) => {
            let (Some(text), Some(part)) = (text.as_str(), part.as_str()) else {
                return no_overload(function);
            };
            Ok(Value::Bool(match function {
                Func::Contains => {
                    fuel.spend_bytes(text.len().saturating_add(part.len()))?;
                    text.contains(part)
                }
                Func::StartsWith => {
                    fuel.spend_bytes(part.len())?;
                    text.starts_with(part)
                }
                Func::EndsWith => {
                    fuel.spend_bytes(part.len())?;
                    text.ends_with(part)
                }
                _ => return no_overload(function),
            }))
        }
        _ => no_overload(function),
    }
}

/// The strings extension.
pub(super) fn extension<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    if let (Func::Join, [Value::List(list), rest @ ..]) = (function, args) {
        return join(list, rest, fuel);
    }
    let Some((text, rest)) = args.split_first() else {
        return no_overload(function);
    };
    let Some(text) = text.as_str() else {
        return no_overload(function);
    };
    // Every function here reads the text and may write one of the same length.
    fuel.spend_bytes(text.len().saturating_mul(2))?;
    match (function, rest) {
        (Func::CharAt, [Value::Int(at)]) => char_at(text, *at),
        (Func::IndexOf, [part]) => with_text(function, part, |part| index_of(text, part, 0)),
        (Func::IndexOf, [part, Value::Int(from)]) => {
            with_text(function, part, |part| index_of(text, part, *from))
        }
        (Func::LastIndexOf, [part]) => with_text(function, part, |part| last_index_of(text, part, None)),
        (Func::LastIndexOf, [part, Value::Int(from)]) => {
            with_text(function, part, |part| last_index_of(text, part, Some(*from)))
        }
        (Func::LowerAscii, []) => Ok(Value::string(text.to_ascii_lowercase())),
        (Func::UpperAscii, []) => Ok(Value::string(text.to_ascii_uppercase())),
        (Func::Replace, [old, new]) => replace(text, old, new, -1, fuel),
        (Func::Replace, [old, new, Value::Int(limit)]) => replace(text, old, new, *limit, fuel),
        (Func::Split, [separator]) => split(text, separator, -1, fuel),
        (Func::Split, [separator, Value::Int(limit)]) => split(text, separator, *limit, fuel),
        (Func::Substring, [Value::Int(start)]) => substring(text, *start, None),
        (Func::Substring, [Value::Int(start), Value::Int(end)]) => substring(text, *start, Some(*end)),
        (Func::Trim, []) => Ok(Value::string(text.trim())),
        (Func::Reverse, []) => Ok(Value::string(text.chars().rev().collect::<String>())),
        (Func::Quote, []) => Ok(Value::string(quote(text))),
        _ => no_overload(function),
    }
}

fn with_text<'a>(function: Func, value: &Value<'a>, body: impl FnOnce(&str) -> Outcome<'a>) -> Outcome<'a> {
    value.as_str().map_or_else(|| no_overload(function), body)
}

fn out_of_range(index: i64) -> EvalError {
    EvalError::invalid(format!("index out of range: {index}"))
}

fn char_at<'a>(text: &str, at: i64) -> Outcome<'a> {
    let start =
        usize::try_from(at).ok().and_then(|at| byte_of_char(text, at)).ok_or_else(|| out_of_range(at))?;
    let found = text.get(start..).and_then(|tail| tail.chars().next());
    Ok(Value::string(found.map(String::from).unwrap_or_default()))
}

fn index_of<'a>(text: &str, part: &str, from: i64) -> Outcome<'a> {
    let from_char = usize::try_from(from).map_err(|_| out_of_range(from))?;
    let Some(start) = byte_of_char(text, from_char) else {
        // Beyond the end: the empty string is found at the end, nothing else is.
        return Ok(Value::Int(if part.is_empty() { length(text.chars().count()) } else { -1 }));
    };
    let found = text.get(start..).and_then(|tail| tail.find(part));
    Ok(Value::Int(found.map_or(-1, |at| length(chars_before(text, start + at)))))
}

fn last_index_of<'a>(text: &str, part: &str, from: Option<i64>) -> Outcome<'a> {
    let size = text.chars().count();
    let from_char = match from {
        None => size,
        Some(from) => usize::try_from(from).map_err(|_| out_of_range(from))?,
    };
    if part.is_empty() {
        return Ok(Value::Int(length(from_char.min(size))));
    }
    if from.is_some() && from_char >= size {
        return Ok(Value::Int(-1));
    }
    // A match may start at `from` at the latest, so it ends no later than this.
    let latest = byte_of_char(text, from_char).unwrap_or(text.len());
    let mut end = latest.saturating_add(part.len()).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let found = text.get(..end).and_then(|head| head.rfind(part));
    Ok(Value::Int(found.map_or(-1, |at| length(chars_before(text, at)))))
}

fn replace<'a>(text: &str, old: &Value<'_>, new: &Value<'_>, limit: i64, fuel: &mut Fuel) -> Outcome<'a> {
    let (Some(old), Some(new)) = (old.as_str(), new.as_str()) else {
        return no_overload(Func::Replace);
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = text.matches(old).take(limit).count();
    fuel.spend_bytes(count.saturating_mul(new.len()).saturating_add(text.len()))?;
    Ok(Value::string(text.replacen(old, new, count)))
}

fn split<'a>(text: &str, separator: &Value<'_>, limit: i64, fuel: &mut Fuel) -> Outcome<'a> {
    let Some(separator) = separator.as_str() else {
        return no_overload(Func::Split);
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let parts = if separator.is_empty() { text.chars().count() } else { text.matches(separator).count() + 1 };
    fuel.spend_elements(parts.min(limit))?;
    let own = |part: &str| Value::string(part);
    let items: Vec<Value<'a>> = match (limit, separator.is_empty()) {
        (0, _) => Vec::new(),
        // Rust gives empty strings before the first and after the last character, Go does not.
        (_, true) => {
            let mut items = Vec::with_capacity(parts.min(limit));
            let mut rest = text;
            while let Some(first) = rest.chars().next() {
                if items.len() + 1 == limit {
                    break;
                }
                let (head, tail) = rest.split_at(first.len_utf8());
                items.push(own(head));
                rest = tail;
            }
            if !rest.is_empty() {
                items.push(own(rest));
            }
            items
        }
        (_, false) => text.splitn(limit, separator).map(own).collect(),
    };
    Ok(Value::list(items))
}

fn substring<'a>(text: &str, start: i64, end: Option<i64>) -> Outcome<'a> {
    if let Some(end) = end.filter(|end| start > *end) {
        return Err(EvalError::invalid(format!("invalid substring range. start: {start}, end: {end}")));
    }
    let byte = |at: i64| {
        usize::try_from(at).ok().and_then(|at| byte_of_char(text, at)).ok_or_else(|| out_of_range(at))
    };
    let from = byte(start)?;
    let to = end.map_or(Ok(text.len()), byte)?;
    Ok(Value::string(text.get(from..to).unwrap_or_default()))
}

fn join<'a>(list: &List<'a>, rest: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    let separator = match rest {
        [] => "",
        [separator] => match separator.as_str() {
            Some(separator) => separator,
            None => return no_overload(Func::Join),
        },
        _ => return no_overload(Func::Join),
    };
    let mut joined = String::new();
    for (position, item) in list.iter().enumerate() {
        let Some(text) = item.as_str() else {
            return Err(EvalError::invalid(format!("join: invalid input: a {}", item.type_name())));
        };
        fuel.spend(1)?;
        fuel.spend_bytes(text.len().saturating_add(separator.len()))?;
        if position > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Value::string(Rc::<str>::from(joined)))
}

fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
