//! The real program, started on loopback: what clients get from it, good ones and bad ones, while files change and when it ends.
#![forbid(unsafe_code)]

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod living;
#[cfg(test)]
mod reloading;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod support;
