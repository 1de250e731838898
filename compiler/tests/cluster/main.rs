//! What is in force in a cluster, worked out from its objects: which bindings govern together, what their pods are held to, and that a
//! pack which does not compile changes nothing that works.

mod bindings;
mod cells;
mod exceptions;
mod objects;
mod stage;
