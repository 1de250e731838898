//! Amounts: exact, a comparison of numbers. The witness is an amount that one policy allows and the other
//! does not, or a setting that only one of them allows.

use bailiwick_policy::policy::sandboxes::{
    AtLeast, CgroupAccess, Enforcement, Lifetime, Limits, Pool, UserNamespace, Workspace,
};
use bailiwick_policy::policy::tools::{Budget, Counter, Scope};
use bailiwick_policy::policy::{PodSecurityLevel, Policy};
use serde_json::json;

use super::sandboxes::Pair;
use super::settings;
use super::sides::Sides;
use super::{Amount, Change, Diff, Direction, Layer, Verdict, Witness, rooms, throttles};

/// An upper bound; `None` if unlimited.
type Bound = Option<u64>;

pub(super) fn sandbox(pair: &Pair<'_>, out: &mut Diff) {
    let at = format!("sandboxes.{}", pair.new.name);
    for ((name, unit, old), (_, _, new)) in
        numbers(&pair.old.limits).into_iter().zip(numbers(&pair.new.limits))
    {
        let of = format!("{at}.limits.{name}");
        out.changes.extend(amount(&of, unit, Some(old), Some(new)));
    }
    for ((name, old), (_, new)) in held(&pair.old.at_least).into_iter().zip(held(&pair.new.at_least)) {
        let of = format!("{at}.atLeast.{name}");
        out.changes.extend(setting(&of, old, new, |value: Enforcement| format!("{value:?}")));
    }
    let files = (&pair.old.filesystem, &pair.new.filesystem);
    rooms::compare(&at, files.0, files.1, out);
    workspaces(&at, files.0.workspace.as_ref(), files.1.workspace.as_ref(), out);
}

/// How long the files of a workspace live. Without one, what is written is gone after the call.
fn workspaces(at: &str, old: Option<&Workspace>, new: Option<&Workspace>, out: &mut Diff) {
    let of = |what: &str| format!("{at}.filesystem.workspace.{what}");
    let lives = |one: Option<&Workspace>| one.map_or(Lifetime::Call, |one| one.lifetime);
    let word = |value: Lifetime| format!("{value:?}");
    out.changes.extend(setting(&of("lifetime"), lives(old), lives(new), word));
    if let (Some(old), Some(new)) = (old, new) {
        // Saved before a result is sent, or possibly lost: the later value in this order is the laxer.
        let lax = |durable: bool| !durable;
        let word = |lax: bool| if lax { "lost by a crash" } else { "kept over a crash" }.to_owned();
        out.changes.extend(setting(&of("durable"), lax(old.durable), lax(new.durable), word));
    }
}

/// The limits of calls by their names in a pack, with their units.
fn numbers(limits: &Limits) -> [(&'static str, &'static str, u64); 8] {
    [
        ("wallClock", "ms", limits.wall_clock_ms),
        ("cpuTime", "ms", limits.cpu_time_ms),
        ("cpus", "thousandths", limits.cpus_milli),
        ("memory", "bytes", limits.memory_bytes),
        ("processes", "", limits.processes),
        ("openFiles", "", limits.open_files),
        ("fileSize", "bytes", limits.file_size_bytes),
        ("output", "bytes", limits.output_bytes),
    ]
}

fn held(at_least: &AtLeast) -> [(&'static str, Enforcement); 5] {
    [
        ("memory", at_least.memory),
        ("processes", at_least.processes),
        ("cpus", at_least.cpus),
        ("cpuTime", at_least.cpu_time),
        ("proc", at_least.proc),
    ]
}

/// Pools of both policies, by name.
pub(super) fn pools(old: &Policy, new: &Policy, out: &mut Diff) {
    for after in &new.pools {
        match old.pools.iter().find(|before| before.name == after.name) {
            Some(before) => pool(before, after, out),
            None => out.changes.push(alone(&after.name, Direction::Changed, ("not there", "there"))),
        }
    }
    for before in old.pools.iter().filter(|before| !new.pools.iter().any(|one| one.name == before.name)) {
        out.changes.push(alone(&before.name, Direction::Narrowed, ("there", "not there")));
    }
}

/// A pool that only one of the policies has: what else its pods could do is unknown.
fn alone(name: &str, direction: Direction, (old, new): (&str, &str)) -> Change {
    let which = if direction == Direction::Narrowed { "OLD" } else { "NEW" };
    let what = format!("pool `{name}` is only in {which}");
    let values = (old.to_owned(), new.to_owned());
    settings::stated(Layer::Limits, direction, what, &format!("pools.{name}"), values)
}

fn pool(old: &Pool, new: &Pool, out: &mut Diff) {
    let of = |what: &str| format!("pools.{}.{what}", new.name);
    out.changes.extend(amount(
        &of("resources.cpus"),
        "thousandths",
        Some(old.cpus_milli),
        Some(new.cpus_milli),
    ));
    out.changes.extend(amount(
        &of("resources.memory"),
        "bytes",
        Some(old.memory_bytes),
        Some(new.memory_bytes),
    ));
    // Of these two the earlier is the laxer.
    let level = |pool: &Pool| std::cmp::Reverse(pool.pod_security.level);
    let word = |level: std::cmp::Reverse<PodSecurityLevel>| format!("{:?}", level.0);
    out.changes.extend(setting(&of("podSecurity.level"), level(old), level(new), word));
    let user = |pool: &Pool| std::cmp::Reverse(pool.user_namespace);
    let word = |user: std::cmp::Reverse<UserNamespace>| format!("{:?}", user.0);
    out.changes.extend(setting(&of("userNamespace"), user(old), user(new), word));
    out.changes
        .extend(setting(&of("cgroup"), old.cgroup, new.cgroup, |value: CgroupAccess| format!("{value:?}")));
    let version = |pool: &Pool| format!("v1.{}", pool.pod_security.minor);
    let class = |pool: &Pool| json!(pool.runtime_class).to_string();
    let backend = |pool: &Pool| format!("{:?}", pool.backend);
    for (what, old, new) in [
        ("backend", backend(old), backend(new)),
        ("runtimeClass", class(old), class(new)),
        ("podSecurity.version", version(old), version(new)),
    ] {
        out.changes.extend(settings::other(Layer::Limits, &of(what), old, new));
    }
}

/// Budgets and the windows of counters, by pack and name.
pub(super) fn state(sides: &Sides, out: &mut Diff) {
    let (old, new) = sides.policies();
    // A single pack may have been renamed.
    let alone = sides.alone();
    throttles::compare(old, new, alone, out);
    for (name, old, new) in named(old, new, alone, budgets) {
        let of = |what: &str| format!("tools.state.budgets.{name}.{what}");
        let limit = |budget: Option<&Budget>| budget.map(|budget| budget.limit_milli);
        out.changes.extend(amount(&of("limit"), "thousandths", limit(old), limit(new)));
        let (Some(old), Some(new)) = (old, new) else { continue };
        out.changes.extend(window(&of("window"), old.window_ms, new.window_ms));
        out.changes.extend(scope(&of("scope"), old.scope, new.scope));
        if old.resource != new.resource {
            let word = |budget: &Budget| format!("{:?}", budget.resource);
            out.changes.extend(settings::other(Layer::Limits, &of("resource"), word(old), word(new)));
        }
    }
    for (name, old, new) in named(old, new, alone, counters) {
        // Throttles tell the rest.
        let (Some(old), Some(new)) = (old, new) else { continue };
        let of = |what: &str| format!("tools.state.counters.{name}.{what}");
        out.changes.extend(window(&of("window"), old.window_ms, new.window_ms));
        out.changes.extend(scope(&of("scope"), old.scope, new.scope));
    }
}

/// An item of one pack, with the pack's name and its own.
type Of<'p, T> = (&'p str, &'p str, &'p T);

fn budgets(policy: &Policy, alone: bool) -> Vec<Of<'_, Budget>> {
    let layers = policy.tools.iter().map(|layer| (pack(policy, layer.pack, alone), layer));
    layers
        .flat_map(|(pack, layer)| layer.budgets.iter().map(move |one| (pack, one.name.as_str(), one)))
        .collect()
}

fn counters(policy: &Policy, alone: bool) -> Vec<Of<'_, Counter>> {
    let layers = policy.tools.iter().map(|layer| (pack(policy, layer.pack, alone), layer));
    layers
        .flat_map(|(pack, layer)| layer.counters.iter().map(move |one| (pack, one.name.as_str(), one)))
        .collect()
}

pub(super) fn pack(policy: &Policy, index: u16, alone: bool) -> &str {
    if alone {
        return "";
    }
    policy.packs.get(usize::from(index)).map_or("", |pack| pack.name.as_str())
}

/// The items of both policies side by side.
fn named<'p, T>(
    old: &'p Policy,
    new: &'p Policy,
    alone: bool,
    of: fn(&'p Policy, bool) -> Vec<Of<'p, T>>,
) -> Vec<(&'p str, Option<&'p T>, Option<&'p T>)> {
    let (old, new) = (of(old, alone), of(new, alone));
    let same = |a: &Of<'p, T>, b: &Of<'p, T>| (a.0, a.1) == (b.0, b.1);
    let mut out: Vec<_> = old
        .iter()
        .map(|one| (one.1, Some(one.2), new.iter().find(|other| same(one, other)).map(|other| other.2)))
        .collect();
    let added = new.iter().filter(|one| !old.iter().any(|other| same(one, other)));
    out.extend(added.map(|one| (one.1, None, Some(one.2))));
    out
}

/// The difference between two upper bounds.
pub(super) fn amount(of: &str, unit: &'static str, old: Bound, new: Bound) -> Option<Change> {
    // The larger bound, or just above the only one.
    let value = match (old, new) {
        (Some(old), Some(new)) => old.max(new),
        (one, other) => one.or(other)?.checked_add(1)?,
    };
    let lets = |bound: Bound| bound.is_none_or(|bound| value <= bound);
    let says = |bound: Bound| match bound {
        Some(bound) => format!("the limit is {}", told(bound, unit)),
        None => "there is no limit".to_owned(),
    };
    let witness = Witness::Amount(Amount { of: of.to_owned(), value, unit });
    change(of, witness, (lets(old), says(old)), (lets(new), says(new)))
}

/// The difference between two windows: older use no longer counts.
pub(super) fn window(of: &str, old: Bound, new: Bound) -> Option<Change> {
    // An age that one window still covers and the other does not.
    let value = match (old, new) {
        (Some(old), Some(new)) => old.max(new),
        (one, other) => one.or(other)?.checked_add(1)?,
    };
    let forgets = |bound: Bound| bound.is_some_and(|bound| value > bound);
    let says = |bound: Bound| match bound {
        Some(bound) => format!("use counts for {bound} ms"),
        None => "use counts for ever".to_owned(),
    };
    let witness = Witness::Amount(Amount { of: of.to_owned(), value, unit: "ms" });
    change(of, witness, (forgets(old), says(old)), (forgets(new), says(new)))
}

pub(super) fn scope(of: &str, old: Scope, new: Scope) -> Option<Change> {
    setting(of, old, new, |scope| format!("{scope:?}"))
}

/// The difference between two settings, of which the later in their order is the laxer.
fn setting<T: Copy + Ord>(of: &str, old: T, new: T, word: impl Fn(T) -> String) -> Option<Change> {
    settings::ordered(Layer::Limits, of, old, new, word)
}

fn change(of: &str, witness: Witness, old: (bool, String), new: (bool, String)) -> Option<Change> {
    let direction = match (old.0, new.0) {
        (false, true) => Direction::Widened,
        (true, false) => Direction::Narrowed,
        _ => return None,
    };
    let verdict = |(lets, says): (bool, String)| Verdict {
        messages: vec![says],
        ..Verdict::word(if lets { "allowed" } else { "denied" })
    };
    let (old, new) = (verdict(old), verdict(new));
    Some(Change { layer: Layer::Limits, direction, what: of.to_owned(), witness, old, new })
}

fn told(value: u64, unit: &str) -> String {
    if unit.is_empty() { value.to_string() } else { format!("{value} {unit}") }
}
