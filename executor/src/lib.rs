//! Decides, confines and records every tool call.
#![forbid(unsafe_code)]
