//! A model from an ONNX file, made ready to run by tract: read once for each definition and shared by the models of
//! all series, which keep nothing of their own here.
//!
//! Tract chooses its kernels by the processor, so that two kinds of processor may round differently; on one kind the
//! same inputs give the same bits.

use std::{
    fmt,
    ops::Range,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use domain::{Algorithm, GivenModel, definition::Digest};
use tract_onnx::prelude::{
    Datum as _, DatumType, Framework as _, Graph, InferenceFact, InferenceModel,
    InferenceModelExt as _, IntoTValue as _, Symbol, SymbolValues, TDim, Tensor, TractResult,
    TypedFact, TypedModel, TypedOp, TypedSimplePlan, tvec,
};
use tract_onnx::tract_hir::{infer::Factoid as _, internal::DimLike as _};

/// What an output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The inputs, rebuilt.
    Rebuilt,
    /// How odd the row is.
    Score,
    /// The probabilities of classes, of which the last is the odd one.
    Probabilities,
}

/// A model that can be run.
pub(crate) struct Network {
    digest: Digest,
    plan: Arc<TypedSimplePlan>,
    single: bool,
    /// How many inputs it takes; any number if it does not say.
    inputs: Option<usize>,
    /// What stands for that number in shapes.
    count: Symbol,
    /// The shape of the output.
    output: Vec<TDim>,
}

impl Network {
    /// Reads a model.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn read(given: &GivenModel) -> Result<Self, String> {
        caught(|| Self::parse(given)).unwrap_or_else(|| Err("tract panics on it".to_owned()))
    }

    fn parse(given: &GivenModel) -> Result<Self, String> {
        let broken =
            |error: &dyn fmt::Display| format!("it is no ONNX model that can be run: {error:#}");
        let model = tract_onnx::onnx().model_for_read(&mut given.bytes());
        let mut model = model.map_err(|error| broken(&error))?;
        let (single, inputs) = input(&model)?;
        let count = model.symbols.new_with_prefix("values");
        let width = inputs.map_or_else(|| count.clone().into(), TDim::from);
        let kind = if single { f32::datum_type() } else { f64::datum_type() };
        let fact = InferenceFact::dt_shape(kind, tvec![TDim::from(1), width]);
        model.set_input_fact(0, fact).map_err(|error| broken(&error))?;
        let (plan, output) = runnable(model).map_err(|error| broken(&error))??;
        Ok(Self { digest: *given.digest(), plan, single, inputs, count, output })
    }

    /// What tells it from others.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How many inputs it takes, if it says.
    pub(super) fn inputs(&self) -> Option<usize> {
        self.inputs
    }

    /// What it says of so many inputs.
    ///
    /// # Errors
    /// That it does not take so many, or says something else than the algorithm asks for.
    pub(super) fn meaning(&self, algorithm: &Algorithm, inputs: usize) -> Result<Meaning, String> {
        if let Some(wanted) = self.inputs.filter(|wanted| *wanted != inputs) {
            return Err(format!("it takes {wanted} inputs, not {inputs}"));
        }
        let values = SymbolValues::default().with(&self.count, inputs as i64);
        let mut sizes = self.output.iter().map(|size| size.eval(&values).to_usize().ok());
        let width = sizes.try_fold(1_usize, |product, size| product.checked_mul(size?));
        let width = width.ok_or("the size of its output is not known beforehand")?;
        match (algorithm.whole("output"), width) {
            (0 | 1, width) if width == inputs && width > 0 => Ok(Meaning::Rebuilt),
            (0 | 2, 1) => Ok(Meaning::Score),
            (0 | 3, 2..) => Ok(Meaning::Probabilities),
            (asked, width) => Err(format!(
                "of {inputs} inputs it makes {width} outputs, which output = {asked} can't mean"
            )),
        }
    }

    /// Appends what it says of the inputs at this place of a room; nothing if it can't.
    pub(super) fn run(&self, inputs: Range<usize>, room: &mut Vec<f64>) {
        let inputs = &room[inputs];
        let shape = [1, inputs.len()];
        let row = if self.single {
            // What is larger would be infinite.
            let most = f64::from(f32::MAX);
            let single: Vec<f32> = inputs.iter().map(|x| x.clamp(-most, most) as f32).collect();
            Tensor::from_shape(&shape, &single)
        } else {
            Tensor::from_shape(&shape, inputs)
        };
        let Ok(row) = row else { return };
        let said = caught(|| self.plan.run(tvec![row.into_tvalue()]));
        let Some(Ok(said)) = said else { return };
        let Some(said) = said.first().and_then(|said| said.cast_to::<f64>().ok()) else { return };
        if let Ok(said) = said.try_as_plain_ram().and_then(|said| said.as_slice::<f64>()) {
            room.extend_from_slice(said);
        }
    }
}

/// What this gives; none if it panics, as tract does on some models that are none. What it works on is not used
/// any more then, or not changed by it.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Whether the one input is of single precision, and how many values it takes.
fn input(model: &InferenceModel) -> Result<(bool, Option<usize>), String> {
    let inputs = model.inputs.len();
    if inputs != 1 {
        return Err(format!("it has {inputs} inputs, it must have one"));
    }
    let fact = model.input_fact(0).map_err(|error| error.to_string())?;
    let single = match fact.datum_type.concretize() {
        Some(DatumType::F32) => true,
        Some(DatumType::F64) => false,
        other => {
            let other = other.map_or("of an unknown type".to_owned(), |kind| format!("{kind:?}"));
            return Err(format!("its input is {other}, it must be F32 or F64"));
        }
    };
    let right = "it must be [1, number of values]";
    if fact.shape.rank().concretize() != Some(2) {
        return Err(format!("its input has the shape {:?}, {right}", fact.shape));
    }
    let size = |axis| {
        let size = fact.shape.dim(axis).and_then(|size| size.concretize());
        size.and_then(|size| size.to_usize().ok())
    };
    match (size(0), size(1)) {
        (None | Some(1), None) => Ok((single, None)),
        (None | Some(1), Some(values)) if values > 0 => Ok((single, Some(values))),
        _ => Err(format!("its input has the shape {:?}, {right}", fact.shape)),
    }
}

type Runnable = (Arc<TypedSimplePlan>, Vec<TDim>);

/// Keeps the first output of real numbers (a classifier's labels are none) and makes the model ready.
fn runnable(model: InferenceModel) -> TractResult<Result<Runnable, String>> {
    let mut model: Graph<TypedFact, Box<dyn TypedOp>> = model.into_typed()?;
    for at in 0..model.outputs.len() {
        let fact = model.output_fact(at)?;
        if fact.datum_type.is_float() {
            let shape = fact.shape.to_tvec().to_vec();
            let rows = shape.first().and_then(|rows| rows.to_usize().ok());
            if rows != Some(1) {
                return Ok(Err("its output must be of one row".to_owned()));
            }
            let outlet = model.outputs[at];
            model.select_output_outlets(&[outlet])?;
            let model: TypedModel = model.into_optimized()?;
            return Ok(Ok((TypedSimplePlan::new(model)?, shape)));
        }
    }
    Ok(Err("it has no output of real numbers".to_owned()))
}

impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&GivenModel::of_digest(self.digest), f)
    }
}
