//! The server as an editor uses it: the real program, driven over its standard streams.

mod client;
mod completion;
mod diagnostics;
mod fixes;
mod hostile;
mod moving;
mod protocol;
mod stage;
