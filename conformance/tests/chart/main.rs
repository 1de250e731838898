//! The chart `charts/bailiwick`: rendered by Helm, accepted by a real API server, and uninstalled without a
//! trace. `tests/node` tests its pods on a node.

mod api_server;
mod guide;
mod helm;
mod pools;
mod rendered;
