//! The whole path with the real programs: a pack compiled by `bailiwick` and served by `bailiwick-webhook`,
//! with requests over TLS from the tests and from a real API server.

mod api_server;
mod corpus;
mod demo;
mod images;
mod parity;
mod stage;
