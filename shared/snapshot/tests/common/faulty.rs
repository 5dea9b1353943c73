//! An object store that fails, or waits, as planned: a full disk and a store that hangs, without
//! either.

use std::{
    fmt, io,
    ops::Range,
    sync::{Arc, Condvar, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
    path::Path,
};

/// What happens to the store's calls.
#[derive(Debug, Default)]
struct Plan {
    /// After so many bytes there is no room left.
    room: Option<usize>,
    /// What fails, by the name of the operation.
    broken: Vec<&'static str>,
    /// Whether writes wait.
    shut: bool,
    /// Whether one does.
    waiting: bool,
}

/// The plan's handle, shared with the store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<(Mutex<Plan>, Condvar)>);

impl Faults {
    fn change(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.0.0.lock().expect("no test panics in here"));
        self.0.1.notify_all();
    }

    pub(crate) fn room(&self, bytes: Option<usize>) {
        self.change(|plan| plan.room = bytes);
    }

    pub(crate) fn broken(&self, operations: &[&'static str]) {
        self.change(|plan| plan.broken = operations.to_vec());
    }

    pub(crate) fn shut(&self, shut: bool) {
        self.change(|plan| plan.shut = shut);
    }

    pub(crate) fn waiting(&self) -> bool {
        self.0.0.lock().expect("no test panics in here").waiting
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        let plan = self.0.0.lock().expect("no test panics in here");
        if plan.broken.contains(&operation) {
            return Err(failed(format!("{operation} is out of order").into()));
        }
        Ok(())
    }

    fn write(&self, bytes: usize) -> Result<()> {
        let mut plan = self.0.0.lock().expect("no test panics in here");
        plan.waiting = plan.shut;
        let mut plan = self.0.1.wait_while(plan, |plan| plan.shut).expect("no test panics");
        plan.waiting = false;
        match &mut plan.room {
            Some(room) if *room < bytes => {
                Err(failed(Box::new(io::Error::from(io::ErrorKind::StorageFull))))
            }
            Some(room) => {
                *room -= bytes;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Generic { store: "faulty", source }
}

/// A store with faults over one without.
#[derive(Debug)]
pub(crate) struct Faulty<T> {
    pub(crate) inner: T,
    pub(crate) faults: Faults,
}

impl<T> fmt::Display for Faulty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty:")
    }
}

#[async_trait]
impl<T: ObjectStore> ObjectStore for Faulty<T> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.faults.write(payload.content_length())?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(FaultyUpload { upload, faults: self.faults.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.faults.check("get")?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.faults.check("get")?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.faults.check("delete") {
            Ok(()) => self.inner.delete_stream(locations),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.faults.check("list") {
            Ok(()) => self.inner.list(prefix),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    upload: Box<dyn MultipartUpload>,
    faults: Faults,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.faults.write(data.content_length()) {
            Ok(()) => self.upload.put_part(data),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.faults.check("complete")?;
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
