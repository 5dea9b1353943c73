//! The log time of a partition: the least over its sources, as `control` lists them, never going back.

use std::{collections::BTreeMap, sync::Arc};

use domain::{LOG_TIME_NONE, Layout, Micros};
use serde::{Deserialize, Serialize};

/// How far each source has been read.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct LogTime {
    sources: BTreeMap<Arc<str>, Option<Micros>>,
    low: Micros,
}

impl LogTime {
    /// Before any source has been heard of.
    pub fn new() -> Self {
        Self { sources: BTreeMap::new(), low: LOG_TIME_NONE }
    }

    /// Takes the sources of a layout; what is known of those that stay is kept.
    pub fn set_layout(&mut self, layout: &Layout) {
        let mut sources = BTreeMap::new();
        for source in &layout.sources {
            for number in 0..source.partitions {
                let name: Arc<str> = Arc::from(format!("{}/{number}", source.topic));
                let known = self.sources.get(&name).copied().flatten();
                sources.insert(name, known);
            }
        }
        self.sources = sources;
        // A source that held it back may be gone.
        self.settle();
    }

    /// A source has been read this far. A source that `control` does not list has no say.
    pub fn advance(&mut self, source: &str, log_time: Micros) {
        let Some(known) = self.sources.get_mut(source) else {
            return;
        };
        let before = *known;
        *known = before.max(Some(log_time));
        // Only the source that held the least back can let it go on.
        if before.is_none_or(|before| before <= self.low) {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let low = self.sources.values().copied().min().flatten();
        self.low = low.map_or(self.low, |low| low.max(self.low));
    }

    /// The partition's log time; [`LOG_TIME_NONE`] until every source has been heard of.
    pub fn get(&self) -> Micros {
        self.low
    }
}

#[cfg(test)]
mod tests {
    use domain::Source;

    use super::*;

    fn layout(topics: &[(&str, u32)]) -> Layout {
        let sources = topics
            .iter()
            .map(|(topic, partitions)| Source { topic: (*topic).into(), partitions: *partitions })
            .collect();
        Layout { partitions: 1, sources }
    }

    #[test]
    fn it_is_the_least_over_the_sources_and_never_goes_back() {
        let mut time = LogTime::new();
        time.set_layout(&layout(&[("records", 2)]));
        let mut check = |source: &str, at: Micros, expected: Micros| {
            time.advance(source, at);
            assert_eq!(time.get(), expected, "after {source} at {at}");
        };
        check("records/0", 10, LOG_TIME_NONE);
        check("other/0", 99, LOG_TIME_NONE);
        check("records/1", 5, 5);
        check("records/1", 3, 5);
        check("records/1", 20, 10);
        check("records/0", 15, 15);
    }

    #[test]
    fn a_new_source_holds_it_until_it_is_heard_of() {
        let mut time = LogTime::new();
        time.set_layout(&layout(&[("a", 1)]));
        time.advance("a/0", 10);
        time.set_layout(&layout(&[("a", 1), ("b", 1)]));
        time.advance("a/0", 30);
        assert_eq!(time.get(), 10);
        time.advance("b/0", 7);
        assert_eq!(time.get(), 10);
        time.advance("b/0", 25);
        assert_eq!(time.get(), 25);
    }

    #[test]
    fn a_source_that_is_gone_holds_it_no_longer() {
        let mut time = LogTime::new();
        time.set_layout(&layout(&[("a", 1), ("b", 1)]));
        time.advance("a/0", 30);
        time.advance("b/0", 10);
        time.set_layout(&layout(&[("a", 1)]));
        assert_eq!(time.get(), 30);
        time.advance("a/0", 40);
        assert_eq!(time.get(), 40);
    }
}
