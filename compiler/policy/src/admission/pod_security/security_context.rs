//! `securityContext` of a pod and of a container: reading it once, and the checks that both share.

use super::checks::Check;
use super::tables::allowed_sysctls;
use super::walk::{Kind, Place, SECCOMP_FIELD_SINCE, Walk, shown};
use crate::json::{Json, Map};

/// From this version on, a container may run as `container_engine_t`.
const ENGINE_TYPE_SINCE: u16 = 31;

/// The members that checks read; null counts as absent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SecurityContext<'j> {
    pub(super) allow_privilege_escalation: Option<&'j Json<'j>>,
    app_armor_profile: Option<&'j Map<'j>>,
    pub(super) capabilities: Option<&'j Map<'j>>,
    pub(super) privileged: Option<&'j Json<'j>>,
    pub(super) proc_mount: Option<&'j Json<'j>>,
    pub(super) run_as_non_root: Option<&'j Json<'j>>,
    run_as_user: Option<&'j Json<'j>>,
    se_linux_options: Option<&'j Map<'j>>,
    pub(super) seccomp_profile: Option<&'j Map<'j>>,
    sysctls: Option<&'j Json<'j>>,
    windows_options: Option<&'j Map<'j>>,
}

impl<'j> Walk<'j> {
    pub(super) fn read_security_context(&mut self, place: Place, value: &'j Json<'j>) -> SecurityContext<'j> {
        let mut read = SecurityContext::default();
        let Some(map) = self.object(place, "securityContext", value) else { return read };
        for (key, value) in map.iter().filter(|(_, value)| **value != Json::Null) {
            match key {
                "allowPrivilegeEscalation" => read.allow_privilege_escalation = Some(value),
                "appArmorProfile" => {
                    read.app_armor_profile = self.object(place, "securityContext.appArmorProfile", value)
                }
                "capabilities" => {
                    read.capabilities = self.object(place, "securityContext.capabilities", value)
                }
                "privileged" => read.privileged = Some(value),
                "procMount" => read.proc_mount = Some(value),
                "runAsNonRoot" => read.run_as_non_root = Some(value),
                "runAsUser" => read.run_as_user = Some(value),
                "seLinuxOptions" => {
                    read.se_linux_options = self.object(place, "securityContext.seLinuxOptions", value)
                }
                "seccompProfile" => {
                    read.seccomp_profile = self.object(place, "securityContext.seccompProfile", value)
                }
                "sysctls" => read.sysctls = Some(value),
                "windowsOptions" => {
                    read.windows_options = self.object(place, "securityContext.windowsOptions", value)
                }
                _ => {}
            }
        }
        read
    }

    /// The pod's own security context: what it sets for the containers, and its faults.
    pub(super) fn pod_security_context(&mut self, context: &SecurityContext<'j>) {
        self.pod_non_root = context.run_as_non_root == Some(&Json::Bool(true));
        self.pod_seccomp = context.seccomp_profile.is_some_and(|profile| is_good_profile(profile));
        self.shared_checks(Place::Pod, "", context);
        self.sysctls(context);
    }

    /// The checks that a pod and a container share.
    pub(super) fn shared_checks(&mut self, place: Place, name: &'j str, context: &SecurityContext<'j>) {
        self.app_armor(place, name, context);
        self.se_linux(place, name, context);
        self.explicit_seccomp(place, name, context);
        if self.checks.has(Check::WindowsHostProcess)
            && let Some(value) = context.windows_options.and_then(|options| options.get("hostProcess"))
            && !matches!(value, Json::Null | Json::Bool(false))
        {
            let at = "securityContext.windowsOptions.hostProcess";
            self.hit(Check::WindowsHostProcess, place, name, at, shown(value), Kind::Set);
        }
        if self.checks.has(Check::RunAsNonRoot)
            && !self.user_namespace
            && let Some(value) = context.run_as_non_root
            && *value != Json::Bool(true)
        {
            self.hit(
                Check::RunAsNonRoot,
                place,
                name,
                "securityContext.runAsNonRoot",
                shown(value),
                Kind::Set,
            );
        }
        if self.checks.has(Check::RunAsUser)
            && !self.user_namespace
            && let Some(value) = context.run_as_user
            && !matches!(value, Json::Int(user) if *user != 0)
        {
            self.hit(Check::RunAsUser, place, name, "securityContext.runAsUser", shown(value), Kind::Set);
        }
    }

    fn app_armor(&mut self, place: Place, name: &'j str, context: &SecurityContext<'j>) {
        let Some(profile) = context.app_armor_profile else { return };
        if self.checks.has(Check::AppArmorProfile) && !is_good_profile(profile) {
            let value = profile.get("type").map(shown).unwrap_or_default();
            self.hit(
                Check::AppArmorProfile,
                place,
                name,
                "securityContext.appArmorProfile.type",
                value,
                Kind::Set,
            );
        }
    }

    fn explicit_seccomp(&mut self, place: Place, name: &'j str, context: &SecurityContext<'j>) {
        let Some(profile) = context.seccomp_profile else { return };
        let Some(check) = self.checks.either(Check::SeccompRestricted, Check::SeccompBaseline) else {
            return;
        };
        let excused = self.windows && check == Check::SeccompRestricted;
        if self.minor >= SECCOMP_FIELD_SINCE && !excused && !is_good_profile(profile) {
            let value = profile.get("type").map(shown).unwrap_or_default();
            self.hit(check, place, name, "securityContext.seccompProfile.type", value, Kind::Set);
        }
    }

    fn se_linux(&mut self, place: Place, name: &'j str, context: &SecurityContext<'j>) {
        let Some(options) = context.se_linux_options else { return };
        if !self.checks.has(Check::SeLinuxOptions) {
            return;
        }
        for (key, value) in options.iter() {
            let good = match (key, value) {
                (_, Json::Null) => true,
                ("type", Json::Str(text)) => match text.as_ref() {
                    "" | "container_t" | "container_init_t" | "container_kvm_t" => true,
                    "container_engine_t" => self.minor >= ENGINE_TYPE_SINCE,
                    _ => false,
                },
                ("user" | "role", Json::Str(text)) => text.is_empty(),
                ("type" | "user" | "role", _) => false,
                _ => true,
            };
            if !good {
                let at = format!("securityContext.seLinuxOptions.{key}");
                self.hit(Check::SeLinuxOptions, place, name, &at, shown(value), Kind::Set);
            }
        }
    }

    fn sysctls(&mut self, context: &SecurityContext<'j>) {
        let Some(value) = context.sysctls else { return };
        if !self.checks.has(Check::Sysctls) {
            return;
        }
        for (index, sysctl) in self.list(Place::Pod, "securityContext.sysctls", value).iter().enumerate() {
            let name = sysctl.get("name").and_then(Json::as_str).unwrap_or("");
            if !allowed_sysctls(self.minor).any(|allowed| allowed == name) {
                let at = format!("securityContext.sysctls[{index}].name");
                self.hit(Check::Sysctls, Place::Pod, "", &at, name.to_owned(), Kind::Set);
            }
        }
    }
}

/// AppArmor and seccomp profiles may have one of these two types; a profile without a type has neither.
pub(super) fn is_good_profile(profile: &Map<'_>) -> bool {
    matches!(profile.get("type").and_then(Json::as_str), Some("RuntimeDefault" | "Localhost"))
}
