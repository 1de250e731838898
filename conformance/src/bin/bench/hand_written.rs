//! The sixteen rules hand-written in Rust without an engine: the lower bound that our evaluator is compared
//! with.

use bailiwick_policy::json::Json;

/// Whether the pod meets all of them.
pub(crate) fn allows(pod: &Json<'_>) -> bool {
    let Some(spec) = pod.get("spec") else { return false };
    let containers = || spec.get("containers").map_or(&[][..], Json::items);
    let volumes = || spec.get("volumes").map_or(&[][..], Json::items);
    let whole = spec.get("securityContext");
    let unset = |json: Option<&Json<'_>>| json.and_then(Json::as_bool) != Some(true);
    let every = |check: &dyn Fn(&Json<'_>, Option<&Json<'_>>) -> bool| {
        containers().iter().all(|container| check(container, container.get("securityContext")))
    };
    let host_process = |context: Option<&Json<'_>>| unset(at(context, &["windowsOptions", "hostProcess"]));
    let good = |profile: Option<&str>| matches!(profile, Some("RuntimeDefault" | "Localhost"));
    let none_or_good = |profile: Option<&str>| profile.is_none() || good(profile);
    let se_linux = |context: Option<&Json<'_>>| {
        let options = context.and_then(|context| context.get("seLinuxOptions"));
        let kind = text(at(options, &["type"])).unwrap_or_default();
        matches!(kind, "" | "container_t" | "container_init_t" | "container_kvm_t" | "container_engine_t")
            && text(at(options, &["user"])).unwrap_or_default().is_empty()
            && text(at(options, &["role"])).unwrap_or_default().is_empty()
    };
    host_process(whole)
        && every(&|_, context| host_process(context))
        && ["hostNetwork", "hostPID", "hostIPC"].iter().all(|field| unset(spec.get(field)))
        && every(&|_, context| unset(at(context, &["privileged"])))
        && volumes().iter().all(|volume| volume.get("hostPath").is_none())
        && every(&|container, _| {
            let ports = container.get("ports").map_or(&[][..], Json::items);
            ports.iter().all(|port| port.get("hostPort").and_then(Json::as_int).unwrap_or(0) == 0)
        })
        && every(&|container, _| probes_name_no_host(container))
        && none_or_good(profile(whole, "appArmorProfile"))
        && every(&|_, context| none_or_good(profile(context, "appArmorProfile")))
        && every(&|_, context| se_linux(context))
        && every(&|_, context| text(at(context, &["procMount"])).is_none_or(|mount| mount == "Default"))
        && at(whole, &["sysctls"]).map_or(&[][..], Json::items).iter().all(is_safe_sysctl)
        && volumes().iter().all(has_allowed_type)
        && every(&|_, context| {
            at(context, &["allowPrivilegeEscalation"]).and_then(Json::as_bool) == Some(false)
        })
        && every(&|_, context| {
            at(context, &["runAsNonRoot"]).or_else(|| at(whole, &["runAsNonRoot"])).and_then(Json::as_bool)
                == Some(true)
        })
        && at(whole, &["runAsUser"]).and_then(Json::as_int) != Some(0)
        && every(&|_, context| at(context, &["runAsUser"]).and_then(Json::as_int) != Some(0))
        && none_or_good(profile(whole, "seccompProfile"))
        && every(&|_, context| {
            good(profile(context, "seccompProfile").or_else(|| profile(whole, "seccompProfile")))
        })
        && every(&|_, context| {
            let list = |field| at(context, &["capabilities", field]).map_or(&[][..], Json::items);
            list("drop").iter().any(|one| one.as_str() == Some("ALL"))
                && list("add").iter().all(|one| one.as_str() == Some("NET_BIND_SERVICE"))
        })
}

fn at<'j>(json: Option<&'j Json<'j>>, path: &[&str]) -> Option<&'j Json<'j>> {
    json.and_then(|json| json.at(path))
}

fn text<'j>(json: Option<&'j Json<'j>>) -> Option<&'j str> {
    json.and_then(Json::as_str)
}

fn profile<'j>(context: Option<&'j Json<'j>>, field: &str) -> Option<&'j str> {
    text(at(context, &[field, "type"]))
}

fn probes_name_no_host(container: &Json<'_>) -> bool {
    let paths: [&[&str]; 8] = [
        &["livenessProbe", "httpGet", "host"],
        &["livenessProbe", "tcpSocket", "host"],
        &["readinessProbe", "httpGet", "host"],
        &["readinessProbe", "tcpSocket", "host"],
        &["startupProbe", "httpGet", "host"],
        &["startupProbe", "tcpSocket", "host"],
        &["lifecycle", "postStart", "httpGet", "host"],
        &["lifecycle", "preStop", "httpGet", "host"],
    ];
    paths.iter().all(|path| text(container.at(path)).unwrap_or_default().is_empty())
}

fn is_safe_sysctl(sysctl: &Json<'_>) -> bool {
    matches!(
        text(sysctl.get("name")),
        Some(
            "kernel.shm_rmid_forced"
                | "net.ipv4.ip_local_port_range"
                | "net.ipv4.ip_unprivileged_port_start"
                | "net.ipv4.tcp_syncookies"
                | "net.ipv4.ping_group_range"
        )
    )
}

fn has_allowed_type(volume: &Json<'_>) -> bool {
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]
    .iter()
    .any(|kind| volume.get(kind).is_some())
}
