# The sixteen rules of conformance/bench/sixteen-rules in Rego, for the comparison with regorus. What may be absent is read by object.get: the
# register machine of regorus 0.14.1 goes on after `x := absent` where Rego says that the body fails.
package bench

import rego.v1

default allow := false

allow if count(violation) == 0

spec := input.spec

containers := spec.containers

profiles := {"RuntimeDefault", "Localhost"}

violation contains "host-process" if spec.securityContext.windowsOptions.hostProcess == true

violation contains "host-process" if containers[_].securityContext.windowsOptions.hostProcess == true

violation contains "host-namespaces" if spec[["hostNetwork", "hostPID", "hostIPC"][_]] == true

violation contains "privileged" if containers[_].securityContext.privileged == true

violation contains "host-path" if spec.volumes[_].hostPath

violation contains "host-ports" if object.get(containers[_].ports[_], "hostPort", 0) != 0

violation contains "host-probes" if {
	probe := containers[_][["livenessProbe", "readinessProbe", "startupProbe"][_]]
	probe[["httpGet", "tcpSocket"][_]].host != ""
}

violation contains "host-probes" if containers[_].lifecycle[["postStart", "preStop"][_]].httpGet.host != ""

violation contains "app-armor" if {
	context := object.get(spec, "securityContext", {})
	profile := object.get(object.get(context, "appArmorProfile", {}), "type", "RuntimeDefault")
	not profile in profiles
}

violation contains "app-armor" if {
	context := object.get(containers[_], "securityContext", {})
	profile := object.get(object.get(context, "appArmorProfile", {}), "type", "RuntimeDefault")
	not profile in profiles
}

violation contains "se-linux" if {
	context := object.get(containers[_], "securityContext", {})
	label := object.get(object.get(context, "seLinuxOptions", {}), "type", "")
	not label in {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
}

violation contains "se-linux" if containers[_].securityContext.seLinuxOptions[["user", "role"][_]] != ""

violation contains "proc-mount" if containers[_].securityContext.procMount != "Default"

violation contains "sysctls" if {
	sysctl := spec.securityContext.sysctls[_].name
	not sysctl in {
		"kernel.shm_rmid_forced",
		"net.ipv4.ip_local_port_range",
		"net.ipv4.ip_unprivileged_port_start",
		"net.ipv4.tcp_syncookies",
		"net.ipv4.ping_group_range",
	}
}

volume_types := {
	"configMap", "csi", "downwardAPI", "emptyDir",
	"ephemeral", "persistentVolumeClaim", "projected", "secret",
}

violation contains "volume-types" if {
	volume := spec.volumes[_]
	count({kind | volume[kind]} & volume_types) == 0
}

violation contains "privilege-escalation" if {
	context := object.get(containers[_], "securityContext", {})
	object.get(context, "allowPrivilegeEscalation", true) != false
}

violation contains "run-as-non-root" if {
	whole := object.get(object.get(spec, "securityContext", {}), "runAsNonRoot", false)
	object.get(object.get(containers[_], "securityContext", {}), "runAsNonRoot", whole) != true
}

violation contains "run-as-user" if spec.securityContext.runAsUser == 0

violation contains "run-as-user" if containers[_].securityContext.runAsUser == 0

violation contains "seccomp" if {
	context := object.get(spec, "securityContext", {})
	profile := object.get(object.get(context, "seccompProfile", {}), "type", "RuntimeDefault")
	not profile in profiles
}

violation contains "seccomp" if {
	whole := object.get(object.get(object.get(spec, "securityContext", {}), "seccompProfile", {}), "type", "")
	context := object.get(containers[_], "securityContext", {})
	profile := object.get(object.get(context, "seccompProfile", {}), "type", whole)
	not profile in profiles
}

violation contains "capabilities" if {
	context := object.get(containers[_], "securityContext", {})
	not "ALL" in object.get(object.get(context, "capabilities", {}), "drop", [])
}

violation contains "capabilities" if containers[_].securityContext.capabilities.add[_] != "NET_BIND_SERVICE"
