//! The checks of one container.

use super::checks::Check;
use super::security_context::SecurityContext;
use super::tables::BASELINE_CAPABILITIES;
use super::walk::{Kind, Place, SECCOMP_FIELD_SINCE, Walk, shown};
use crate::json::{Json, Map};

impl<'j> Walk<'j> {
    /// Checks one container, init container or ephemeral container.
    pub(super) fn container(&mut self, place: Place, container: &'j Json<'j>) {
        let Json::Map(members) = container else {
            self.malformed.push(place.to_string());
            return;
        };
        let name = members.get("name").and_then(Json::as_str).unwrap_or("");
        let mut context = SecurityContext::default();
        for (key, value) in members.iter() {
            match key {
                "securityContext" => context = self.read_security_context(place, value),
                "ports" => self.host_ports(place, name, value),
                "livenessProbe" | "readinessProbe" | "startupProbe" => {
                    self.handler_hosts(place, name, ["", key], value)
                }
                "lifecycle" if *value != Json::Null => self.lifecycle(place, name, value),
                _ => {}
            }
        }
        self.seccomp_container_annotation(name);
        self.shared_checks(place, name, &context);
        self.flags(place, name, &context);
        self.capabilities(place, name, context.capabilities);
        self.missing(place, name, &context);
    }

    fn host_ports(&mut self, place: Place, name: &'j str, value: &'j Json<'j>) {
        if !self.checks.has(Check::HostPorts) {
            return;
        }
        for (index, port) in self.list(place, "ports", value).iter().enumerate() {
            let Some(port) = self.object(place, "ports", port) else { continue };
            if let Some(number) = port.get("hostPort")
                && !matches!(number, Json::Null | Json::Int(0))
            {
                self.hit(
                    Check::HostPorts,
                    place,
                    name,
                    &format!("ports[{index}].hostPort"),
                    shown(number),
                    Kind::Set,
                );
            }
        }
    }

    fn lifecycle(&mut self, place: Place, name: &'j str, value: &'j Json<'j>) {
        let Some(lifecycle) = self.object(place, "lifecycle", value) else { return };
        for hook in ["postStart", "preStop"] {
            if let Some(handler) = lifecycle.get(hook) {
                self.handler_hosts(place, name, ["lifecycle.", hook], handler);
            }
        }
    }

    /// Probes and lifecycle handlers: they may not connect to another host. `at`: the two halves of the
    /// handler's path.
    fn handler_hosts(&mut self, place: Place, name: &'j str, at: [&str; 2], handler: &'j Json<'j>) {
        if !self.checks.has(Check::HostProbes) {
            return;
        }
        let [head, tail] = at;
        let Some(handler) = self.object(place, tail, handler) else { return };
        for key in ["httpGet", "tcpSocket"] {
            let Some(action) = handler.get(key).and_then(|action| self.object(place, tail, action)) else {
                continue;
            };
            if let Some(host) = action.get("host")
                && *host != Json::Null
                && host.as_str() != Some("")
            {
                self.hit(
                    Check::HostProbes,
                    place,
                    name,
                    &format!("{head}{tail}.{key}.host"),
                    shown(host),
                    Kind::Set,
                );
            }
        }
    }

    /// `privileged`, `procMount` and `allowPrivilegeEscalation`.
    fn flags(&mut self, place: Place, name: &'j str, context: &SecurityContext<'j>) {
        if self.checks.has(Check::Privileged)
            && let Some(value) = context.privileged
            && *value != Json::Bool(false)
        {
            self.hit(Check::Privileged, place, name, "securityContext.privileged", shown(value), Kind::Set);
        }
        if let Some(check) = self.checks.either(Check::ProcMountRestricted, Check::ProcMount)
            && let Some(value) = context.proc_mount
            && value.as_str() != Some("Default")
            && (check == Check::ProcMountRestricted || !self.user_namespace)
        {
            self.hit(check, place, name, "securityContext.procMount", shown(value), Kind::Set);
        }
        if self.checks.has(Check::AllowPrivilegeEscalation)
            && !self.windows
            && context.allow_privilege_escalation != Some(&Json::Bool(false))
        {
            let value = context.allow_privilege_escalation.map(shown).unwrap_or_default();
            let at = "securityContext.allowPrivilegeEscalation";
            self.hit(Check::AllowPrivilegeEscalation, place, name, at, value, Kind::Set);
        }
    }

    fn capabilities(&mut self, place: Place, name: &'j str, capabilities: Option<&'j Map<'j>>) {
        let Some(check) = self.checks.either(Check::CapabilitiesRestricted, Check::CapabilitiesBaseline)
        else {
            return;
        };
        let restricted = check == Check::CapabilitiesRestricted;
        if restricted && self.windows {
            return;
        }
        if restricted {
            let drop = capabilities.and_then(|capabilities| capabilities.get("drop"));
            let dropped =
                drop.map_or(&[][..], |drop| self.list(place, "securityContext.capabilities.drop", drop));
            if !dropped.iter().any(|capability| capability.as_str() == Some("ALL")) {
                self.hit(
                    check,
                    place,
                    name,
                    "securityContext.capabilities.drop",
                    String::new(),
                    Kind::Missing,
                );
            }
        }
        let Some(add) = capabilities.and_then(|capabilities| capabilities.get("add")) else { return };
        for (index, capability) in
            self.list(place, "securityContext.capabilities.add", add).iter().enumerate()
        {
            let good = capability.as_str().is_some_and(|capability| {
                if restricted {
                    capability == "NET_BIND_SERVICE"
                } else {
                    BASELINE_CAPABILITIES.contains(&capability)
                }
            });
            if !good {
                let at = format!("securityContext.capabilities.add[{index}]");
                self.hit(check, place, name, &at, shown(capability), Kind::Set);
            }
        }
    }

    /// What a container must set itself because the pod does not set it for all.
    fn missing(&mut self, place: Place, name: &'j str, context: &SecurityContext<'j>) {
        if self.checks.has(Check::RunAsNonRoot)
            && !self.user_namespace
            && !self.pod_non_root
            && context.run_as_non_root.is_none()
        {
            self.hit(
                Check::RunAsNonRoot,
                place,
                name,
                "securityContext.runAsNonRoot",
                String::new(),
                Kind::Missing,
            );
        }
        if self.checks.has(Check::SeccompRestricted)
            && self.minor >= SECCOMP_FIELD_SINCE
            && !self.windows
            && !self.pod_seccomp
            && context.seccomp_profile.is_none()
        {
            let at = "securityContext.seccompProfile.type";
            self.hit(Check::SeccompRestricted, place, name, at, String::new(), Kind::Missing);
        }
    }
}
