//! CEL against data and engines that are not ours: the specification's own tests, and those of the API
//! server's libraries. `conformance/cel/disagreements.json` lists where we decide differently, and why;
//! `docs/conformance.md` has the numbers.

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
mod spent;
mod textproto;
