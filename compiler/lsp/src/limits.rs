//! How much the server accepts, and why not more. Beyond a limit it refuses and says so; it never grows
//! without bound.

use std::time::Duration;

/// Bytes of one message: a document of the largest pack (4 MiB), with every character escaped in JSON.
pub const MAX_MESSAGE_BYTES: usize = 32 << 20;

/// Bytes that are discarded of a message that is too large. A client that announces more does not speak the
/// protocol.
pub const MAX_SKIPPED_BYTES: usize = 1 << 30;

/// Bytes of one line of a message's header: `Content-Length` and a number, `Content-Type` and a word.
pub const MAX_HEADER_LINE: usize = 4096;

/// Lines of a message's header. The protocol defines two.
pub const MAX_HEADER_LINES: usize = 16;

/// Messages that wait. Beyond it the reader stops reading, so that the client waits instead of the memory
/// growing.
pub const MAX_WAITING: usize = 64;

/// Bytes of the messages that wait: as many as one message of the largest size.
pub const MAX_WAITING_BYTES: usize = MAX_MESSAGE_BYTES;

/// Requests that a client cancels before they are answered.
pub const MAX_CANCELLED: usize = 1024;

/// Open documents. Editors hold some dozens.
pub const MAX_DOCUMENTS: usize = 512;

/// Bytes of all open documents together: four of the largest packs, or five hundred of the size of those that
/// are shipped. What is made from a text takes several times its size.
pub const MAX_OPEN_BYTES: usize = 16 << 20;

/// Folders that an editor has open.
pub const MAX_ROOTS: usize = 64;

/// Bytes that are read for one pack, its own and those of the packs next to it: two of the largest packs.
/// While compiling, the compiler takes up to sixty times as much.
pub const MAX_READ_BYTES: usize = 8 << 20;

/// Bytes of texts, and of what is made from them, that are kept for compiled packs. Beyond it the least
/// recently used is dropped: it is compiled again when its text changes, and read again on request.
pub const MAX_KEPT_BYTES: usize = 128 << 20;

/// Bytes of a document that is read for completion and hover: the compiler's limit for a file of a pack.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// Depth of an outline, the same as for the compiler's reader.
pub const MAX_DEPTH: usize = 64;

/// Keys and values of an outline, after which it ends; one in a block counts twice. A pack of 10,000 rules
/// has some hundred thousand.
pub const MAX_NODES: usize = 600_000;

/// Files of a folder that are read, as the command line does.
pub const MAX_FOLDER_FILES: usize = 256;

/// Packs of a library folder that are read.
pub const MAX_LIBRARY_PACKS: usize = 256;

/// Bytes of a file on disk: one more than the compiler accepts is enough for it to report the excess.
pub const MAX_FILE_BYTES: u64 = (16 << 20) + 1;

/// Findings that are published for one file: editors draw no more.
pub const MAX_FINDINGS: usize = 1000;

/// Candidates of one completion. The longest list, all system calls, has about four hundred.
pub const MAX_CANDIDATES: usize = 1000;

/// Places of one name that are listed.
pub const MAX_REFERENCES: usize = 2000;

/// Statements of the enforcement report in one hover.
pub const MAX_STATEMENTS: usize = 8;

/// How long the text must be unchanged before it is compiled.
pub const REST: Duration = Duration::from_millis(120);

/// The longest wait for findings while the user keeps typing.
pub const LONGEST_WAIT: Duration = Duration::from_millis(1000);

/// Stack of the thread that compiles: that of a process's first thread, on which the command line compiles.
pub const WORKER_STACK: usize = 8 << 20;
