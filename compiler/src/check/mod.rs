//! The diagnostic codes, one file each, and the checks that live with them.
//!
//! A file `bwNNNN_name.rs` begins with `//!` lines: the title, the problem, an example, the remedy. They are what
//! `bailiwick explain BWNNNN` prints and what `docs/diagnostics.md` is made of; the line `Remedy:` is the help of every finding that has no
//! better one. It defines `pub const CODE: Code`.
//! 01xx syntax and schema, 02xx references and composition, 03xx CEL and Rego, 04xx a layer contradicts another, 05xx a
//! target cannot express it, 06xx no effect, 07xx risky.

#[cfg(test)]
mod clauses;
#[cfg(test)]
mod examples;
mod lints;
mod view;

use crate::diagnostic::Code;
use crate::paths::below;
pub(crate) use lints::run;
pub(crate) use view::View;
use view::{exceeds, expressions, nanos, suggest};

/// Declares the modules of a hundred and lists their codes.
macro_rules! codes {
    ($list:ident: $($module:ident),* $(,)?) => {
        $(pub mod $module;)*
        const $list: &[Code] = &[$($module::CODE),*];
    };
}

// Syntax and schema.
codes! { SYNTAX:
    bw0101_invalid_yaml,
    bw0102_duplicate_key,
    bw0103_limit_exceeded,
    bw0104_unknown_field,
    bw0105_not_utf8,
    bw0106_not_text,
    bw0107_wrong_type,
    bw0108_missing_field,
    bw0109_unknown_word,
    bw0110_bad_form,
    bw0111_out_of_range,
    bw0112_duplicate_name,
    bw0113_members,
    bw0114_wrong_document,
    bw0115_object_name,
}

// References and composition.
codes! { COMPOSITION:
    bw0201_fragment_clash,
    bw0202_unknown_parameter,
    bw0203_parameter_domain,
    bw0204_bad_parameter,
    bw0205_not_bindable,
    bw0206_unset_parameter,
    bw0207_unknown_pack,
    bw0208_no_version,
    bw0209_lock_missing,
    bw0210_lock_stale,
    bw0211_lock_digest,
    bw0212_extends_cycle,
    bw0213_parameter_place,
    bw0220_runtime_class_default,
    bw0221_pod_security_version,
    bw0222_selector,
    bw0223_network,
    bw0224_image_pattern,
    bw0225_mutation_field,
    bw0226_unknown_resource,
    bw0227_widens_parent,
    bw0228_reference,
    bw0229_packs_conflict,
    bw0230_nothing_in_common,
    bw0231_syscall,
    bw0232_tool_name,
    bw0233_tool_input,
    bw0234_approver_key,
    bw0235_base_value,
    bw0236_image_signer,
    bw0238_effect_of_phase,
}

// CEL and Rego.
codes! { EXPRESSIONS:
    bw0301_cel_syntax,
    bw0302_cel_limit,
    bw0303_cel_reference,
    bw0304_cel_type,
    bw0305_cel_regex,
    bw0306_underived_fact,
    bw0307_rego_syntax,
    bw0308_rego_limit,
    bw0309_rego_builtin,
    bw0310_rego_reference,
    bw0311_rego_messages,
    bw0312_rego_file,
}

// A layer contradicts another.
codes! { LAYERS:
    bw0401_egress_without_sockets,
    bw0402_sockets_without_egress,
    bw0403_hosts_without_proxy,
    bw0404_http_without_termination,
    bw0405_proc_refused,
    bw0406_undefined_sandbox,
    bw0407_undefined_pool,
    bw0408_undefined_egress,
    bw0409_program_outside,
    bw0410_limits_above_pool,
    bw0411_cpu_time_unreachable,
    bw0412_signature_without_digest,
    bw0413_inexact_limits,
    bw0414_not_narrower,
    bw0415_unused_egress,
    bw0416_ungoverned_pods,
    bw0417_pool_runtime_class,
    bw0418_inert_seccomp,
    bw0419_runtime_not_covered,
    bw0420_writable_programs,
    bw0421_argument_as_option,
    bw0422_code_without_runtime,
    bw0423_undeclared_argument,
    bw0424_mutation_moves_subject,
    bw0425_two_writers,
    bw0426_call_timeout,
    bw0427_pool_namespaces,
    bw0428_clashing_workspaces,
    bw0429_writable_path,
    bw0430_unplaced_sandbox,
    bw0431_quorum,
    bw0432_shared_key,
    bw0433_code_with_stdin,
    bw0434_transform_without_grant,
    bw0435_exempt_runtime_class,
}

// What no target enforces.
codes! { TARGETS:
    bw0505_egress_by_host,
    bw0506_proxy,
    bw0507_image_evidence,
    bw0509_preload,
    bw0510_session_runtime,
    bw0516_remote_run,
    bw0519_too_many_network_rules,
    bw0520_narrower_than_meant,
    bw0521_sandbox_egress,
    bw0522_workspace,
    bw0523_bundle_size,
    bw0524_recorded_admission,
    bw0525_pod_backend,
    bw0526_api_server_cost,
    bw0527_unwritten_mutation,
}

// No effect.
codes! { EFFECT:
    bw0601_constant_validation,
    bw0602_shadowed_network_rule,
    bw0603_duplicate_rule,
    bw0604_unused_variable,
    bw0605_unused_image_entry,
    bw0606_pod_templates,
    bw0607_no_effect,
    bw0608_unused_parameter,
    bw0609_unmatched_tools,
    bw0610_never_grants,
    bw0611_ungranted_tool,
}

// Risky.
codes! { RISK:
    bw0701_world_wide_egress,
    bw0702_dns_to_anywhere,
    bw0703_loose_identity,
    bw0704_privileged_level,
    bw0705_any_image,
    bw0706_metadata_service,
    bw0707_ingress_from_anywhere,
    bw0708_way_around,
}

/// Every code, in the order of the numbers.
pub fn codes() -> impl Iterator<Item = Code> {
    [SYNTAX, COMPOSITION, EXPRESSIONS, LAYERS, TARGETS, EFFECT, RISK].into_iter().flatten().copied()
}

/// The code of this name, in any case: `BW0104`, `bw0104`.
#[must_use]
pub fn code(id: &str) -> Option<Code> {
    codes().find(|code| code.id().eq_ignore_ascii_case(id))
}

/// The reference page of all codes, `docs/diagnostics.md`.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Diagnostics\n\nGenerated from `compiler/src/check/`; `UPDATE_EXPECT=1 cargo test -p bailiwick-compiler check` writes it anew.\n\
         01xx syntax and schema, 02xx references and composition, 03xx CEL and Rego, 04xx a layer contradicts another,\n\
         05xx a target cannot express it, 06xx no effect, 07xx risky.\n",
    );
    for code in codes() {
        page.push_str(&format!(
            "\n## {} ({}): {}\n\n{}",
            code.id(),
            code.severity(),
            code.title(),
            code.documentation()
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_unique_and_documented() {
        let ids: Vec<_> = codes().map(Code::id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        let across_layers = ids.iter().filter(|id| id.starts_with("BW04")).count();
        println!("number: {} diagnostic codes, {across_layers} of them across layers", ids.len());
        assert!(
            ids.len() >= 120 && across_layers >= 30,
            "{} codes, {across_layers} across layers",
            ids.len()
        );
        for code in codes() {
            let text = code.documentation();
            assert!(text.contains("```"), "{code}: show an example");
            assert!(text.lines().count() >= 5, "{code}: say what the problem is and what to do");
            let remedies = text.matches("\nRemedy: ").count();
            assert!(
                remedies == 1 && text.contains(&format!("\nRemedy: {}\n", code.remedy())),
                "{code}: one line `Remedy:`"
            );
            assert!(
                code.remedy().split(' ').count() >= 2 && !code.remedy().ends_with('.'),
                "{code}: {}",
                code.remedy()
            );
        }
    }

    #[test]
    fn the_page_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/diagnostics.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, page()).expect("docs/ is writable");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == page(), "docs/diagnostics.md is stale: run with UPDATE_EXPECT=1");
    }
}
