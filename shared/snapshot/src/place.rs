//! Where snapshots lie: a URL becomes an object store that works, or an error that says what would
//! be right.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory, path::Path};
use tokio::runtime::Handle;
use url::Url;

use crate::Error;

/// What is needed to see a full disk: a file's first block.
const PROBE_BYTES: usize = 4_096;

/// An opened store.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// Stands before all paths.
    pub(crate) prefix: Path,
    /// How messages call it.
    pub(crate) name: String,
    /// The directory, if it is one.
    pub(crate) directory: Option<PathBuf>,
    /// The runtime that it needs, if it needs one.
    pub(crate) handle: Option<Handle>,
}

/// Opens what a URL names; [`crate::Store::open`] says which there are.
pub(crate) fn open(url: &str, handle: Option<Handle>) -> Result<Place, Error> {
    let wrong = |why: String| Error::Url { url: url.to_owned(), why };
    match url.split_once("://") {
        _ if url.trim().is_empty() => {
            Err(wrong("no place for snapshots: name a directory".to_owned()))
        }
        Some(("file", _)) => {
            let path = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
            directory(&path.ok_or_else(|| {
                wrong("not a file URL: file:///absolute/path has three slashes".to_owned())
            })?)
        }
        Some(("memory", "" | "/")) => Ok(memory()),
        Some(("s3", _)) => s3(url, handle),
        Some((scheme, _)) => Err(wrong(format!(
            "{scheme} is not known: right are a directory, file:///directory, memory:/// and \
             s3://bucket/prefix"
        ))),
        None => directory(FilePath::new(url)),
    }
}

/// A store that ends with the process.
pub(crate) fn memory() -> Place {
    Place {
        objects: Arc::new(InMemory::new()),
        prefix: Path::default(),
        name: "memory:".to_owned(),
        directory: None,
        handle: None,
    }
}

fn directory(path: &FilePath) -> Result<Place, Error> {
    let unusable = |source: io::Error| Error::Directory {
        path: path.to_owned(),
        why: advice(&source),
        source,
    };
    fs::create_dir_all(path).map_err(unusable)?;
    probe(path).map_err(unusable)?;
    let path = fs::canonicalize(path).map_err(unusable)?;
    let objects = LocalFileSystem::new_with_prefix(&path)
        .map_err(|error| Error::store(format!("opening {}", path.display()), error))?;
    Ok(Place {
        // Durable means that it outlives a power cut: files and directories are synced.
        objects: Arc::new(objects.with_fsync(true)),
        prefix: Path::default(),
        name: path.display().to_string(),
        directory: Some(path),
        handle: None,
    })
}

/// Writes and removes a file, so that what can't be written is found at the start.
fn probe(directory: &FilePath) -> io::Result<()> {
    // A name of the form that the store hides; another process may be doing the same at this
    // moment.
    let path = directory.join(format!("probe#{}", std::process::id()));
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&[0; PROBE_BYTES])?;
        file.sync_all()
    });
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            "a file stands where the directory for snapshots should be: move it, or name another \
             directory"
        }
        ErrorKind::PermissionDenied => {
            "snapshots can't be written here: give this user the right to, or name another \
             directory"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "snapshots can't be written here, the file system is read-only: name another directory"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "there is no room left for snapshots: make room, or name another directory"
        }
        _ => "the directory for snapshots can't be made or written: name another directory",
    }
}

#[cfg(feature = "s3")]
fn s3(url: &str, handle: Option<Handle>) -> Result<Place, Error> {
    use object_store::{RetryConfig, aws::AmazonS3Builder};

    /// After so long without success an upload is given up; the next one comes with the next
    /// snapshot.
    const RETRY_SECONDS_MAX: u64 = 30;

    let wrong = |why: String| Error::Url { url: url.to_owned(), why };
    let parsed = Url::parse(url).map_err(|error| wrong(format!("not a URL: {error}")))?;
    let prefix = Path::from_url_path(parsed.path())
        .map_err(|error| wrong(format!("its prefix is not a path: {error}")))?;
    let handle = handle
        .ok_or_else(|| wrong("a store that is reached by network needs a runtime".to_owned()))?;
    let retry = RetryConfig {
        retry_timeout: std::time::Duration::from_secs(RETRY_SECONDS_MAX),
        ..Default::default()
    };
    let objects = AmazonS3Builder::from_env()
        .with_url(url)
        .with_retry(retry)
        .build()
        .map_err(|error| Error::store(format!("opening {url}"), error))?;
    let name = url.trim_end_matches('/').to_owned();
    let name = name.strip_suffix(prefix.as_ref()).unwrap_or(&name).trim_end_matches('/').to_owned();
    Ok(Place { objects: Arc::new(objects), prefix, name, directory: None, handle: Some(handle) })
}

#[cfg(not(feature = "s3"))]
fn s3(url: &str, _handle: Option<Handle>) -> Result<Place, Error> {
    let why = "this build has no S3 client: take one built with `--features s3`, or name a \
               directory that all machines share";
    Err(Error::Url { url: url.to_owned(), why: why.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_becomes_advice() {
        let check = |kind: ErrorKind, words: &str| {
            let advice = advice(&io::Error::from(kind));
            assert!(advice.contains(words), "{advice}, not {words}");
        };
        check(ErrorKind::NotADirectory, "a file stands");
        check(ErrorKind::PermissionDenied, "give this user the right");
        check(ErrorKind::ReadOnlyFilesystem, "read-only");
        check(ErrorKind::StorageFull, "make room");
        check(ErrorKind::QuotaExceeded, "make room");
        check(ErrorKind::NotFound, "name another directory");
    }
}
