//! Algorithms: the closed list of what a detector can run, with each one's parameters, their
//! defaults and ranges. Whatever names a parameter (a definitions file, the `control` log, a search
//! for better ones) goes by this table.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{GivenModel, Invalid, invalid};

mod combine;

pub use combine::Combine;

/// A parameter of an algorithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What holds if a definition does not say.
    pub default: f64,
    /// The least it may be.
    pub least: f64,
    /// The most it may be.
    pub most: f64,
    /// Whether only whole numbers make sense.
    pub whole: bool,
    /// What it means, in a line.
    pub about: &'static str,
}

const fn whole(
    name: &'static str,
    default: u32,
    range: (u32, u32),
    about: &'static str,
) -> Parameter {
    let (default, least, most) = (default as f64, range.0 as f64, range.1 as f64);
    Parameter { name, default, least, most, whole: true, about }
}

const fn real(
    name: &'static str,
    default: f64,
    range: (f64, f64),
    about: &'static str,
) -> Parameter {
    Parameter { name, default, least: range.0, most: range.1, whole: false, about }
}

macro_rules! kinds {
    ($($kind:ident = $number:literal $name:literal $about:literal [$($parameter:expr),* $(,)?];)+) => {
        /// What can be run. The numbers go into snapshots and are never given to another one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = $about] #[serde(rename = $name)] $kind = $number,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The name that definitions give.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// What it is, in a line.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$kind => $about,)+ }
            }

            /// Its parameters.
            pub const fn parameters(self) -> &'static [Parameter] {
                match self { $(Self::$kind => const { &[$($parameter),*] },)+ }
            }
        }
    };
}

kinds! {
    Auto = 0 "auto" "Chosen by the number of values: novelty memories for one, fusion for several." [];
    RobustZ = 1 "robust_z" "Distance from the median of a sliding window in units of its MAD." [
        whole("window", 256, (8, 10_000), "rows in the window"),
    ];
    HalfSpaceTrees = 2 "half_space_trees" "Half-space trees (Tan, Ting & Liu 2011)." [
        whole("trees", 25, (1, 200), "number of trees"),
        whole("depth", 10, (1, 15), "depth of each tree"),
        whole("window", 250, (16, 100_000), "rows per window"),
    ];
    Novelty = 3 "novelty" "Distance of a value's features from a bounded memory of what they were." [
        real("radius", 0.067, (0.001, 1.0), "radius of a prototype, as a share of the scale"),
        real("rate", 0.032, (0.0, 1.0), "how far a prototype moves towards what it is like"),
        real("creep_rows", 9750.0, (10.0, 1e9), "rows in which a range creeps inwards by itself"),
        real("widen", 3.0, (0.01, 1e6), "a row widens a range by so many ranges at most"),
        real("blend", 0.2, (0.0, 1.0), "how much of a scale is mean deviation and not range"),
        real("floor", 0.045, (0.0, 1.0), "least scale, as a share of the range of the values"),
        real("gain", 1.57, (0.0, 100.0), "evidence for each e-fold of distance beyond the radius"),
        real("spike", 1.0, (0.0, 100.0), "evidence for each e-fold of ranges beyond all before"),
        real("tau_rows", 7.5, (0.1, 1e6), "rows in which evidence fades to 1/e"),
        real("noise", 0.81, (0.0, 100.0), "how much mean evidence lowers evidence"),
        real("noise_rows", 800.0, (1.0, 1e9), "rows of that mean"),
        real("short_rows", 26.0, (4.0, 120.0), "rows of a short block, five minutes apart"),
        real("long_rows", 113.0, (12.0, 124.0), "rows of a long block, five minutes apart"),
        real("rough_rows", 29.0, (8.0, 250.0), "rows of the rough block, five minutes apart"),
        real("scale", 0.5, (0.0, 1.0), "power by which the interval shortens blocks"),
        real("clock", 0.07, (0.001, 1.0), "part of an hour's bin that a row fills"),
    ];
    RandomCutForest = 10 "random_cut_forest" "Robust random cut forest (Guha et al. 2016)." [
        whole("trees", 30, (1, 200), "number of trees"),
        whole("sample", 256, (8, 1024), "rows that each tree holds at most"),
        whole("shingle", 0, (0, 64), "rows looked at together; 0: 8 for one value, 1 for several"),
        whole("window", 2560, (64, 60_000), "rows that the samples are drawn from"),
    ];
    IsolationForest = 11 "isolation_forest" "Isolation forest over a sliding window (Liu, Ting & Zhou 2008)." [
        whole("trees", 50, (1, 200), "number of trees"),
        whole("sample", 128, (8, 1024), "rows that each tree holds at most"),
        whole("window", 2560, (64, 60_000), "rows that the samples are drawn from"),
        whole("extended", 0, (0, 1), "1: cuts by random hyperplanes instead of one value each"),
    ];
    Loda = 12 "loda" "LODA: histograms of random projections (Pevny 2016)." [
        whole("projections", 100, (8, 1000), "number of projections"),
        whole("window", 512, (16, 10_000), "rows in the histograms"),
    ];
    Mahalanobis = 20 "mahalanobis" "Distance by the values' means, deviations and correlations." [
        whole("horizon", 1000, (16, 100_000), "rows after which a row counts 1/e"),
        real("ridge", 0.02, (0.001, 1.0), "variance added to each standardised value's own"),
    ];
    Lesinn = 21 "lesinn" "Distance to the nearest of small random samples (Pang, Ting & Albrecht 2015)." [
        whole("samples", 8, (1, 256), "number of subsamples"),
        whole("size", 16, (2, 1024), "rows in each subsample"),
        whole("horizon", 256, (16, 100_000), "rows of the past that a subsample is of"),
    ];
    Fusion = 22 "fusion" "LeSiNN and the Mahalanobis distance, with a learning gate." [
        whole("samples", 8, (1, 256), "number of LeSiNN's subsamples"),
        whole("size", 16, (2, 1024), "rows in each subsample"),
        whole("gate", 3000, (0, 100_000), "rows after which a lasting anomaly is the new normal"),
    ];
    Knn = 23 "knn" "Distance to the nearest rows of a sliding window." [
        whole("k", 10, (1, 64), "number of neighbours"),
        whole("window", 1000, (16, 10_000), "rows in the window"),
        whole("mean", 1, (0, 1), "1: mean distance of the k nearest; 0: distance of the k-th"),
    ];
    Lof = 24 "lof" "Local outlier factor by a sliding window (Breunig, Kriegel, Ng & Sander 2000)." [
        whole("k", 10, (1, 64), "number of neighbours"),
        whole("window", 256, (16, 10_000), "rows in the window"),
    ];
    OneClassSvm = 25 "one_class_svm" "One-class support vector machine, learned online." [
        whole("features", 64, (0, 4096), "random Fourier features of a Gaussian kernel; 0: linear"),
        real("nu", 0.1, (0.001, 0.5), "share of rows beyond the margin"),
    ];
    Ewma = 30 "ewma" "Exponentially weighted mean and deviation, and the EWMA control chart (Roberts 1959)." [
        whole("half_life", 200, (12, 10_000), "rows after which one counts half"),
        real("smoothing", 1.0, (0.01, 1.0), "weight of the newest row in the chart of small shifts; 1: no chart"),
    ];
    Seasonal = 31 "seasonal" "Holt-Winters forecasts: level, damped trend and season, additive (Winters 1960)." [
        whole("season", 0, (0, 10_000), "rows in a season; 0: found by itself"),
        whole("season_max", 512, (4, 4096), "longest season that is looked for"),
        real("level", 0.1, (0.001, 1.0), "weight of an error in the level"),
        real("trend", 0.01, (0.0, 1.0), "weight of it in the trend, of what the level takes"),
        real("seasonal", 0.2, (0.0, 1.0), "weight of it in the season"),
        real("damping", 0.98, (0.0, 1.0), "what stays of the trend from row to row"),
    ];
    SpectralResidual = 32 "spectral_residual" "Spectral residual of a sliding window (Ren et al. 2019)." [
        whole("window", 128, (32, 1024), "rows in the window, taken up to a power of two"),
    ];
    Discord = 33 "discord" "Distance of the newest rows' shape from the nearest one before, as DAMP (Lu et al. 2022)." [
        whole("length", 24, (4, 256), "rows in a shape"),
        whole("history", 1024, (64, 16_384), "rows that are searched, at least 4 lengths"),
        real("flat", 0.2, (0.01, 100.0), "least deviation of a shape, in deviations of the value"),
    ];
    Autoencoder = 34 "autoencoder" "A small network that rebuilds the last rows from few numbers, learned online." [
        whole("hidden", 8, (1, 64), "hidden units, at most half the inputs"),
        whole("shingle", 4, (1, 64), "rows that it sees at once"),
        real("rate", 0.1, (0.0001, 0.5), "how large a step it learns by"),
    ];
    Onnx = 35 "onnx" "A model trained elsewhere, given as an ONNX file." [
        whole("shingle", 1, (1, 64), "rows that it sees at once, the newest last"),
        whole("standardise", 0, (0, 1), "1: values in deviations from their running means"),
        whole("output", 0, (0, 3), "0: by its shape; 1: the inputs rebuilt; 2: a score; 3: probabilities"),
    ];
    Pca = 36 "pca" "What the main components of the past leave of a row (Weng, Zhang & Hwang 2003)." [
        whole("components", 2, (1, 64), "main directions that are taken away, fewer than values"),
        whole("horizon", 1000, (16, 100_000), "rows after which a row counts 1/e"),
    ];
    Ensemble = 40 "ensemble" "Several algorithms on the same rows, whose surprises are combined." [
        real("majority", 0.5, (0.01, 1.0), "share of the weight that a vote needs"),
    ];
}

/// The parameter that every member of an ensemble has besides its own: how much it counts.
const WEIGHT: Parameter = real("weight", 1.0, (0.001, 1000.0), "how much the member counts");

/// What a detector runs: an algorithm with the parameters that differ from their defaults.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Algorithm {
    /// Which one.
    pub kind: Kind,
    /// How an ensemble combines.
    #[serde(default, skip_serializing_if = "Combine::is_default")]
    pub combine: Combine,
    /// What an ensemble combines: 1 to [`MEMBERS_MAX`](Self::MEMBERS_MAX), none of them an ensemble.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Self>,
    /// What `onnx` runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<GivenModel>,
    /// Parameters by name.
    #[serde(flatten)]
    parameters: BTreeMap<String, f64>,
}

impl Algorithm {
    /// An ensemble has at most so many members.
    pub const MEMBERS_MAX: usize = 16;

    /// With the default parameters.
    pub const fn new(kind: Kind) -> Self {
        let parameters = BTreeMap::new();
        Self { kind, combine: Combine::Mean, members: Vec::new(), model: None, parameters }
    }

    /// Several on the same rows.
    pub fn ensemble(combine: Combine, members: impl Into<Vec<Self>>) -> Self {
        Self { combine, members: members.into(), ..Self::new(Kind::Ensemble) }
    }

    /// With a parameter set; [`check`](Self::check) tells whether there is such a one.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.parameters.insert(name.to_owned(), value);
        self
    }

    /// The parameters that were set, by name.
    pub fn set(&self) -> impl Iterator<Item = (&str, f64)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// A parameter's value, as set or by default; NaN if the algorithm has none of this name.
    pub fn get(&self, name: &str) -> f64 {
        let default = || self.kind.parameters().iter().find(|p| p.name == name).map(|p| p.default);
        self.parameters.get(name).copied().or_else(default).unwrap_or(f64::NAN)
    }

    /// The value of a whole parameter, 0 if the algorithm has none of this name.
    pub fn whole(&self, name: &str) -> usize {
        self.get(name) as usize
    }

    /// How much it counts as a member of an ensemble.
    pub fn weight(&self) -> f64 {
        self.parameters.get(WEIGHT.name).copied().unwrap_or(WEIGHT.default)
    }

    /// The models that it or its members were given.
    pub fn given(&self) -> impl Iterator<Item = &GivenModel> {
        self.model.iter().chain(self.members.iter().filter_map(|member| member.model.as_ref()))
    }

    /// What `auto` stands for with this many values; itself otherwise, and so for members. Without
    /// parameters that are set to their defaults, so that equal algorithms are equal.
    pub fn resolved(&self, values: usize) -> Self {
        let kind = match self.kind {
            Kind::Auto if values <= 1 => Kind::Novelty,
            Kind::Auto => Kind::Fusion,
            chosen => chosen,
        };
        let default = Self::new(kind);
        let usual = |name: &str| {
            if name == WEIGHT.name { WEIGHT.default } else { default.get(name) }
        };
        let differs = |(name, value): &(&str, f64)| usual(name) != *value;
        let parameters = self.set().filter(differs).map(|(name, value)| (name.to_owned(), value));
        let members = self.members.iter().map(|member| member.resolved(values));
        Self {
            kind,
            combine: self.combine,
            members: members.collect(),
            model: self.model.clone(),
            parameters: parameters.collect(),
        }
    }

    /// Checks each parameter's name and range; `what` names the definition in errors.
    ///
    /// # Errors
    /// The first parameter that is wrong, with what would be right.
    pub fn check(&self, what: &str) -> Result<(), Invalid> {
        self.check_parameters(what, self.kind.parameters().iter().collect())?;
        self.check_model(&format!("{what}.model"))?;
        if self.kind != Kind::Ensemble {
            let plain = self.members.is_empty() && self.combine.is_default();
            let wrong = "only an ensemble has members and combines them";
            return if plain { Ok(()) } else { invalid(format!("{what}.members"), wrong) };
        }
        if !(1..=Self::MEMBERS_MAX).contains(&self.members.len()) {
            let wrong = format!("an ensemble has 1 to {} members", Self::MEMBERS_MAX);
            return invalid(format!("{what}.members"), wrong);
        }
        for (index, member) in self.members.iter().enumerate() {
            let what = format!("{what}.members[{index}]");
            if member.kind == Kind::Ensemble {
                return invalid(what, "an ensemble can't be a member of another");
            }
            let parameters = member.kind.parameters().iter().chain([&WEIGHT]);
            member.check_parameters(&what, parameters.collect())?;
            let inner = Self { parameters: BTreeMap::new(), ..member.clone() };
            inner.check(&what)?;
        }
        Ok(())
    }

    fn check_model(&self, what: &str) -> Result<(), Invalid> {
        match (&self.model, self.kind == Kind::Onnx) {
            (None, false) => Ok(()),
            (Some(_), false) => invalid(what, "only onnx runs a model that is given"),
            (None, true) => invalid(what, "must name a file, such as \"autoencoder.onnx\""),
            (Some(given), true) => given.wrong_size().map_or(Ok(()), |why| invalid(what, why)),
        }
    }

    fn check_parameters(&self, what: &str, known: Vec<&Parameter>) -> Result<(), Invalid> {
        for (name, value) in &self.parameters {
            let field = format!("{what}.{name}");
            let Some(parameter) = known.iter().find(|p| p.name == name) else {
                let names: Vec<_> = known.iter().map(|p| p.name).collect();
                let names = if names.is_empty() { "none".into() } else { names.join(", ") };
                let kind = self.kind.name();
                return invalid(field, format!("{kind} has no such parameter; it has {names}"));
            };
            let Parameter { least, most, whole, .. } = **parameter;
            if !(least..=most).contains(value) {
                return invalid(field, format!("must be from {least} to {most}"));
            }
            if whole && value.fract() != 0.0 {
                return invalid(field, "must be a whole number");
            }
        }
        Ok(())
    }
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::new(Kind::Auto)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        let mut parts: Vec<_> = self.set().map(|(name, value)| format!("{name}={value}")).collect();
        if !self.combine.is_default() {
            parts.insert(0, format!("combine={}", self.combine.name()));
        }
        parts.extend(self.model.iter().map(|model| format!("model={model}")));
        if !self.members.is_empty() {
            let members: Vec<_> = self.members.iter().map(Self::to_string).collect();
            parts.push(format!("members=[{}]", members.join(", ")));
        }
        if parts.is_empty() { Ok(()) } else { write!(f, "({})", parts.join(", ")) }
    }
}

/// As it is shown: part of a model's seed and of test reports.
impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
