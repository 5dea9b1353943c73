//! A model that a user gives with a definition, as the bytes of its file: what was trained elsewhere. The definition
//! holds the bytes and not only a path, so that a replay depends on no file.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a model's bytes.
pub type Digest = [u8; 32];

/// A model's bytes and the name of the file that they came from. Two are equal if their bytes are, whatever their
/// names. In a definitions file it is the path alone, and without bytes until somebody has read them.
#[derive(Clone)]
pub struct GivenModel(Arc<File>);

/// What all clones share: every series has the definition.
struct File {
    name: String,
    bytes: Vec<u8>,
    digest: Digest,
}

impl GivenModel {
    /// A model has at most so many bytes: it travels in a message of `control` and is kept by every process.
    pub const BYTES_MAX: usize = 1 << 20;

    /// What stands in a file.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let digest = Sha256::digest(&bytes).into();
        Self(Arc::new(File { name: name.into(), bytes, digest }))
    }

    /// A model of which only the digest is known: equal to the one that it is of, without its bytes.
    pub fn of_digest(digest: Digest) -> Self {
        Self(Arc::new(File { name: String::new(), bytes: vec![], digest }))
    }

    /// The file's name as the definition gave it, for people.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The file's bytes; none if it was not read.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// What tells it from others.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }

    /// What is wrong with the size of it, if anything is.
    pub(super) fn wrong_size(&self) -> Option<String> {
        let name = self.name();
        match self.bytes().len() {
            0 => Some(format!("{name} is empty or was not read")),
            size if size > Self::BYTES_MAX => {
                Some(format!("{name} has more than {} bytes", Self::BYTES_MAX))
            }
            _ => None,
        }
    }
}

impl PartialEq for GivenModel {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

/// The first 16 digits of the digest: part of a model's seed.
impl fmt::Display for GivenModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.digest()[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for GivenModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for GivenModel {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for GivenModel {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self::new(String::deserialize(from)?, []))
    }
}
