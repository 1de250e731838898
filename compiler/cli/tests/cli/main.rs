//! The command line, run as a person runs it: the program itself, real files, what it prints and how it ends.

mod audit;
mod book;
mod case_fields;
mod ci;
mod commands;
mod diff;
mod docs;
mod explain;
mod hostile;
mod images;
mod import;
mod init;
mod layout;
mod rego;
mod replay;
mod reports;
mod schema;
mod stage;
mod trust;
