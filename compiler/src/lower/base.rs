//! Base units: quantities, durations and counts become bytes, milliseconds and thousandths; paths become
//! canonical. An invalid value is reported and replaced by a placeholder, so that the rest is still checked.

use bailiwick_crds::scalar::{Duration, Quantity};
use bailiwick_policy::cel::{Quantity as Amount, parse_duration};

use super::Findings;
use crate::check::bw0235_base_value;
use crate::diagnostic::{Diagnostic, FieldPath};

/// Longest path: `PATH_MAX` of Linux, minus its final zero byte.
const MAX_PATH: usize = 4095;

fn report(at: &FieldPath, message: String, help: &str, out: &mut Findings<'_>) {
    out.push(Diagnostic::new(bw0235_base_value::CODE, at.clone(), message).with_help(help));
}

/// A positive whole number of bytes.
pub(super) fn bytes(wire: &Quantity, at: &FieldPath, out: &mut Findings<'_>) -> u64 {
    let milli = Amount::parse(wire.as_str()).and_then(|amount| amount.thousandths());
    let whole = milli.filter(|milli| milli % 1_000 == 0).and_then(|milli| u64::try_from(milli / 1_000).ok());
    match whole.filter(|bytes| *bytes > 0) {
        Some(bytes) => bytes,
        None => {
            report(
                at,
                format!("`{wire}` is not a positive whole number of bytes"),
                "write one as `64Mi`",
                out,
            );
            1
        }
    }
}

/// CPUs in thousandths; the kernel's smallest share is a hundredth.
pub(super) fn cpus(wire: &Quantity, at: &FieldPath, out: &mut Findings<'_>) -> u64 {
    const LEAST: u64 = 10;
    let milli = Amount::parse(wire.as_str()).and_then(|amount| u64::try_from(amount.thousandths()?).ok());
    match milli.filter(|milli| *milli >= LEAST) {
        Some(milli) => milli,
        None => {
            let message =
                format!("`{wire}` CPUs are fewer than `{LEAST}m`, or no whole number of thousandths");
            report(at, message, "write them as `2` or `500m`", out);
            LEAST
        }
    }
}

/// A positive whole number of milliseconds.
pub(super) fn millis(wire: &Duration, at: &FieldPath, out: &mut Findings<'_>) -> u64 {
    const NANOS: i64 = 1_000_000;
    let nanos = parse_duration(wire.as_str()).ok().filter(|nanos| nanos % NANOS == 0);
    match nanos.and_then(|nanos| u64::try_from(nanos / NANOS).ok()).filter(|millis| *millis > 0) {
        Some(millis) => millis,
        None => {
            let message = format!("`{wire}` is not a positive whole number of milliseconds");
            report(at, message, "write it as `10s` or `500ms`", out);
            1
        }
    }
}

/// A positive count.
pub(super) fn count(wire: i64, at: &FieldPath, out: &mut Findings<'_>) -> u64 {
    match u64::try_from(wire).ok().filter(|count| *count > 0) {
        Some(count) => count,
        None => {
            report(at, format!("`{wire}` leaves nothing that could run"), "write a number from 1", out);
            1
        }
    }
}

/// A path that can be mounted: absolute, canonical, and not where the sandbox has a file system of its own.
pub(super) fn path(wire: &str, at: &FieldPath, out: &mut Findings<'_>) -> Option<String> {
    let parts = wire.strip_prefix('/').filter(|rest| !rest.is_empty()).map(|rest| rest.split('/'));
    let canonical = parts.is_some_and(|mut parts| parts.all(|part| !matches!(part, "" | "." | "..")));
    if !canonical || wire.len() > MAX_PATH || wire.chars().any(char::is_control) {
        let message = format!("`{}` is not an absolute path in canonical form", wire.escape_debug());
        report(
            at,
            message,
            "write it from `/`, without `.`, `..`, `//` and a last `/`; `/` itself is too wide",
            out,
        );
        return None;
    }
    let own = ["/proc", "/sys", "/dev"].into_iter().find(|own| crate::paths::below(wire, own));
    if let Some(own) = own {
        let help = "`filesystem.proc` and `filesystem.devices` say what stands there";
        report(at, format!("`{own}` of a sandbox is its own"), help, out);
        return None;
    }
    Some(wire.to_owned())
}
