//! A language server for policy packs (`bailiwick-lsp`, or `bailiwick lsp`). While a pack is written, it
//! shows the findings of `bailiwick check`, what may be written at the cursor, and what a line compiles to.
//! It speaks the Language Server Protocol 3.17 on standard input and output.
//!
//! Not here: the meaning of packs. The compiler reports what is wrong and what types things have; the schemas
//! define the fields. This crate adds the protocol and a reader for text that is being written ([`outline`]).
//!
//! ```text
//! stdin ► frame ► reader thread ► bounded queue ► server ► stdout
//!                                      ▲            │ newest text of each pack
//!                                      └─ analysis ◄┘ (one worker thread: compiles, last version wins)
//! ```
//!
//! Terms. *Home*: the pack that a file belongs to. *Overlay*: the texts of open documents, which take
//! precedence over the files on disk. *Spot*: what the outline has at an offset.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod complete;
pub mod contexts;
pub mod definition;
pub mod documents;
pub mod expression;
pub mod fixes;
pub mod frame;
pub mod fuzz;
pub mod hover;
pub mod kept;
pub mod limits;
pub mod names;
pub mod outline;
pub mod packs;
pub mod paths;
pub mod place;
pub mod position;
pub mod published;
pub mod requests;
pub mod roots;
pub mod rpc;
pub mod schema;
pub mod server;
pub mod view;
pub mod waiting;
pub mod worker;
