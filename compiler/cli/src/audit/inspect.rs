//! `bailiwick audit inspect`: one call, from the facts derived about it to how it ended.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use anyhow::{Result, bail};
use bailiwick_audit::record::{Kind, Record};
use bailiwick_audit::{FoldError, Held, Opening, ReadError, disclosed, fold};
use serde_json::{Value, json};

use super::verify::damage_json;
use super::{json_line, shown};
use crate::args::Format;
use crate::args::audit::AuditInspectOptions;
use crate::outcome::Outcome;
use crate::print::out;

/// Most records that one call may have. A session's name is not a call.
const MAX_RECORDS: usize = 1_000;

/// A record and the segment that holds it.
pub(super) struct Found {
    pub(super) record: Record,
    segment: u32,
    line: Value,
}

pub(crate) fn run(options: &AuditInspectOptions) -> Result<Outcome> {
    let (found, damage) = find(&options.dir, &options.what)?;
    if found.is_empty() {
        if let Some(damage) = damage {
            let damage = shown(&damage.to_string());
            bail!("the log is damaged before `{}` was found: {damage}", shown(&options.what));
        }
        bail!("the log has no call and no record `{}`", shown(&options.what));
    }
    for found in &found {
        match options.format {
            Format::Json => out!("{}", json_line(&found.line)?),
            Format::Human => {
                let openings = disclosed(&options.dir, found.segment, found.record.seq);
                show(Some(&options.dir), &found.record, openings);
            }
        }
    }
    // The output is only as sound as the log that it comes from.
    if let Some(damage) = damage {
        match options.format {
            Format::Json => out!("{}", json_line(&json!({ "damage": damage_json(&damage) }))?),
            Format::Human => out!("the log is damaged: {}", shown(&damage.to_string())),
        }
        return Ok(Outcome::Tampered);
    }
    Ok(Outcome::Holds)
}

pub(super) type Damaged = Option<bailiwick_audit::Damage>;

/// The records of a call, including those that say that its result is lost; or the one record with a given
/// number.
pub(super) fn find(dir: &Path, what: &str) -> Result<(Vec<Found>, Damaged)> {
    let number = what.parse::<u64>().ok();
    let mut found: Vec<Found> = Vec::new();
    let mut by_number = Vec::new();
    let mut intents = Vec::new();
    let folded = fold(dir, None, |record, behind| {
        let ends = record.recovered.iter().flat_map(|recovery| &recovery.lost);
        let is_of_call = record.call.as_deref() == Some(what)
            || ends.chain(&record.intent).any(|intent| intents.contains(intent));
        if is_of_call && record.kind == Kind::Intent {
            intents.push(record.seq);
        }
        let keep = || Found { record: record.clone(), segment: behind.segment, line: shown_record(record) };
        if is_of_call && found.len() < MAX_RECORDS {
            found.push(keep());
        }
        if number == Some(record.seq) {
            by_number.push(keep());
        }
        Ok::<_, Infallible>(())
    });
    let damage = match folded {
        Ok(_) => None,
        Err(FoldError::Read(ReadError::Damaged(damage))) => Some(damage),
        Err(error) => return Err(error.into()),
    };
    Ok((if found.is_empty() { by_number } else { found }, damage))
}

/// The record as JSON, with the members that the writer adds.
fn shown_record(record: &Record) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        members.insert("seq".to_owned(), record.seq.into());
        members.insert("prev".to_owned(), record.prev.to_string().into());
    }
    value
}

/// Shows a record, with the values that its openings give. `dir`: the folder of its log, if that is here.
pub(super) fn show(dir: Option<&Path>, record: &Record, openings: Vec<Opening>) {
    let openings: BTreeMap<_, _> =
        openings.into_iter().map(|opening| (opening.field.clone(), opening)).collect();
    let Record { seq, kind, time, session, call, tool, .. } = record;
    let time = time.map(rfc3339).unwrap_or_default();
    out!("record {seq}: {} {time}", word(*kind));
    let name = |label: &str, text: &Option<String>| {
        if let Some(text) = text {
            out!("  {label:<10} {}", shown(text));
        }
    };
    let value = |label: &str, value: &Option<Value>| {
        if let Some(value) = value {
            out!("  {label:<10} {}", shown(&value.to_string()));
        }
    };
    let held = |label: &str, held: &Option<Held>| {
        if let Some(held) = held {
            out!("  {label:<10} {}", text_of(dir, held, openings.get(label)));
        }
    };
    value("subject", &record.subject);
    name("session", session);
    name("call", call);
    name("tool", tool);
    held("arguments", &record.arguments);
    held("facts", &record.facts);
    name("policy", &record.policy_digest);
    value("rules", &record.rules);
    name("effect", &record.effect);
    held("reason", &record.reason);
    value("approval", &record.approval);
    value("sandbox", &record.sandbox);
    value("state", &record.state_delta);
    value("outcome", &record.outcome);
    value("usage", &record.usage);
    held("result", &record.result);
    if let Some(recovery) = &record.recovered {
        out!("  lost       {:?}: whether these calls ran is not known", recovery.lost);
    }
}

/// A value, as far as it can be shown.
fn text_of(dir: Option<&Path>, held: &Held, opening: Option<&Opening>) -> String {
    match (held, opening) {
        (Held::Plain(value), _) => shown(&value.to_string()),
        (Held::Dropped, _) => "(not kept)".to_owned(),
        (Held::Blob(hash), _) => match dir {
            Some(dir) => format!("(in {})", dir.join("blobs").join(hash.to_string()).display()),
            None => format!("(among the log's blobs: {hash})"),
        },
        (Held::Commitment(hash), Some(opening)) if opening.commitment() == *hash => shown(&opening.text),
        (Held::Commitment(hash), Some(_)) => format!("(its opening does not open the commitment {hash})"),
        (Held::Commitment(hash), None) => format!("(only the commitment {hash} is left)"),
    }
}

fn word(kind: Kind) -> String {
    serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Milliseconds since 1970 as RFC 3339, UTC.
fn rfc3339(ms: u64) -> String {
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    // Days since 0000-03-01, in eras of 400 years, as Howard Hinnant's `civil_from_days` has them.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_those_of_date() {
        // `date -u -d @SECONDS +%FT%T`
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_001), "2000-02-29T00:00:00.001Z");
        assert_eq!(rfc3339(1_764_076_601_123), "2025-11-25T13:16:41.123Z");
        assert_eq!(rfc3339(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
    }
}
