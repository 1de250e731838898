//! The real program, started on loopback: what good and bad clients get from it, while files change and when
//! it ends.
#![forbid(unsafe_code)]

#[cfg(test)]
mod clustered;
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
