//! Built-in functions that a rule may not call, each with an alternative; a rule may call all others that
//! regorus has.

use regorus::unstable::BUILTINS;

/// Why a built-in is forbidden.
pub(super) struct Refused {
    pub(super) why: &'static str,
    pub(super) help: &'static str,
}

const OUTSIDE: Refused = Refused {
    why: "asks what is outside of the review, and a decision depends on its inputs alone",
    help: "put what the rule needs into the pack's parameters",
};
const CLOCK: Refused = Refused {
    why: "reads the clock, and a decision depends on its inputs alone",
    help: "put a date into the pack's parameters, or let a PolicyException expire",
};
const CHANCE: Refused = Refused {
    why: "gives another result each time, and one review has one decision",
    help: "take what is to differ from the object, as its `metadata.uid`",
};
const OUTPUT: Refused =
    Refused { why: "writes to the program's output", help: "put what is to be seen into the message" };
const WITHOUT_BOUND: Refused = Refused {
    why: "makes a list or a number of any length in one step, which no limit interrupts",
    help: "compare the ends of the range instead",
};
const INTERNAL: Refused =
    Refused { why: "is the interpreter's own", help: "write `|` and `&` between the sets" };
const WITHOUT_BOUND_TEXT: Refused = Refused {
    why: "makes text of any length in one step, which no limit interrupts",
    help: "call `json.marshal`, or `replace` for each text",
};

/// Forbidden families: a name up to its last dot.
const FAMILIES: &[(&str, Refused)] = &[
    ("http", OUTSIDE),
    ("net.lookup_ip_addr", OUTSIDE),
    ("opa", OUTSIDE),
    ("rego", OUTSIDE),
    ("providers", OUTSIDE),
    ("rand", CHANCE),
    ("uuid", CHANCE),
    ("time.now_ns", CLOCK),
    ("external_data", OUTSIDE),
    ("numbers", WITHOUT_BOUND),
    ("bits.lsh", WITHOUT_BOUND),
    ("net.cidr_expand", WITHOUT_BOUND),
    ("json.marshal_with_options", WITHOUT_BOUND_TEXT),
    ("strings.replace_n", WITHOUT_BOUND_TEXT),
    ("__builtin_sets", INTERNAL),
    ("print", OUTPUT),
    ("trace", OUTPUT),
];

/// Arguments that must be literals, by position: a value from the object there could make text of any length
/// in one step.
const WRITTEN_OUT: &[(&str, usize)] =
    &[("sprintf", 0), ("concat", 0), ("replace", 2), ("regex.replace", 2), ("regex.replace", 1)];

/// Why this built-in is forbidden; `None`: it is allowed.
pub(super) fn refused(name: &str) -> Option<&'static Refused> {
    let of = |family: &&(&str, Refused)| {
        name.strip_prefix(family.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    FAMILIES.iter().find(of).map(|(_, refused)| refused)
}

/// Whether a built-in of this name exists.
pub(super) fn exists(name: &str) -> bool {
    BUILTINS.contains_key(name)
}

/// The number of arguments of a built-in.
pub(super) fn arity(name: &str) -> usize {
    BUILTINS.get(name).map_or(usize::MAX, |(_, arity)| usize::from(*arity))
}

/// The built-ins that a rule may call.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    BUILTINS.keys().copied().filter(|name| refused(name).is_none())
}

/// Positions of the arguments that must be literals.
pub(super) fn written_out(name: &str) -> impl Iterator<Item = usize> {
    WRITTEN_OUT.iter().filter(move |(one, _)| *one == name).map(|(_, at)| *at)
}
