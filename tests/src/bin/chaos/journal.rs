//! What a process tells of itself in its log, read as it is written.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// The log of one process.
pub(crate) struct Journal {
    path: PathBuf,
    /// Bytes read so far: whole lines.
    read: u64,
    /// The service's own group.
    group: String,
    come: BTreeSet<String>,
    restored: BTreeSet<String>,
    /// How often it was given partitions, and how often it has given its own up to take them again.
    pub(crate) assignments: u64,
    pub(crate) rewinds: u64,
    /// The point at which it dies, as planned.
    pub(crate) dies_at: Option<String>,
    /// Lines that no process should write.
    pub(crate) alarms: Vec<String>,
    /// The last line that is no log line: why the command failed.
    pub(crate) last_words: String,
}

impl Journal {
    pub(crate) fn new(path: &Path, group: String) -> Self {
        Self {
            path: path.to_owned(),
            read: 0,
            group,
            come: BTreeSet::new(),
            restored: BTreeSet::new(),
            assignments: 0,
            rewinds: 0,
            dies_at: None,
            alarms: vec![],
            last_words: String::new(),
        }
    }

    /// Reads what is new. `is_over`: the last line counts even if it is not whole.
    pub(crate) fn look(&mut self, is_over: bool) {
        let mut text = vec![];
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_to_end(&mut text)
        });
        if read.is_err() {
            return;
        }
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = if is_over { text.len() } else { end };
        self.read += end as u64;
        let text = String::from_utf8_lossy(&text[..end]).into_owned();
        text.lines().for_each(|line| self.line(line));
    }

    /// Whether all partitions that have come are where they were.
    pub(crate) fn is_restored(&self) -> bool {
        !self.come.is_empty() && self.come.is_subset(&self.restored)
    }

    fn line(&mut self, line: &str) {
        let names = |names: &str| names.split(',').map(str::to_owned).collect::<Vec<_>>();
        let is_own = field(line, "group").is_some_and(|group| group == self.group);
        if line.contains(" partitions come ") {
            self.assignments += 1;
            if let Some(come) = field(line, "partitions").filter(|_| is_own) {
                let come = names(come);
                come.iter().for_each(|name| {
                    self.restored.remove(name);
                });
                self.come.extend(come);
            }
        } else if line.contains(" partitions go ") {
            if let Some(gone) = field(line, "partitions").filter(|_| is_own) {
                names(gone).iter().for_each(|name| {
                    self.come.remove(name);
                });
            }
        } else if line.contains(" partition restored ") {
            if let Some(name) = field(line, "partition").filter(|_| is_own) {
                self.restored.insert(name.to_owned());
            }
        } else if line.contains(" transaction aborted, partitions rewound ") {
            self.rewinds += 1;
        } else if line.contains(" dying as planned ") {
            self.dies_at = field(line, "plan").map(str::to_owned);
        } else if line.contains("panicked") || line.contains("looking for a deadly item") {
            self.alarms.push(line.to_owned());
        } else if line.starts_with("oddwatch: ") {
            line.clone_into(&mut self.last_words);
        }
    }
}

/// The value of a field in a log line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(" {name}="))? + name.len() + 2;
    let rest = &line[start..];
    match rest.strip_prefix('"') {
        Some(rest) => rest.split('"').next(),
        None => rest.split(' ').next(),
    }
}
