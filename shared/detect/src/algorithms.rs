//! The closed set of algorithms as one list: the enum of models, how calls reach them, and a few of
//! each for tests of what all must do.

use std::sync::LazyLock;

use domain::{
    Algorithm, Combine, GivenModel, Kind,
    definition::Digest,
    encoding::{DecodeError, ensure, put, take},
};

#[cfg(feature = "onnx")]
use crate::Onnx;
use crate::{
    Assessment, Autoencoder, Discord, Ensemble, Ewma, Fusion, HalfSpaceTrees, IsolationForest, Knn,
    Lesinn, Loda, Lof, Mahalanobis, Networks, Novelty, OneClassSvm, Pca, RandomCutForest, RobustZ,
    Seasonal, SpectralResidual,
    nearest::Search,
    scorer::{Levels, Row, Scorer},
};

/// Makes [`Model`] of a list; an algorithm that the list lacks does not compile.
macro_rules! models {
    ($($(#[$cfg:meta])? $kind:ident [$(($($name:literal = $value:literal),*)),*]),+ $(,)?) => {
        /// What one detector has learned of one series.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Model {
            $($(#[$cfg])? #[doc = concat!("See [`", stringify!($kind), "`].")] $kind($kind),)+
        }

        impl Model {
            /// A model that has seen nothing, for rows of so many values. The same arguments give
            /// the same model, bit for bit; [`Networks::read`] has taken the algorithm. `networks`
            /// were read already.
            pub fn new(
                algorithm: &Algorithm,
                values: usize,
                seed: u64,
                networks: &Networks,
            ) -> Self {
                let algorithm = &algorithm.resolved(values);
                match algorithm.kind {
                    $($(#[$cfg])? Kind::$kind => Self::$kind($kind::sharing(algorithm, values, seed, networks)),)+
                    Kind::Auto => unreachable!("resolved() never answers Auto"),
                    #[cfg(not(feature = "onnx"))]
                    Kind::Onnx => unreachable!("Networks::read() refuses it"),
                }
            }

            /// The bytes on the heap that a model will take, told before it is made.
            pub fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
                let algorithm = &algorithm.resolved(values);
                match algorithm.kind {
                    $($(#[$cfg])? Kind::$kind => $kind::bytes_for(algorithm, values),)+
                    Kind::Auto => unreachable!("resolved() never answers Auto"),
                    #[cfg(not(feature = "onnx"))]
                    Kind::Onnx => unreachable!("Networks::read() refuses it"),
                }
            }

            /// What the levels of its rows are.
            pub fn levels_of(algorithm: &Algorithm, values: usize) -> Levels {
                match algorithm.resolved(values).kind {
                    $($(#[$cfg])? Kind::$kind => $kind::LEVELS,)+
                    Kind::Auto => unreachable!("resolved() never answers Auto"),
                    #[cfg(not(feature = "onnx"))]
                    Kind::Onnx => unreachable!("Networks::read() refuses it"),
                }
            }

            /// What the levels of its rows are.
            pub fn levels(&self) -> Levels {
                match self { $($(#[$cfg])? Self::$kind(_) => $kind::LEVELS,)+ }
            }

            /// Scores a row; learns nothing. `out` is prepared.
            pub fn score(&self, row: Row<'_>, out: &mut Assessment) {
                match self { $($(#[$cfg])? Self::$kind(model) => model.score(row, out),)+ }
            }

            /// Learns a row; `seen` is what [`score`](Self::score) has just said of it.
            pub fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
                match self { $($(#[$cfg])? Self::$kind(model) => model.learn(row, seen),)+ }
            }

            /// Adds what it shares with other series.
            pub(crate) fn networks(&self, into: &mut Networks) {
                match self { $($(#[$cfg])? Self::$kind(model) => model.networks(into),)+ }
            }

            /// Puts into `out.nearest` the nearest row to this one of those it remembers, if it does;
            /// `out` is what [`score`](Self::score) has just said of the row.
            pub fn nearest(&self, row: Row<'_>, out: &mut Assessment) {
                let Assessment { scale, nearest: found, .. } = out;
                found.prepare(scale.len());
                self.remembered(row, &mut Search { row: row.values, scale, found });
            }

            /// Offers the rows that it remembers.
            pub(crate) fn remembered(&self, row: Row<'_>, search: &mut Search<'_>) {
                match self { $($(#[$cfg])? Self::$kind(model) => model.remembered(row, search),)+ }
            }

            /// Keeps what it takes to learn from feedback on the row of this number, of which
            /// [`score`](Self::score) has just said this.
            pub fn remember(&mut self, row: u64, seen: &Assessment) {
                match self { $($(#[$cfg])? Self::$kind(model) => model.remember(row, seen),)+ }
            }

            /// Learns whether the row of this number was odd. False if it learns nothing from that.
            pub fn feedback(&mut self, row: u64, odd: bool) -> bool {
                match self { $($(#[$cfg])? Self::$kind(model) => model.feedback(row, odd),)+ }
            }

            /// Takes over from the model that it follows what people said.
            pub(crate) fn inherit(&mut self, before: &mut Self) {
                match (self, before) {
                    $($(#[$cfg])? (Self::$kind(model), Self::$kind(before)) => model.inherit(before),)+
                    _ => {}
                }
            }

            /// How many rows it has learned.
            pub fn rows(&self) -> u64 {
                match self { $($(#[$cfg])? Self::$kind(model) => model.rows(),)+ }
            }

            /// Bytes on the heap; constant over a model's life.
            pub fn bytes(&self) -> usize {
                match self { $($(#[$cfg])? Self::$kind(model) => model.bytes(),)+ }
            }

            /// Appends what was learned; the algorithm is known to who decodes.
            pub(crate) fn encode(&self, out: &mut Vec<u8>) {
                match self { $($(#[$cfg])? Self::$kind(model) => model.encode(out),)+ }
            }

            /// Takes what [`encode`](Self::encode) appended; the arguments are those of
            /// [`new`](Self::new).
            pub(crate) fn decode(
                algorithm: &Algorithm,
                values: usize,
                seed: u64,
                networks: &Networks,
                bytes: &mut &[u8],
            ) -> Result<Self, DecodeError> {
                let mut new = Self::new(algorithm, values, seed, networks);
                new.restore(bytes)?;
                Ok(new)
            }

            /// Puts what [`encode`](Self::encode) appended into a new model made with the same
            /// arguments.
            pub(crate) fn restore(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
                match self { $($(#[$cfg])? Self::$kind(model) => model.decode(bytes),)+ }
            }
        }

        /// One or two of every algorithm, with small parameters, and `auto`. What must hold for
        /// every algorithm is tested over these.
        pub static SAMPLES: LazyLock<Vec<Algorithm>> = LazyLock::new(|| vec![
            Algorithm::new(Kind::Auto),
            $($(Algorithm::new(Kind::$kind) $(.with($name, f64::from($value)))*,)*)+
        ].into_iter().chain(crate::ensemble::samples()).collect());
    };
}

models! {
    RobustZ [("window" = 41), ("window" = 64)],
    HalfSpaceTrees [
        ("trees" = 3, "depth" = 1, "window" = 16),
        ("trees" = 10, "depth" = 8, "window" = 64)
    ],
    Novelty [("short_rows" = 20)],
    RandomCutForest [
        ("trees" = 10, "sample" = 32, "window" = 128),
        ("trees" = 8, "sample" = 32, "shingle" = 3, "window" = 96)
    ],
    IsolationForest [
        ("trees" = 10, "sample" = 32, "window" = 128),
        ("trees" = 10, "sample" = 32, "window" = 100, "extended" = 1)
    ],
    Loda [("window" = 64), ("projections" = 20, "window" = 100)],
    Mahalanobis [("horizon" = 100), ("ridge" = 0.1)],
    Lesinn [("samples" = 3, "size" = 5, "horizon" = 40), ("samples" = 4)],
    Fusion [("samples" = 4, "size" = 8, "gate" = 30), ("samples" = 2, "gate" = 500)],
    Knn [("k" = 3, "window" = 40), ("k" = 5, "window" = 64, "mean" = 0)],
    Lof [("k" = 4, "window" = 30), ("window" = 48)],
    OneClassSvm [("features" = 0), ("features" = 24)],
    Ewma [("half_life" = 20), ("half_life" = 150, "smoothing" = 0.25)],
    Seasonal [("season_max" = 40), ("season" = 12, "level" = 0.3)],
    SpectralResidual [("window" = 64), ("window" = 256)],
    Discord [("length" = 12, "history" = 160), ("length" = 10, "history" = 256, "flat" = 0.1)],
    Autoencoder [("hidden" = 3), ("hidden" = 2, "shingle" = 1, "rate" = 0.05)],
    Pca [("horizon" = 100), ("components" = 1)],
    #[cfg(feature = "onnx")]
    Onnx [],
    Ensemble [],
}

/// Appends an algorithm, and of an ensemble how it combines and its members, each with its weight.
pub(crate) fn encode(algorithm: &Algorithm, out: &mut Vec<u8>) {
    encode_one(algorithm, out);
    if algorithm.kind == Kind::Ensemble {
        put(&(algorithm.combine as u8, algorithm.members.len()), out);
        for member in &algorithm.members {
            encode_one(member, out);
            put(&member.weight(), out);
        }
    }
}

/// Appends an algorithm's number, the parameters that differ from their defaults by their place in the
/// table, and the digest of what was given.
fn encode_one(algorithm: &Algorithm, out: &mut Vec<u8>) {
    let known = algorithm.kind.parameters().iter().enumerate();
    let values = known.map(|(at, p)| (at as u8, algorithm.get(p.name), p.default));
    let differs = values.filter(|(_, value, default)| value != default);
    let set: Vec<(u8, f64)> = differs.map(|(at, value, _)| (at, value)).collect();
    put(&(algorithm.kind as u8, set), out);
    if algorithm.kind == Kind::Onnx {
        put(&algorithm.model.as_ref().map(|given| *given.digest()), out);
    }
}

/// Takes what [`encode`] appended.
pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Algorithm, DecodeError> {
    let mut algorithm = decode_one(bytes)?;
    if algorithm.kind == Kind::Ensemble {
        let (number, members) = take::<(u8, usize)>(bytes)?;
        let combine = Combine::ALL.iter().find(|combine| **combine as u8 == number);
        algorithm.combine = *combine.ok_or(DecodeError::Impossible("number of a combination"))?;
        ensure((1..=Algorithm::MEMBERS_MAX).contains(&members), "number of members")?;
        for _ in 0..members {
            let member = decode_one(bytes)?;
            ensure(member.kind != Kind::Ensemble, "ensemble in an ensemble")?;
            let weight: f64 = take(bytes)?;
            let weighs = if weight == 1.0 { member } else { member.with("weight", weight) };
            algorithm.members.push(weighs);
        }
    }
    Ok(algorithm)
}

fn decode_one(bytes: &mut &[u8]) -> Result<Algorithm, DecodeError> {
    let (number, set): (u8, Vec<(u8, f64)>) = take(bytes)?;
    let kind = Kind::ALL.iter().find(|kind| **kind as u8 == number);
    let kind = *kind.ok_or(DecodeError::Impossible("number of an algorithm"))?;
    let mut algorithm = Algorithm::new(kind);
    for (at, value) in set {
        let parameter = kind.parameters().get(usize::from(at));
        let parameter = parameter.ok_or(DecodeError::Impossible("parameter of an algorithm"))?;
        algorithm = algorithm.with(parameter.name, value);
    }
    if kind == Kind::Onnx {
        algorithm.model = take::<Option<Digest>>(bytes)?.map(GivenModel::of_digest);
    }
    Ok(algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_comes_back() {
        let mut given = Algorithm::new(Kind::Onnx).with("shingle", 2.0);
        given.model = Some(GivenModel::new("a.onnx", *b"abc"));
        for algorithm in SAMPLES.iter().chain([&given]) {
            assert_eq!(algorithm.check("sample"), Ok(()));
            let mut bytes = vec![];
            encode(algorithm, &mut bytes);
            let mut rest = &bytes[..];
            assert_eq!(decode(&mut rest).as_ref(), Ok(algorithm));
            assert!(rest.is_empty());
        }
        assert!(decode(&mut &[255_u8][..]).is_err());
    }

    fn check(algorithm: &Algorithm, values: usize) {
        let mut model = Model::new(algorithm, values, 7, &Networks::default());
        let promised = Model::bytes_for(algorithm, values);
        assert_eq!(model.bytes(), promised, "{algorithm}");
        let mut out = Assessment::default();
        let levels = model.levels().count(values);
        let mut assess = |model: &Model, row: &[f64], at: i64| {
            out.prepare(values, levels);
            model.score(Row { values: row, at }, &mut out);
            out.clone()
        };
        for i in 0..1500_u64 {
            let row: Vec<f64> =
                (0..values as u64).map(|v| ((i * 7919 + v * 104_729) % 1000) as f64).collect();
            for values in [row, vec![f64::NAN; values]] {
                let at = i as i64 * 60_000_000;
                let out = assess(&model, &values, at);
                assert!(out.raw.is_finite() && (0.0..=1.0).contains(&out.confidence));
                let sum: f64 = out.contributions.iter().sum();
                let share = if values[0].is_nan() { 0.0 } else { 1.0 };
                assert!((sum - share).abs() < 1e-9, "{algorithm}: shares sum to {sum}");
                model.learn(Row { values: &values, at }, &out);
            }
        }
        let out = assess(&model, &vec![f64::NAN; values], 0);
        assert_eq!((out.raw, out.confidence), (0.0, 0.0), "nothing is known of missing values");
        assert_eq!(model.bytes(), promised, "bounded");
    }

    #[test]
    fn every_algorithm_keeps_the_contract() {
        for algorithm in &*SAMPLES {
            [1, 3, 4, 40].into_iter().for_each(|values| check(algorithm, values));
        }
        let deep = Algorithm::new(Kind::HalfSpaceTrees).with("trees", 5.0).with("depth", 12.0);
        check(&deep.with("window", 64.0), 40);
    }
}
