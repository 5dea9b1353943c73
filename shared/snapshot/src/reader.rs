//! Reads one object as it streams in: at no time more than a block and a record of it are in
//! memory.

use std::{
    hash::Hasher,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::{Buf, Bytes};
use futures::{StreamExt, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, path::Path};
use twox_hash::XxHash3_64;

use crate::{
    object::{self, CHECKSUM_BYTES, FOOTER_BYTES, Header, LENGTHS_BYTES, Opener, START_BYTES},
    record,
};

/// Why an object can't be used.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is damaged, foreign, or of another version.
    Refused(String),
    /// The store could not be read.
    Store(object_store::Error),
    /// Nobody wants it any longer.
    Stopped,
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

impl From<object_store::Error> for Fault {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

/// An object's bytes as they come, and the checksum of what was taken.
struct Input {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    chunk: Bytes,
    taken: Vec<u8>,
    hash: XxHash3_64,
    length: u64,
}

impl Input {
    /// The next `count` bytes; with `more`, those are added to the ones taken before.
    async fn take(&mut self, count: usize, more: bool) -> Result<&[u8], Fault> {
        if !more {
            self.taken.clear();
        }
        let start = self.taken.len();
        while self.taken.len() - start < count {
            if self.chunk.is_empty() {
                let Some(chunk) = self.stream.next().await else {
                    let end = self.length + (self.taken.len() - start) as u64;
                    return Err(Fault::Refused(format!(
                        "it ends after {end} bytes: it is cut off"
                    )));
                };
                self.chunk = chunk?;
            }
            let part = self.chunk.len().min(count - (self.taken.len() - start));
            self.taken.extend_from_slice(&self.chunk[..part]);
            self.chunk.advance(part);
        }
        self.hash.write(&self.taken[start..]);
        self.length += count as u64;
        Ok(&self.taken)
    }

    async fn ended(&mut self) -> Result<bool, Fault> {
        while self.chunk.is_empty() {
            match self.stream.next().await {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    async fn header(&mut self) -> Result<(Header, u64), Fault> {
        let length = object::header_length(self.take(START_BYTES, false).await?)?;
        Ok(object::header(self.take(length + CHECKSUM_BYTES, true).await?)?)
    }

    /// The next block, whole; `None` at the footer.
    async fn block(&mut self) -> Result<Option<&[u8]>, Fault> {
        if object::number(self.take(4, false).await?, 0) == 0 {
            return Ok(None);
        }
        let rest = Opener::rest(self.take(LENGTHS_BYTES - 4, true).await?)?;
        self.take(rest, true).await.map(Some)
    }

    /// The rest of the footer, whose first 4 bytes were taken.
    async fn footer(&mut self, found: object::Totals) -> Result<(), Fault> {
        self.take(FOOTER_BYTES - 4 - CHECKSUM_BYTES, true).await?;
        let checksum = self.hash.finish();
        self.take(CHECKSUM_BYTES, true).await?;
        let (totals, expected) = object::footer(&self.taken, self.length)?;
        if totals != found || checksum != expected {
            return Err(Fault::Refused("its footer's checksum is wrong: it is damaged".to_owned()));
        }
        if !self.ended().await? {
            return Err(Fault::Refused("something follows its end".to_owned()));
        }
        Ok(())
    }
}

/// A body's bytes that are no whole record yet, and the state so far.
struct Body<R> {
    raw: Vec<u8>,
    state: Option<R>,
    totals: object::Totals,
}

/// Begins a state with a header and a head, or says why it can't.
pub(crate) type Begin<'a, R> = dyn Fn(&Header, &[u8]) -> Result<R, String> + 'a;
/// Gives a state an item, or says why it can't.
pub(crate) type Item<'a, R> = dyn Fn(&mut R, u32, &[u8]) -> Result<(), String> + 'a;

/// What makes a state of an object's content.
pub(crate) struct Decode<'a, R> {
    /// Whether the header is one that is wanted.
    pub(crate) check: &'a dyn Fn(&Header) -> Result<(), String>,
    pub(crate) begin: &'a Begin<'a, R>,
    pub(crate) item: &'a Item<'a, R>,
    /// Whether nobody wants the state any longer.
    pub(crate) stop: &'a AtomicBool,
}

/// Reads an object to its end.
pub(crate) async fn read<R>(
    objects: &dyn ObjectStore,
    path: &Path,
    decode: &Decode<'_, R>,
) -> Result<(Header, R), Fault> {
    let mut input = Input {
        stream: objects.get(path).await?.into_stream(),
        chunk: Bytes::new(),
        taken: vec![],
        hash: XxHash3_64::new(),
        length: 0,
    };
    let (header, checksum) = input.header().await?;
    (decode.check)(&header)?;
    let mut opener = Opener::new(checksum).map_err(|error| Fault::Refused(error.to_string()))?;
    let mut body = Body { raw: vec![], state: None, totals: object::Totals::default() };
    while let Some(block) = input.block().await? {
        if decode.stop.load(Ordering::Relaxed) {
            return Err(Fault::Stopped);
        }
        body.push(opener.open(block)?, &header, decode)?;
    }
    input.footer(body.totals).await?;
    match body.state {
        Some(state) if body.raw.is_empty() => Ok((header, state)),
        _ => Err(Fault::Refused("its last record is not whole".to_owned())),
    }
}

impl<R> Body<R> {
    fn push(&mut self, block: &[u8], of: &Header, decode: &Decode<'_, R>) -> Result<(), Fault> {
        self.raw.extend_from_slice(block);
        self.totals.raw_bytes += block.len() as u64;
        let mut rest = self.raw.as_slice();
        if self.state.is_none()
            && let Some((head, length)) = record::counted(rest)?
        {
            let state = (decode.begin)(of, head).map_err(|why| format!("its head: {why}"))?;
            self.state = Some(state);
            rest = &rest[length..];
        }
        if let Some(state) = &mut self.state {
            while let Some((record, length)) = record::record(rest)? {
                (decode.item)(state, record.index, record.bytes)
                    .map_err(|why| format!("its item {}: {why}", record.index))?;
                rest = &rest[length..];
                self.totals.items += 1;
            }
        }
        let done = self.raw.len() - rest.len();
        self.raw.drain(..done);
        Ok(())
    }
}

/// Reads the header only of an object with this length.
pub(crate) async fn header(
    objects: &dyn ObjectStore,
    path: &Path,
    length: u64,
) -> Result<Header, Fault> {
    let bytes_max = START_BYTES + object::HEADER_BYTES_MAX + CHECKSUM_BYTES;
    let range = GetRange::Bounded(0..length.min(bytes_max as u64));
    let bytes = part(objects, path, length, range).await?;
    let end = object::header_length(&bytes)? + START_BYTES + CHECKSUM_BYTES;
    let bytes = bytes.get(..end).ok_or_else(|| "it is cut off in its header".to_owned())?;
    Ok(object::header(bytes)?.0)
}

/// Whether the last bytes of an object with this length are a footer that fits it.
pub(crate) async fn ends_well(
    objects: &dyn ObjectStore,
    path: &Path,
    length: u64,
) -> Result<(), Fault> {
    let bytes = part(objects, path, length, GetRange::Suffix(FOOTER_BYTES as u64)).await?;
    Ok(object::footer(&bytes, length).map(|_| ())?)
}

async fn part(
    objects: &dyn ObjectStore,
    path: &Path,
    length: u64,
    range: GetRange,
) -> Result<Bytes, Fault> {
    if length == 0 {
        return Err(Fault::Refused("it is empty".to_owned()));
    }
    let options = GetOptions { range: Some(range), ..Default::default() };
    Ok(objects.get_opts(path, options).await?.bytes().await?)
}
