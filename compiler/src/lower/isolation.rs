//! Lowers isolation: Pod Security level, RuntimeClasses, service account tokens.

use bailiwick_crds::pack::{
    PolicyPackSpec, RuntimeClassRules, RuntimeKind as WireKind, ServiceAccountToken as WireToken,
};
use bailiwick_crds::pod_security::{PodSecurity as WirePodSecurity, PodSecurityLevel as WireLevel};
use bailiwick_policy::policy::{
    Isolation, PodSecurity, PodSecurityLevel, RuntimeClass, RuntimeClasses, RuntimeKind, ServiceAccountToken,
    Stated,
};

use super::{Findings, origin};
use crate::check::{bw0220_runtime_class_default, bw0221_pod_security_version};
use crate::diagnostic::{Diagnostic, FieldPath};

pub(super) fn lower(spec: &PolicyPackSpec, out: &mut Findings<'_>) -> Isolation {
    let Some(wire) = &spec.isolation else { return Isolation::default() };
    let at = FieldPath::spec().member("isolation");
    let security = at.member("podSecurity");
    let pod_security = wire.pod_security.as_ref().and_then(|wire| pod_security(wire, &security, out));
    let token = wire.service_account_token.map(|token| match token {
        WireToken::Allowed => ServiceAccountToken::Allowed,
        WireToken::Forbidden => ServiceAccountToken::Forbidden,
    });
    Isolation {
        pod_security: pod_security.map(|value| stated(value, &security)).into_iter().collect(),
        runtime_class: wire.runtime_class.as_ref().map(|wire| {
            let at = at.member("runtimeClass");
            stated(runtime_classes(wire, &at, out), &at)
        }),
        service_account_token: token.map(|value| stated(value, &at.member("serviceAccountToken"))),
    }
}

fn stated<T>(value: T, at: &FieldPath) -> Stated<T> {
    Stated { value, from: vec![origin(at)] }
}

/// Reads level and version; reports a version that this compiler does not know.
pub(super) fn pod_security(
    wire: &WirePodSecurity,
    at: &FieldPath,
    out: &mut Findings<'_>,
) -> Option<PodSecurity> {
    let minor = PodSecurity::built_in_minor(&wire.version);
    if minor.is_none() {
        let newest = PodSecurity::NEWEST_MINOR;
        let message =
            format!("`{}` is not a version of the Pod Security Standards that is built in", wire.version);
        let diagnostic = Diagnostic::new(bw0221_pod_security_version::CODE, at.member("version"), message);
        out.push(
            diagnostic
                .with_help(format!("versions are `v1.0` to `v1.{newest}`; `latest` would change under you")),
        );
    }
    Some(PodSecurity { level: level(wire.level), minor: minor? })
}

const fn level(wire: WireLevel) -> PodSecurityLevel {
    match wire {
        WireLevel::Privileged => PodSecurityLevel::Privileged,
        WireLevel::Baseline => PodSecurityLevel::Baseline,
        WireLevel::Restricted => PodSecurityLevel::Restricted,
    }
}

fn runtime_classes(wire: &RuntimeClassRules, at: &FieldPath, out: &mut Findings<'_>) -> RuntimeClasses {
    let mut classes: Vec<RuntimeClass> = wire
        .classes
        .iter()
        .map(|class| RuntimeClass {
            name: class.name.clone(),
            handler: class.handler.clone(),
            kind: match class.kind {
                WireKind::Runc => RuntimeKind::Runc,
                WireKind::GVisor => RuntimeKind::GVisor,
                WireKind::Kata => RuntimeKind::Kata,
            },
        })
        .collect();
    classes.sort();
    if let Some(default) =
        wire.default.as_ref().filter(|default| classes.iter().all(|class| class.name != **default))
    {
        let message = format!("the default RuntimeClass `{default}` is not one of `classes`");
        let names: Vec<String> = classes.iter().map(|class| format!("`{}`", class.name)).collect();
        let help = format!("add it to `classes`, or choose one of {}", names.join(", "));
        out.push(
            Diagnostic::new(bw0220_runtime_class_default::CODE, at.member("default"), message)
                .with_help(help),
        );
    }
    RuntimeClasses { classes, defaults: wire.default.iter().cloned().collect() }
}
