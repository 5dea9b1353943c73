//! Writes one snapshot: nothing of it is to be seen before the whole of it is durable.

use std::sync::Arc;

use object_store::{MultipartUpload, ObjectStoreExt, PutPayload, path::Path};

use crate::{
    Error, Header, Store,
    object::{BLOCK_BYTES, Sealer},
};

/// S3 takes parts of at least 5 MiB, 10,000 of them: 80 GB.
const PART_BYTES: usize = 8 << 20;

/// A snapshot that is being written.
pub(crate) struct Upload {
    store: Arc<Store>,
    header: Header,
    path: Path,
    name: String,
    sealer: Sealer,
    /// Begun with the first full part; smaller snapshots go in one piece.
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    /// Begins a snapshot, in memory.
    pub(crate) fn begin(store: &Arc<Store>, header: Header, head: &[u8]) -> Result<Self, Error> {
        let (path, name) = store.address(&header.subject, header.offset);
        let sealer = Sealer::new(&header, head).map_err(|error| defect(&name, error))?;
        store.sweep(&header.subject);
        Ok(Self { store: Arc::clone(store), header, path, name, sealer, parts: None })
    }

    /// Adds whole records. After an error it must be given to [`Upload::abort`].
    pub(crate) fn push(&mut self, records: &[u8]) -> Result<(), Error> {
        self.sealer.count(records).map_err(|why| defect(&self.name, why))?;
        // Piece by piece, so that what is made of a large slice does not pile up.
        for piece in records.chunks(BLOCK_BYTES) {
            self.sealer.push(piece).map_err(|error| defect(&self.name, error))?;
            self.send(PART_BYTES)?;
        }
        Ok(())
    }

    /// Ends and publishes it, then deletes what of its subject is not in `kept`. Returns its size
    /// in bytes. After an error it must be given to [`Upload::abort`].
    pub(crate) fn publish(&mut self, kept: &[u64]) -> Result<u64, Error> {
        self.sealer.finish().map_err(|error| defect(&self.name, error))?;
        self.send(PART_BYTES)?;
        let store = Arc::clone(&self.store);
        if self.parts.is_some() {
            self.send(1)?;
        }
        let published = store.wait(async {
            match &mut self.parts {
                Some(parts) => parts.complete().await,
                None => {
                    let all = PutPayload::from(self.sealer.take(PART_BYTES));
                    store.objects().put(&self.path, all).await
                }
            }
        });
        published.map_err(|error| Error::store(format!("publishing {}", self.name), error))?;
        self.parts = None;
        if let Err(error) = store.wait(store.prune(&self.header, kept)) {
            tracing::warn!(error = error.in_full(), "old snapshots not pruned, the next one will");
        }
        Ok(self.sealer.length())
    }

    /// Gives it up and removes what was stored of it.
    pub(crate) fn abort(mut self) {
        if let Some(mut parts) = self.parts.take()
            && let Err(error) = self.store.wait(parts.abort())
        {
            tracing::debug!(snapshot = self.name, %error, "upload not taken back");
        }
        self.store.sweep(&self.header.subject);
    }

    /// Stores what is ready in parts, as long as there are `least` bytes.
    fn send(&mut self, least: usize) -> Result<(), Error> {
        while self.sealer.ready() >= least {
            let part = PutPayload::from(self.sealer.take(PART_BYTES));
            let store = Arc::clone(&self.store);
            let stored = store.wait(async {
                if self.parts.is_none() {
                    self.parts = Some(store.objects().put_multipart(&self.path).await?);
                }
                match &mut self.parts {
                    Some(parts) => parts.put_part(part).await,
                    None => Ok(()),
                }
            });
            stored.map_err(|error| Error::store(format!("writing {}", self.name), error))?;
        }
        Ok(())
    }
}

fn defect(name: &str, why: impl ToString) -> Error {
    Error::State { object: name.to_owned(), why: why.to_string() }
}
