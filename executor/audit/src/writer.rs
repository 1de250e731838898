//! The writer: the only way to add anything to a log.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::attendant::Attendant;
use crate::backlog::Failures;
use crate::blobs;
use crate::commit::Demand;
use crate::damage::Position;
use crate::dir::{Dir, Lock};
use crate::draft::{Appended, Draft};
use crate::entry::{Entry, Event, Intent};
use crate::field::Aside;
use crate::hash::Hash;
use crate::health::{AppendError, Health};
use crate::keys;
use crate::note;
use crate::open::{OpenError, Recovered, open};
use crate::options::Options;
use crate::queue::Queue;
use crate::record::{Kind, Record};
use crate::tip::Ending;
use crate::waiter::{Pending, Watch};

/// A permit whose intent is durable. Only [`Writer::begin_intent`] with [`PendingIntent::wait`] makes one, so code
/// that takes a `Recorded<Permit<…>>` cannot run what is not on record.
#[derive(Debug)]
#[must_use = "the intent is on record: run it, or record how it ended"]
pub struct Recorded<T> {
    permit: T,
    at: Appended,
}

impl<T> Recorded<T> {
    /// The permit.
    pub const fn permit(&self) -> &T {
        &self.permit
    }

    /// The position of the intent; [`Writer::begin_result`] takes it.
    pub const fn at(&self) -> &Appended {
        &self.at
    }
}

/// A permit whose intent is on its way to the disk.
#[derive(Debug)]
#[must_use = "the intent is not durable before it was waited for"]
pub struct PendingIntent<T> {
    permit: T,
    pending: Pending,
}

impl<T> PendingIntent<T> {
    /// Waits until the intent is durable. The returned value proves that it is.
    ///
    /// # Errors
    /// See [`AppendError`]. The permit is then lost.
    pub fn wait(self) -> Result<Recorded<T>, AppendError> {
        Ok(Recorded { at: self.pending.wait()?, permit: self.permit })
    }

    /// A watch that reports later whether the intent has become durable.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.pending.watch()
    }
}

/// An open log. One process writes a log; any number of its threads append.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    attendant: Option<JoinHandle<()>>,
    dir: Dir,
    _lock: Lock,
}

impl Writer {
    /// Opens the log in this folder, or begins one, and recovers what a crash left. Everything found is
    /// durable when this returns.
    ///
    /// # Errors
    /// See [`OpenError`]. A damaged log is not opened; [`crate::verify`] reports the damage.
    pub fn open(dir: &Path, options: &Options) -> Result<(Self, Recovered), OpenError> {
        let (log, lock, recovered) = open(dir, options)?;
        let numbers = Arc::clone(&log.numbers);
        let queue = Arc::new(Queue::new(log));
        let attendant = Attendant { dir: Dir::new(dir), numbers, options: options.clone() };
        let attended = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || attendant.run(&attended))?;
        Ok((Self { queue, attendant: Some(thread), dir: Dir::new(dir), _lock: lock }, recovered))
    }

    /// Appends an event. It is durable when this returns.
    ///
    /// # Errors
    /// See [`AppendError`]. The action that the record would have allowed must then not happen.
    pub fn append(&self, event: Event, entry: Entry) -> Result<Appended, AppendError> {
        self.queue.append(self.draft(event.into(), entry, None)?)
    }

    /// How many groups have failed so far. Read it before the state on which a record is decided, and pass it
    /// to [`Writer::begin`].
    #[must_use]
    pub fn failures(&self) -> Failures {
        self.queue.backlog().failures()
    }

    /// Queues an event without waiting: records are in the log in the order of these calls. The next decision
    /// may build on it, because if it fails, so does everything that was begun after it; that is what `since`
    /// is for.
    ///
    /// # Errors
    /// See [`AppendError`]; [`AppendError::Overtaken`] if a group has failed after `since`.
    pub fn begin(&self, event: Event, entry: Entry, since: Failures) -> Result<Pending, AppendError> {
        let waiter = self.queue.begin(self.draft(event.into(), entry, None)?, Some(since))?;
        Ok(Pending::new(&self.queue, waiter))
    }

    /// Like [`Writer::begin`], for the intent of a permit.
    ///
    /// # Errors
    /// As for [`Writer::begin`]. The permit is then lost.
    pub fn begin_intent<T>(
        &self,
        permit: T,
        intent: Intent,
        since: Failures,
    ) -> Result<PendingIntent<T>, AppendError> {
        let waiter = self.queue.begin(self.draft(Kind::Intent, intent.into(), None)?, Some(since))?;
        Ok(PendingIntent { permit, pending: Pending::new(&self.queue, waiter) })
    }

    /// Queues how the call of an intent ended.
    ///
    /// # Errors
    /// See [`AppendError`]; after [`AppendError::NotYet`] the result is kept, and written when the log can
    /// be.
    pub fn begin_result(&self, intent: &Appended, entry: Entry) -> Result<Pending, AppendError> {
        let waiter = self.queue.begin(self.draft(Kind::Result, entry, Some(intent.seq))?, None)?;
        Ok(Pending::new(&self.queue, waiter))
    }

    /// The record without its position; its blobs are already durable.
    fn draft(&self, kind: Kind, entry: Entry, intent: Option<u64>) -> Result<Draft, AppendError> {
        let flush_openings = entry.openings;
        let field = |error| AppendError::Field(Arc::new(error));
        let failed = |error: io::Error| AppendError::Io(Arc::new(error));
        let (record, mut aside) = entry.into_record(kind).map_err(field)?;
        let mut record = Record { intent, ..record };
        let mut draft = Draft::of(&record).map_err(|error| failed(error.into()))?;
        if self.queue.fits(&draft).is_err() {
            for (name, held) in [
                ("arguments", &mut record.arguments),
                ("facts", &mut record.facts),
                ("reason", &mut record.reason),
                ("result", &mut record.result),
            ] {
                aside.take_out(name, held).map_err(field)?;
            }
            draft = Draft::of(&record).map_err(|error| failed(error.into()))?;
            self.queue.fits(&draft)?;
        }
        self.write_blobs(&aside).map_err(failed)?;
        Ok(Draft { openings: aside.openings, flush_openings, ..draft })
    }

    fn write_blobs(&self, aside: &Aside) -> io::Result<()> {
        for (name, text) in &aside.blobs {
            blobs::keep(&self.dir, name, text)?;
        }
        Ok(())
    }

    /// The signed note of all records that are durable now. Nothing is written for it.
    ///
    /// # Errors
    /// [`AppendError::Fenced`]: this writer does not know what another makes durable.
    pub fn checkpoint(&self) -> Result<Arc<str>, AppendError> {
        let (size, root) = {
            let backlog = self.queue.backlog();
            if matches!(backlog.health, Health::Fenced) {
                return Err(AppendError::Fenced);
            }
            if let Some(note) = &backlog.durable.note {
                return Ok(Arc::clone(note));
            }
            (backlog.durable.size, backlog.durable.root.unwrap_or(Hash::ZERO))
        };
        let note: Arc<str> = self.queue.signer.sign(size, root).into();
        let mut backlog = self.queue.backlog();
        if backlog.durable.size == size {
            backlog.durable.note = Some(Arc::clone(&note));
        }
        Ok(note)
    }

    /// Ends the log: nothing more can be appended, a checkpoint covers everything, and the private key is
    /// deleted.
    ///
    /// # Errors
    /// [`AppendError::StillOpen`] while a call has no result; after a disk failure it can be called again.
    /// [`AppendError::Lost`] if a thread panicked while it wrote.
    pub fn seal(&self, reason: &str) -> Result<Arc<str>, AppendError> {
        let ending = self.queue.with_log(|log| log.tip.ending).ok_or(AppendError::Lost)?;
        if ending == Ending::Open {
            let record = Record {
                time: Some(crate::entry::now_ms()),
                seal: Some(reason.to_owned()),
                ..Record::new(Kind::Seal)
            };
            let draft = Draft::of(&record).map_err(|error| AppendError::Io(Arc::new(error.into())))?;
            self.queue.append(draft)?;
        }
        // The checkpoint that covers the seal signs only what is durable, so it is a group of its own.
        let covered = self.queue.with_log(|log| match log.tip.ending {
            Ending::Sealed => Ok(()),
            _ => log.commit(&[], Demand::Checkpoint).map(drop),
        });
        covered.ok_or(AppendError::Lost)?.map_err(AppendError::from)?;
        self.queue.with_log(|log| log.trim());
        keys::destroy(&self.dir).map_err(|error| AppendError::Io(Arc::new(error)))?;
        self.checkpoint()
    }

    /// Whether appends are accepted.
    #[must_use]
    pub fn health(&self) -> Health {
        self.queue.backlog().health.clone()
    }

    /// How many intents have no durable result yet.
    #[must_use]
    pub fn open_intents(&self) -> usize {
        self.queue.backlog().open_count()
    }

    /// How often openings could not be written or flushed. Records, except results, were refused until
    /// they could be.
    #[must_use]
    pub fn opening_failures(&self) -> u64 {
        self.queue.backlog().opening_failures
    }

    /// The first public key as C2SP verifier key. A verifier should obtain it from a source other than the
    /// log.
    #[must_use]
    pub fn log_key(&self) -> String {
        let identity = &self.queue.signer.identity;
        note::verifier_key(&identity.origin, &identity.first)
    }

    /// The position behind the last durable record.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.queue.backlog().durable.position
    }
}

impl Drop for Writer {
    /// Writes what is queued. The log stays open; only [`Writer::seal`] ends it.
    fn drop(&mut self) {
        self.queue.backlog().stopped = true;
        self.queue.attention.notify_all();
        if let Some(attendant) = self.attendant.take() {
            drop(attendant.join());
        }
    }
}
