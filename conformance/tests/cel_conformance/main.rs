//! CEL against data and engines that are not ours: the specification's own tests, and
//! those of the API server's libraries. Where we decide otherwise, and why,
//! stands in `conformance/cel/disagreements.json`, and the numbers in `docs/conformance.md`.

mod celgo;
mod differential;
mod evaluation;
mod expected;
mod expressions;
mod judgement;
mod kube;
mod kubernetes;
mod report;
mod spec;
mod textproto;
