//! The chart `charts/bailiwick`: rendered by Helm, taken by a real API server, and gone without a trace. What its pods do is tried on a node
//! (`tests/node`).

mod api_server;
mod guide;
mod helm;
mod rendered;
