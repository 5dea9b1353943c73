//! The models that users gave, each made ready once and shared by all series. Whoever owns a partition keeps them:
//! nothing here is global.

use std::{collections::BTreeMap, sync::Arc};

use domain::{Algorithm, Detector, GivenModel, Invalid, definition::Digest};

#[cfg(feature = "onnx")]
pub(crate) use crate::onnx::Network;

/// Without the feature `onnx` there is none.
#[cfg(not(feature = "onnx"))]
#[derive(Debug, PartialEq)]
pub(crate) enum Network {}

/// Models by what their bytes are. What is not among them is read anew for each series: they make nothing different,
/// only quicker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Networks {
    by_digest: BTreeMap<Digest, Arc<Network>>,
}

impl Networks {
    /// Reads what a detector was given. `values` is how many values its rows have, if that is known.
    ///
    /// # Errors
    /// What of it can't be run, by this build or at all: such a detector must not be used.
    pub fn read(&mut self, detector: &Detector, values: Option<usize>) -> Result<(), Invalid> {
        let what = format!("detector {:?}, algorithm", detector.name);
        let algorithm = &detector.algorithm;
        let members = algorithm.members.iter().enumerate();
        let members = members.map(|(at, member)| (format!("{what}.members[{at}].model"), member));
        for (what, algorithm) in members.chain([(format!("{what}.model"), algorithm)]) {
            if let Some(given) = &algorithm.model {
                let checked = self.read_one(given, algorithm, values);
                let wrong = |why| format!("{}: {why}", given.name());
                checked.map_err(|why| Invalid { what, wrong: wrong(why) })?;
            }
        }
        Ok(())
    }

    /// Forgets what none of these detectors was given.
    pub fn keep<'a>(&mut self, detectors: impl Iterator<Item = &'a Detector>) {
        if !self.by_digest.is_empty() {
            let given = detectors.flat_map(|detector| detector.algorithm.given());
            let digests: Vec<Digest> = given.map(|given| *given.digest()).collect();
            self.by_digest.retain(|digest, _| digests.contains(digest));
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    #[cfg(feature = "onnx")]
    fn read_one(
        &mut self,
        given: &GivenModel,
        algorithm: &Algorithm,
        values: Option<usize>,
    ) -> Result<(), String> {
        let network = match self.get(given) {
            Some(network) => network,
            None => Arc::new(Network::read(given)?),
        };
        crate::onnx::check(&network, algorithm, values)?;
        self.insert(network);
        Ok(())
    }

    #[cfg(not(feature = "onnx"))]
    fn read_one(&mut self, _: &GivenModel, _: &Algorithm, _: Option<usize>) -> Result<(), String> {
        Err("this build runs no ONNX models; build with `--features onnx`".to_owned())
    }

    #[cfg(feature = "onnx")]
    pub(crate) fn get(&self, given: &GivenModel) -> Option<Arc<Network>> {
        self.by_digest.get(given.digest()).cloned()
    }

    #[cfg(feature = "onnx")]
    pub(crate) fn insert(&mut self, network: Arc<Network>) {
        self.by_digest.insert(*network.digest(), network);
    }
}
