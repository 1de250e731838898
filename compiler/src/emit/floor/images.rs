//! Image entries as CEL: a regular expression over the reference as written in the pod.
//!
//! The webhook normalises references first (`nginx` is `docker.io/library/nginx`). CEL cannot, so only
//! patterns with an explicit registry other than Docker Hub are carried over: for those, a reference matches
//! after normalisation exactly if it matches as written, with the host in any spelling. A layer with any
//! other pattern has no floor.

use bailiwick_policy::admission::images::{has_default_port, without_default_port};
use bailiwick_policy::policy::{Action, ImageDigest, ImageEffect, ImageEntry, ImageLayer};

use crate::emit::selector::cel_string;
use crate::emit::statements;

use super::sections::{Contribution, Judged};
use super::{Check, FloorRule, Standing};

/// What follows the registry in a valid reference: path, tag and digest, as `bailiwick_policy::admission`
/// reads them (<https://github.com/distribution/reference>).
const PATH: &str = "(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)+";
const TAG: &str = "(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?";
const DIGEST: &str = "(?:@(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?";

/// What layer number `index` contributes.
pub(super) fn contribution(index: usize, layer: &ImageLayer, judged: &Judged) -> Contribution {
    let statement = statements::images(index);
    let Some(expression) = layer_expression(layer) else {
        let why = "the API server's CEL cannot normalise image references; only patterns with a registry written out, and not Docker Hub's, have a floor";
        return (statement, None, Standing::none(why));
    };
    let images = "(@containers.map(c, c.?image.orValue('')) + @pod.spec.?volumes.orValue([]).filter(v, has(v.image)).map(v, v.image.?reference.orValue('')))";
    let check = Check {
        expression: judged.check(&format!("{images}.all(i, {expression})")),
        message: "images: an image of the pod is not allowed; use one that the policy's images allow"
            .to_owned(),
        message_expression: None,
        reason: "Forbidden".to_owned(),
    };
    let rule = FloorRule {
        action: Action::Deny,
        matches: judged.matches.clone(),
        variables: judged.variables(),
        checks: vec![check],
        audit: Vec::new(),
        from: vec![layer.from.clone()],
    };
    let standing = if layer.entries.iter().all(|entry| entry.require.is_empty()) {
        Standing::full()
    } else {
        Standing::partial(
            "names and digests are checked; signatures are the webhook's alone, since the API server fetches nothing",
        )
    };
    (statement, Some(rule), standing)
}

/// True if image `i` is allowed; `None` if a pattern cannot be carried over.
fn layer_expression(layer: &ImageLayer) -> Option<String> {
    let mut allowed = Vec::new();
    let mut refused = Vec::new();
    for entry in &layer.entries {
        let matched = entry_expression(entry)?;
        match entry.effect {
            ImageEffect::Deny => refused.push(format!("!({matched})")),
            ImageEffect::Allow => {
                if entry.digest != ImageDigest::Any {
                    refused.push(format!("(!({matched}) || i.contains('@'))"));
                }
                allowed.push(matched);
            }
        }
    }
    let allowed = if allowed.is_empty() { "false".to_owned() } else { allowed.join(" || ") };
    refused.insert(0, format!("({allowed})"));
    Some(refused.join(" && "))
}

fn entry_expression(entry: &ImageEntry) -> Option<String> {
    let patterns: Option<Vec<_>> = entry.patterns.iter().map(|pattern| pattern_expression(pattern)).collect();
    let patterns = patterns?;
    Some(if patterns.is_empty() { "false".to_owned() } else { patterns.join(" || ") })
}

/// True if image `i` is a valid reference that the pattern matches.
fn pattern_expression(pattern: &str) -> Option<String> {
    let (registry, path) = pattern.split_once('/')?;
    let written_out = registry.contains(['.', ':']) || registry == "localhost";
    if !written_out || registry.contains('*') || is_hub(registry) {
        return None;
    }
    // As the webhook reads a host: in any case, with or without the default port.
    let host = without_default_port(registry);
    let port = if has_default_port(host) { "(?::443)?" } else { "" };
    let registry = format!("(?i:{}){port}", regex::escape(host));
    let valid = format!("^{registry}{PATH}{TAG}{DIGEST}$");
    // `**` crosses segments and `*` does not; neither matches into the tag or digest.
    let crossing: Vec<String> = path.split("**").map(within_segments).collect();
    let matching = format!("^{registry}/{}(?:[:@].*)?$", crossing.join("[^:@]*"));
    Some(format!("(i.matches({}) && i.matches({}))", cel_string(&valid), cel_string(&matching)))
}

fn is_hub(registry: &str) -> bool {
    matches!(without_default_port(registry), "docker.io" | "index.docker.io")
}

fn within_segments(text: &str) -> String {
    text.split('*').map(regex::escape).collect::<Vec<_>>().join("[^/:@]*")
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::admission::images::Reference;
    use regex::Regex;

    use super::*;

    /// Whether both expressions of a pattern match. The API server's are of the same library's syntax.
    fn admits(pattern: &str, image: &str) -> bool {
        let expression = pattern_expression(pattern).unwrap_or_else(|| panic!("no floor for {pattern}"));
        let mut texts = expression.split("i.matches('").skip(1).map(|text| text.split("')").next().unwrap());
        texts.all(|text| Regex::new(&text.replace("\\\\", "\\")).unwrap().is_match(image))
    }

    /// A pattern of this host takes in an image exactly if the webhook's spelling of both is the same.
    #[test]
    fn the_default_port_may_be_left_out_where_the_webhook_leaves_it_out() {
        let hosts = [
            "registry:443",
            "registry:5000",
            "registry.example.org",
            "registry.example.org:443",
            "registry.example.org:5000",
            "localhost",
            "localhost:443",
            "localhost.example.org",
            "127.0.0.1",
            "127.0.0.1:443",
            "[::1]",
            "[::1]:443",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
        ];
        let mut same = 0;
        for host in hosts {
            let pattern = format!("{host}/app/**");
            for written in hosts.iter().map(ToString::to_string).chain(["registry".to_owned()]) {
                let image = format!("{written}/app/x");
                let name = Reference::parse(&image).map(|image| image.name).unwrap_or_default();
                let wanted = name == format!("{}/app/x", without_default_port(host));
                assert_eq!(admits(&pattern, &image), wanted, "{pattern} {image}");
                same += usize::from(wanted);
            }
        }
        assert!(same > hosts.len(), "{same}");
    }
}
