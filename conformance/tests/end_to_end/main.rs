//! The whole path with the programs themselves: a pack compiled by `bailiwick`, served by `bailiwick-webhook`, asked over TLS by us and
//! by a real API server.

mod api_server;
mod corpus;
mod demo;
mod images;
mod parity;
mod stage;
