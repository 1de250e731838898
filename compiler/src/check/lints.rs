//! The checks that look at one whole pack, in the order of their codes.

use super::view::View;
use super::*;
use crate::findings::Findings;

/// A check of one code.
type Check = fn(&View<'_>, &mut Findings<'_>);

const CHECKS: &[Check] = &[
    bw0113_members::check,
    bw0228_reference::check,
    bw0238_effect_of_phase::check,
    bw0401_egress_without_sockets::check,
    bw0402_sockets_without_egress::check,
    bw0403_hosts_without_proxy::check,
    bw0404_http_without_termination::check,
    bw0405_proc_refused::check,
    bw0406_undefined_sandbox::check,
    bw0407_undefined_pool::check,
    bw0408_undefined_egress::check,
    bw0409_program_outside::check,
    bw0410_limits_above_pool::check,
    bw0411_cpu_time_unreachable::check,
    bw0412_signature_without_digest::check,
    bw0413_inexact_limits::check,
    bw0415_unused_egress::check,
    bw0416_ungoverned_pods::check,
    bw0417_pool_runtime_class::check,
    bw0418_inert_seccomp::check,
    bw0419_runtime_not_covered::check,
    bw0420_writable_programs::check,
    bw0421_argument_as_option::check,
    bw0422_code_without_runtime::check,
    bw0423_undeclared_argument::check,
    bw0424_mutation_moves_subject::check,
    bw0425_two_writers::check,
    bw0426_call_timeout::check,
    bw0427_pool_namespaces::check,
    bw0429_writable_path::check,
    bw0431_quorum::check,
    bw0432_shared_key::check,
    bw0433_code_with_stdin::check,
    bw0434_transform_without_grant::check,
    bw0435_exempt_runtime_class::check,
    bw0505_egress_by_host::check,
    bw0506_proxy::check,
    bw0507_image_evidence::check,
    bw0509_preload::check,
    bw0510_session_runtime::check,
    bw0516_remote_run::check,
    bw0521_sandbox_egress::check,
    bw0522_workspace::check,
    bw0524_recorded_admission::check,
    bw0525_pod_backend::check,
    bw0601_constant_validation::check,
    bw0602_shadowed_network_rule::check,
    bw0603_duplicate_rule::check,
    bw0604_unused_variable::check,
    bw0605_unused_image_entry::check,
    bw0607_no_effect::check,
    bw0609_unmatched_tools::check,
    bw0610_never_grants::check,
    bw0611_ungranted_tool::check,
    bw0701_world_wide_egress::check,
    bw0702_dns_to_anywhere::check,
    bw0703_loose_identity::check,
    bw0704_privileged_level::check,
    bw0705_any_image::check,
    bw0706_metadata_service::check,
    bw0707_ingress_from_anywhere::check,
    bw0708_way_around::check,
];

/// Runs every check over one pack.
pub(crate) fn run(view: &View<'_>, out: &mut Findings<'_>) {
    for check in CHECKS {
        check(view, out);
    }
}
