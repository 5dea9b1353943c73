//! Each set of feature names once per cycle, so that sets are compared by their address.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use crate::{
    codec::Names,
    streams::{FeatureSet, StreamSpec},
};

/// The sets of names that were seen in this cycle.
#[derive(Default)]
pub(super) struct NameSets {
    value: Option<FeatureSet>,
    positions: HashMap<usize, FeatureSet>,
    own: HashMap<Vec<u8>, FeatureSet>,
    /// The last of `own`: neighbours mostly have the same names.
    last: Option<FeatureSet>,
    scratch: Vec<u8>,
}

impl NameSets {
    /// The one set with these names, of so many values.
    pub(super) fn set(&mut self, names: &Names<'_>, len: usize, spec: &StreamSpec) -> FeatureSet {
        match names {
            Names::Defined => match &spec.features {
                Some(defined) => defined.names.clone(),
                None => self.positions(len),
            },
            Names::Value => self.value.get_or_insert_with(|| [Arc::from("value")].into()).clone(),
            Names::Positions => self.positions(len),
            Names::Own(names) => self.own(names),
        }
    }

    fn positions(&mut self, len: usize) -> FeatureSet {
        let set = self.positions.entry(len);
        set.or_insert_with(|| (0..len).map(|i| Arc::from(format!("v{i}"))).collect()).clone()
    }

    fn own(&mut self, names: &[Cow<'_, str>]) -> FeatureSet {
        if let Some(last) = &self.last
            && last.len() == names.len()
            && last.iter().zip(names).all(|(a, b)| **a == **b)
        {
            return last.clone();
        }
        self.scratch.clear();
        for name in names {
            self.scratch.extend_from_slice(&(name.len() as u32).to_le_bytes());
            self.scratch.extend_from_slice(name.as_bytes());
        }
        let set = match self.own.get(&self.scratch) {
            Some(set) => set.clone(),
            None => {
                let set: FeatureSet = names.iter().map(|name| Arc::from(&**name)).collect();
                self.own.insert(self.scratch.clone(), set.clone());
                set
            }
        };
        self.last = Some(set.clone());
        set
    }
}
