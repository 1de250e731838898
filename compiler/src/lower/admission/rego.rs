//! Lowers the Rego of a rule: checks it and adds its module to the policy's table.

use bailiwick_crds::admission::{Action, AdmissionRule as WireRule};
use bailiwick_policy::policy::RegoRule;

use crate::check::{
    bw0307_rego_syntax, bw0308_rego_limit, bw0309_rego_builtin, bw0310_rego_reference, bw0311_rego_messages,
    bw0312_rego_file,
};
use crate::diagnostic::{Code, Diagnostic, FieldPath, Place};
use crate::findings::Findings;
use crate::lower::Pack;
use crate::modules::FOLDER;
use crate::rego::{self, Fault, RegoError};

/// The rule name that makes a warning, as in conftest.
const WARN: &str = "warn";

pub(super) fn lower(
    pack: &Pack,
    rule: &WireRule,
    at: &FieldPath,
    modules: &mut Vec<String>,
    out: &mut Findings<'_>,
) -> Option<RegoRule> {
    let wire = rule.rego.as_ref()?;
    let at = at.member("rego");
    let Some(source) = &wire.source else {
        let file = wire.file.as_deref().unwrap_or_default();
        let message = format!("`{FOLDER}{file}` is not beside the pack, or is not UTF-8 text");
        out.push(
            Diagnostic::new(bw0312_rego_file::CODE, at.member("file"), message)
                .with_help("put the module there; an object on the API server holds its text in `source`"),
        );
        return None;
    };
    let parameters: Vec<&str> = pack.parameters.keys().map(String::as_str).collect();
    if let Err(errors) = rego::check(source, &wire.rule, &parameters) {
        for error in errors {
            out.push(diagnostic(error, wire.file.as_deref(), &at));
        }
        return None;
    }
    let name = wire.rule.rsplit('.').next().unwrap_or_default();
    let warns = name == WARN || name.strip_prefix(WARN).is_some_and(|rest| rest.starts_with('_'));
    if warns && rule.action == Action::Deny {
        let message = format!("`{}` warns by its name, and the rule refuses", wire.rule);
        out.push(
            Diagnostic::new(bw0311_rego_messages::CODE, at.member("rule"), message)
                .with_help("write `action: Warn`, or call the rule of the module `deny`"),
        );
        return None;
    }
    let module = modules.iter().position(|known| known == source).unwrap_or_else(|| {
        modules.push(source.clone());
        modules.len() - 1
    });
    Some(RegoRule { module: u32::try_from(module).unwrap_or(u32::MAX), rule: wire.rule.clone() })
}

fn diagnostic(error: RegoError, file: Option<&str>, at: &FieldPath) -> Diagnostic {
    let code = code(error.fault);
    let diagnostic = match (error.fault, file) {
        // Reported at the name in the pack, if the fault has no place in the module.
        (Fault::Convention, _) if error.bytes.is_empty() => {
            Diagnostic::new(code, at.member("rule"), error.message)
        }
        (_, Some(file)) => Diagnostic::new(code, at.member("file"), error.message)
            .with_place(Place { file: format!("{FOLDER}{file}"), bytes: error.bytes }),
        (_, None) => Diagnostic::new(code, at.member("source"), error.message).with_range(error.bytes),
    };
    diagnostic.with_any_help(error.help)
}

const fn code(fault: Fault) -> Code {
    match fault {
        Fault::Syntax => bw0307_rego_syntax::CODE,
        Fault::Limit => bw0308_rego_limit::CODE,
        Fault::Builtin => bw0309_rego_builtin::CODE,
        Fault::Reference => bw0310_rego_reference::CODE,
        Fault::Convention => bw0311_rego_messages::CODE,
    }
}
