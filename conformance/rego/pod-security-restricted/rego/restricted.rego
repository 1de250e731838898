# The restricted Pod Security Standard of Kubernetes v1.37, one set of messages per control, as in the pack pod-security-restricted.
#
# What may be absent is read with object.get: an undefined value ends a body, and a body that ends refuses nothing.
package restricted

import rego.v1

pod := input.object

spec := pod.spec

context(holder) := object.get(holder, "securityContext", {})

every_container contains container if some container in object.get(spec, "containers", [])

every_container contains container if some container in object.get(spec, "initContainers", [])

every_container contains container if some container in object.get(spec, "ephemeralContainers", [])

windows if object.get(spec, ["os", "name"], "") == "windows"

in_user_namespace if object.get(spec, "hostUsers", true) == false

app_armor contains "the pod has a forbidden AppArmor profile" if not app_armor_is_fine(spec)

app_armor contains sprintf("container %v has a forbidden AppArmor profile", [container.name]) if {
	some container in every_container
	not app_armor_is_fine(container)
}

app_armor contains sprintf("annotation %v asks for a forbidden AppArmor profile", [key]) if {
	some key, value in object.get(pod, ["metadata", "annotations"], {})
	startswith(key, "container.apparmor.security.beta.kubernetes.io/")
	not value in {"", "runtime/default"}
	not startswith(value, "localhost/")
}

app_armor_is_fine(holder) if {
	object.get(context(holder), ["appArmorProfile", "type"], "RuntimeDefault") in {"RuntimeDefault", "Localhost"}
}

host_namespaces contains sprintf("shares a namespace of the host: %v", [field]) if {
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	spec[field] == true
}

host_ports contains sprintf("container %v takes a port of the host", [container.name]) if {
	some container in every_container
	some port in object.get(container, "ports", [])
	object.get(port, "hostPort", 0) != 0
}

host_probes contains sprintf("a probe of container %v asks another host", [container.name]) if {
	some container in every_container
	some probe in ["livenessProbe", "readinessProbe", "startupProbe"]
	some way in ["httpGet", "tcpSocket"]
	object.get(container, [probe, way, "host"], "") != ""
}

host_probes contains sprintf("a lifecycle handler of container %v asks another host", [container.name]) if {
	some container in every_container
	some handler in ["postStart", "preStop"]
	some way in ["httpGet", "tcpSocket"]
	object.get(container, ["lifecycle", handler, way, "host"], "") != ""
}

privileged contains sprintf("container %v is privileged", [container.name]) if {
	some container in every_container
	object.get(context(container), "privileged", false) == true
}

container_types := {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}

se_linux contains "the pod has forbidden SELinux options" if se_linux_is_forbidden(spec)

se_linux contains sprintf("container %v has forbidden SELinux options", [container.name]) if {
	some container in every_container
	se_linux_is_forbidden(container)
}

se_linux_is_forbidden(holder) if not object.get(context(holder), ["seLinuxOptions", "type"], "") in container_types

se_linux_is_forbidden(holder) if {
	some field in ["user", "role"]
	object.get(context(holder), ["seLinuxOptions", field], "") != ""
}

safe_sysctls := {
	"kernel.shm_rmid_forced",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.ip_local_reserved_ports",
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_notsent_lowat",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_slow_start_after_idle",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.tcp_wmem",
}

sysctls contains sprintf("forbidden sysctl %v", [sysctl.name]) if {
	some sysctl in object.get(context(spec), "sysctls", [])
	not sysctl.name in safe_sysctls
}

windows_host_process contains "the pod is a Windows host process" if is_host_process(spec)

windows_host_process contains sprintf("container %v is a Windows host process", [container.name]) if {
	some container in every_container
	is_host_process(container)
}

is_host_process(holder) if object.get(context(holder), ["windowsOptions", "hostProcess"], false) == true

# Windows has neither privilege escalation, nor capabilities, nor seccomp.
privilege_escalation contains sprintf("container %v may gain privileges", [container.name]) if {
	not windows
	some container in every_container
	object.get(context(container), "allowPrivilegeEscalation", true) == true
}

capabilities contains sprintf("container %v does not drop all capabilities", [container.name]) if {
	not windows
	some container in every_container
	not "ALL" in object.get(context(container), ["capabilities", "drop"], [])
}

capabilities contains sprintf("container %v adds capability %v", [container.name, added]) if {
	not windows
	some container in every_container
	some added in object.get(context(container), ["capabilities", "add"], [])
	added != "NET_BIND_SERVICE"
}

proc_mount contains sprintf("container %v has an unmasked /proc", [container.name]) if {
	some container in every_container
	object.get(context(container), "procMount", "Default") != "Default"
}

good_volumes := {
	"configMap",
	"csi",
	"downwardAPI",
	"emptyDir",
	"ephemeral",
	"image",
	"persistentVolumeClaim",
	"projected",
	"secret",
}

volumes contains sprintf("volume %v is of a restricted type", [volume.name]) if {
	some volume in object.get(spec, "volumes", [])
	count(object.keys(volume) & good_volumes) == 0
}

# In a user namespace root is nobody outside.
run_as_non_root contains "the pod may run as root" if {
	not in_user_namespace
	object.get(context(spec), "runAsNonRoot", true) == false
}

run_as_non_root contains sprintf("container %v may run as root", [container.name]) if {
	not in_user_namespace
	some container in every_container
	of_pod := object.get(context(spec), "runAsNonRoot", false)
	object.get(context(container), "runAsNonRoot", of_pod) == false
}

run_as_user contains "the pod runs as user 0" if {
	not in_user_namespace
	object.get(context(spec), "runAsUser", 1) == 0
}

run_as_user contains sprintf("container %v runs as user 0", [container.name]) if {
	not in_user_namespace
	some container in every_container
	object.get(context(container), "runAsUser", 1) == 0
}

good_profiles := {"RuntimeDefault", "Localhost"}

seccomp contains "the pod has no good seccomp profile" if {
	not windows
	not object.get(context(spec), ["seccompProfile", "type"], "RuntimeDefault") in good_profiles
}

seccomp contains sprintf("container %v has no good seccomp profile", [container.name]) if {
	not windows
	some container in every_container
	of_pod := object.get(context(spec), ["seccompProfile", "type"], "")
	not object.get(context(container), ["seccompProfile", "type"], of_pod) in good_profiles
}
