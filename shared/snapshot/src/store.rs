//! Snapshots in an object store: one object for each service, partition and offset, named
//! `<service>/<topic>/<partition>/<offset, 20 digits>.snapshot`.

use std::{
    fs,
    ops::RangeInclusive,
    sync::{Arc, atomic::AtomicBool},
};

use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use tokio::runtime::Handle;

use crate::{
    Error, Header, Subject, metrics as names,
    place::{self, Place},
    reader::{self, Begin, Decode, Fault, Item},
};

const ENDING: &str = ".snapshot";
/// As many as the largest offset has, so that names sort as offsets do.
const OFFSET_DIGITS: usize = 20;

/// A place for snapshots. What it does blocks the calling thread, which must not be one that polls
/// futures.
#[derive(Debug)]
pub struct Store {
    place: Place,
}

/// A snapshot by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it lies, as messages call it.
    pub name: String,
    /// The input offset to go on from.
    pub offset: u64,
    /// Its size in the store.
    pub bytes: u64,
    path: Path,
}

/// Which snapshot will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its offset may be at most this: the committed one.
    pub offset_max: u64,
    /// Its epoch must be this, if it is known.
    pub epoch: Option<u32>,
    /// The versions of the state's encoding that the service can read.
    pub state_versions: RangeInclusive<u32>,
}

/// What was found.
#[derive(Debug)]
pub struct Loaded<R> {
    /// The newest snapshot that will do, read to its end; `None` if there is none.
    pub state: Option<(Header, R)>,
    /// Those that should have done but could not be used, newest first.
    pub refused: Vec<Refused>,
    /// The offsets of the loaded snapshot and of older ones with its epoch that look whole, newest
    /// first.
    pub kept: Vec<u64>,
    /// The newest header of this subject that can be read at all, whatever its offset, epoch and
    /// version: where there is one, there was a state.
    pub newest: Option<Header>,
}

/// A snapshot that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where it lies.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl Store {
    /// Opens `file:///absolute/directory`, a directory (made if it is missing), `memory:///`, or,
    /// in a build with the feature `s3`, `s3://bucket/prefix` with region, endpoint and credentials
    /// from the environment's `AWS_*`. Only the last needs `handle`, that of a runtime with other
    /// threads.
    ///
    /// # Errors
    /// `Url` or `Directory`, with what would be right; `Store` if the environment's settings do not
    /// make a client.
    pub fn open(url: &str, handle: Option<Handle>) -> Result<Self, Error> {
        Ok(Self { place: place::open(url, handle)? })
    }

    /// A store that ends with the process.
    pub fn memory() -> Self {
        Self { place: place::memory() }
    }

    /// Snapshots below `prefix` in an object store of another kind; `handle` is that of a runtime
    /// with other threads, if the object store needs one.
    pub fn over(objects: Arc<dyn ObjectStore>, prefix: &str, handle: Option<Handle>) -> Self {
        let name = objects.to_string();
        Self { place: Place { objects, prefix: Path::from(prefix), name, directory: None, handle } }
    }

    /// The snapshots of a subject, newest first; only their names were looked at.
    ///
    /// # Errors
    /// `Store`.
    pub fn list(&self, subject: &Subject) -> Result<Vec<Listed>, Error> {
        self.wait(self.listed(subject))
    }

    /// Loads the newest snapshot that is wanted and whole: makes a state of its header and head by
    /// `begin`, then gives it every item, by index, in no certain order. Neither is called with
    /// damaged bytes, but both may be called for a snapshot that then turns out to be cut off; its
    /// state is dropped and an older one is tried.
    ///
    /// # Errors
    /// `Store` if the store can't be listed or, where it is reached by network, read. A file that
    /// can't be read is refused like a damaged one.
    pub fn load<R>(
        &self,
        subject: &Subject,
        wanted: &Wanted,
        begin: impl Fn(&Header, &[u8]) -> Result<R, String>,
        item: impl Fn(&mut R, u32, &[u8]) -> Result<(), String>,
    ) -> Result<Loaded<R>, Error> {
        let stop = AtomicBool::new(false);
        let loaded = self.load_unless(&stop, subject, wanted, begin, item)?;
        Ok(loaded.unwrap_or_else(Loaded::nothing))
    }

    /// As [`Store::load`]; gives up with `None` soon after `stop` is set.
    pub(crate) fn load_unless<R>(
        &self,
        stop: &AtomicBool,
        subject: &Subject,
        wanted: &Wanted,
        begin: impl Fn(&Header, &[u8]) -> Result<R, String>,
        item: impl Fn(&mut R, u32, &[u8]) -> Result<(), String>,
    ) -> Result<Option<Loaded<R>>, Error> {
        self.wait(async {
            let mut loaded = Loaded::nothing();
            for listed in self.listed(subject).await? {
                match self
                    .consider(stop, subject, wanted, &listed, &mut loaded, (&begin, &item))
                    .await
                {
                    Ok(()) => {}
                    Err(Fault::Stopped) => return Ok(None),
                    // Another process has pruned it since.
                    Err(Fault::Store(object_store::Error::NotFound { .. })) => {}
                    Err(Fault::Store(error)) if self.place.directory.is_none() => {
                        return Err(Error::store(format!("reading {}", listed.name), error));
                    }
                    Err(Fault::Store(error)) => loaded.refuse(subject, listed, error.to_string()),
                    Err(Fault::Refused(why)) => loaded.refuse(subject, listed, why),
                }
            }
            Ok(Some(loaded))
        })
    }

    /// Takes one object into account; they come from the newest to the oldest.
    async fn consider<R>(
        &self,
        stop: &AtomicBool,
        subject: &Subject,
        wanted: &Wanted,
        listed: &Listed,
        loaded: &mut Loaded<R>,
        (begin, item): (&Begin<'_, R>, &Item<'_, R>),
    ) -> Result<(), Fault> {
        let objects = self.objects();
        if loaded.newest.is_none()
            && let Ok(header) = reader::header(objects, &listed.path, listed.bytes).await
            && header.subject == *subject
        {
            loaded.newest = Some(header);
        }
        if listed.offset > wanted.offset_max {
            return Ok(());
        }
        let epoch = loaded.state.as_ref().map(|(header, _)| header.epoch).or(wanted.epoch);
        let check = |header: &Header| fits(header, subject, listed.offset, epoch, wanted);
        if loaded.state.is_none() {
            let decode = Decode { check: &check, begin, item, stop };
            loaded.state = Some(reader::read(objects, &listed.path, &decode).await?);
            loaded.kept.push(listed.offset);
        } else if let Ok(header) = reader::header(objects, &listed.path, listed.bytes).await
            && check(&header).is_ok()
            && reader::ends_well(objects, &listed.path, listed.bytes).await.is_ok()
        {
            loaded.kept.push(listed.offset);
        }
        Ok(())
    }

    /// Deletes the snapshots of a subject that are not in `kept`, after `written` has become
    /// durable. One that was begun later than `written` stays: it is that of a process that has
    /// taken over meanwhile.
    pub(crate) async fn prune(&self, written: &Header, kept: &[u64]) -> Result<(), Error> {
        for listed in self.listed(&written.subject).await? {
            if listed.offset == written.offset || kept.contains(&listed.offset) {
                continue;
            }
            if listed.offset > written.offset {
                let header = reader::header(self.objects(), &listed.path, listed.bytes).await;
                if !header.is_ok_and(|header| header.taken_at_ms <= written.taken_at_ms) {
                    continue;
                }
            }
            match self.objects().delete(&listed.path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(Error::store(format!("deleting {}", listed.name), error)),
            }
        }
        Ok(())
    }

    /// Removes what killed processes have left of a subject's uploads to a directory. Nobody but a
    /// process that has lost the partition can be at work on one; its upload then fails.
    pub(crate) fn sweep(&self, subject: &Subject) {
        let Some(directory) = &self.place.directory else { return };
        let directory = self
            .folder(subject)
            .parts()
            .fold(directory.clone(), |directory, part| directory.join(part.as_ref()));
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let staged = name.to_str().and_then(|name| name.split_once('#'));
            if let Some((name, number)) = staged
                && offset_of(name).is_some()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::debug!(path = %entry.path().display(), %error, "leftover not removed");
            }
        }
    }

    /// The path and the name of a subject's snapshot.
    pub(crate) fn address(&self, subject: &Subject, offset: u64) -> (Path, String) {
        let path =
            self.folder(subject).join(format!("{offset:0width$}{ENDING}", width = OFFSET_DIGITS));
        let name = self.name(&path);
        (path, name)
    }

    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        self.place.objects.as_ref()
    }

    /// Waits for a future of the store's.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        match &self.place.handle {
            Some(handle) => handle.block_on(future),
            // Files and memory are read and written by the polling thread itself: no runtime is
            // needed.
            None => futures::executor::block_on(future),
        }
    }

    async fn listed(&self, subject: &Subject) -> Result<Vec<Listed>, Error> {
        let folder = self.folder(subject);
        let mut found: Vec<Listed> = self
            .objects()
            .list(Some(&folder))
            .try_filter_map(|meta| {
                let listed = meta.location.prefix_match(&folder).and_then(|mut parts| {
                    let offset = offset_of(parts.next()?.as_ref())?;
                    parts.next().is_none().then(|| Listed {
                        name: self.name(&meta.location),
                        offset,
                        bytes: meta.size,
                        path: meta.location.clone(),
                    })
                });
                std::future::ready(Ok(listed))
            })
            .boxed()
            .try_collect()
            .await
            .map_err(|error| Error::store(format!("listing {}", self.name(&folder)), error))?;
        found.sort_by_key(|listed| std::cmp::Reverse(listed.offset));
        Ok(found)
    }

    fn folder(&self, subject: &Subject) -> Path {
        let folder = self.place.prefix.clone().join(subject.service.as_str());
        subject.partition.split('/').fold(folder, |folder, part| folder.join(part))
    }

    fn name(&self, path: &Path) -> String {
        format!("{}/{path}", self.place.name)
    }
}

impl<R> Loaded<R> {
    fn nothing() -> Self {
        Self { state: None, refused: vec![], kept: vec![], newest: None }
    }

    fn refuse(&mut self, subject: &Subject, listed: Listed, why: String) {
        let service = subject.service.clone();
        metrics::counter!(names::REFUSED, "service" => service).increment(1);
        tracing::warn!(snapshot = listed.name, why, "snapshot refused, trying the one before");
        self.refused.push(Refused { name: listed.name, why });
    }
}

/// Whether a header is one that is wanted.
fn fits(
    header: &Header,
    subject: &Subject,
    offset: u64,
    epoch: Option<u32>,
    wanted: &Wanted,
) -> Result<(), String> {
    if header.subject != *subject {
        return Err(format!("it is a snapshot of {}, by its name of {subject}", header.subject));
    }
    if header.offset != offset {
        return Err(format!("it goes on from offset {}, by its name from {offset}", header.offset));
    }
    if let Some(epoch) = epoch
        && header.epoch != epoch
    {
        return Err(format!("it is of epoch {}, not {epoch}", header.epoch));
    }
    let (least, most) = (wanted.state_versions.start(), wanted.state_versions.end());
    match header.state_version {
        version if version > *most => Err(format!(
            "its state version {version} is newer than {most}, the newest that this build reads"
        )),
        version if version < *least => Err(format!(
            "its state version {version} is older than {least}, the oldest that this build reads"
        )),
        _ => Ok(()),
    }
}

fn offset_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING)?;
    (digits.len() == OFFSET_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}
