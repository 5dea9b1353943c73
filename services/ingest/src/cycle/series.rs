//! The series of the source that is being read: where each goes, and its place in the open segment.

use std::{collections::HashMap, sync::Arc};

use crate::streams::FeatureSet;

/// Series by key and names. The order of the map is never looked at.
#[derive(Default)]
pub(super) struct SeriesTable {
    first: HashMap<Arc<str>, usize>,
    entries: Vec<Entry>,
}

/// A series with one set of names.
pub(super) struct Entry {
    pub(super) key: Arc<str>,
    pub(super) target: u32,
    /// The segment for which `series` holds; 0: none.
    pub(super) generation: u32,
    /// Its place in that segment's table.
    pub(super) series: u32,
    features: FeatureSet,
    /// Another entry with the same key.
    next: Option<usize>,
}

impl SeriesTable {
    pub(super) fn clear(&mut self) {
        self.first.clear();
        self.entries.clear();
    }

    /// The entry of that series; a new key is placed by `place`.
    pub(super) fn entry(
        &mut self,
        key: &str,
        features: &FeatureSet,
        place: impl FnOnce(&str) -> u32,
    ) -> &mut Entry {
        let index = match self.first.get(key) {
            Some(&first) => self.find(first, features),
            None => {
                let key: Arc<str> = Arc::from(key);
                let target = place(&key);
                self.first.insert(key.clone(), self.entries.len());
                self.push(key, target, features)
            }
        };
        &mut self.entries[index]
    }

    fn find(&mut self, first: usize, features: &FeatureSet) -> usize {
        let mut at = first;
        // Each set of names stands once per cycle (`NameSets`), so its address tells it.
        while !Arc::ptr_eq(&self.entries[at].features, features) {
            match self.entries[at].next {
                Some(next) => at = next,
                None => {
                    let Entry { key, target, .. } = &self.entries[at];
                    let added = self.push(key.clone(), *target, features);
                    self.entries[at].next = Some(added);
                    return added;
                }
            }
        }
        at
    }

    fn push(&mut self, key: Arc<str>, target: u32, features: &FeatureSet) -> usize {
        let features = features.clone();
        self.entries.push(Entry { key, target, generation: 0, series: 0, features, next: None });
        self.entries.len() - 1
    }
}
