//! The command line as users run it: the real program, real files, its output and its exit codes.

mod audit;
mod book;
mod case_fields;
mod ci;
mod commands;
mod compile;
mod diff;
mod docs;
mod explain;
mod hostile;
mod images;
mod import;
mod import_settings;
mod init;
mod json;
mod layout;
mod mistakes;
mod rego;
mod replay;
mod reports;
mod schema;
mod stage;
mod terminal;
mod trust;
