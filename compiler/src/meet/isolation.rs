//! The meet of isolation sections.

use bailiwick_policy::policy::{Isolation, PodSecurity, PodSecurityLevel, RuntimeClasses, Stated};

use super::{both, provenance::united};

pub(super) fn meet(a: Isolation, b: Isolation) -> Isolation {
    Isolation {
        pod_security: a.pod_security.into_iter().chain(b.pod_security).collect(),
        runtime_class: both(a.runtime_class, b.runtime_class, |a, b| stated(a, b, runtime_classes)),
        service_account_token: both(a.service_account_token, b.service_account_token, |a, b| {
            stated(a, b, Ord::max)
        }),
    }
}

fn stated<T>(a: Stated<T>, b: Stated<T>, meet: impl FnOnce(T, T) -> T) -> Stated<T> {
    Stated { value: meet(a.value, b.value), from: united(a.from, b.from) }
}

/// A class is allowed by the meet if both policies allow it and mean the same handler. Defaults unite;
/// [`RuntimeClasses::default_class`] decides which one, if any, is written. If a disputed default were
/// dropped here, a third pack could bring it back.
fn runtime_classes(a: RuntimeClasses, b: RuntimeClasses) -> RuntimeClasses {
    let RuntimeClasses { classes, mut defaults } = a;
    defaults.extend(b.defaults);
    RuntimeClasses {
        classes: classes.into_iter().filter(|class| b.classes.contains(class)).collect(),
        defaults,
    }
}

/// Whether every pod that meets `a` also meets `b`. Levels of different versions are not comparable: later
/// versions allow more sysctls and privileges in user namespaces, and forbid more fields.
pub(crate) fn as_strict(a: PodSecurity, b: PodSecurity) -> bool {
    b.level == PodSecurityLevel::Privileged || (a.minor == b.minor && a.level >= b.level)
}

pub(super) fn canonical(mut isolation: Isolation) -> Isolation {
    isolation.pod_security = strictest(isolation.pod_security);
    if let Some(stated) = &mut isolation.runtime_class {
        stated.value.classes.sort();
        stated.value.classes.dedup();
        stated.value.defaults.sort();
        stated.value.defaults.dedup();
        stated.from = united(std::mem::take(&mut stated.from), Vec::new());
    }
    if let Some(stated) = &mut isolation.service_account_token {
        stated.from = united(std::mem::take(&mut stated.from), Vec::new());
    }
    isolation
}

/// The levels that no other level implies.
fn strictest(mut levels: Vec<Stated<PodSecurity>>) -> Vec<Stated<PodSecurity>> {
    levels.sort_by_key(|stated| std::cmp::Reverse((stated.value.level, stated.value.minor)));
    let mut kept: Vec<Stated<PodSecurity>> = Vec::with_capacity(levels.len());
    for level in levels {
        match kept.iter_mut().find(|other| as_strict(other.value, level.value)) {
            Some(same) if same.value == level.value => {
                same.from = united(std::mem::take(&mut same.from), level.from)
            }
            Some(_) => {}
            None => kept.push(Stated { from: united(level.from, Vec::new()), value: level.value }),
        }
    }
    kept
}
