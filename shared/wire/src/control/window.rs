//! Windows of a stream, as the `control` log holds them.

use domain::{Aggregate, Percentile, Shape, Window};

use super::NAME;
use crate::{DecodeError, malformed, v1};

pub(super) fn encode(window: &Window) -> v1::WindowDefinition {
    let quantile = |feature: &Aggregate| match feature {
        Aggregate::Quantile(percentile) => Some(percentile.millionths()),
        _ => None,
    };
    let message = v1::WindowDefinition {
        name: window.name.clone(),
        features: window.features.iter().map(|f| encode_aggregate(*f).into()).collect(),
        quantiles_ppm: window.features.iter().filter_map(quantile).collect(),
        ..v1::WindowDefinition::default()
    };
    match window.shape {
        Shape::Count { size, slide } => v1::WindowDefinition { size, slide, ..message },
        Shape::Time { size_ms, hop_ms, offset_ms } => {
            v1::WindowDefinition { size_ms, hop_ms, offset_ms, ..message }
        }
        Shape::Session { gap_ms, size_ms_max } => {
            v1::WindowDefinition { gap_ms, size_ms_max, ..message }
        }
    }
}

pub(super) fn decode(window: &v1::WindowDefinition) -> Result<Window, DecodeError> {
    let &v1::WindowDefinition { size, slide, size_ms, hop_ms, offset_ms, .. } = window;
    let &v1::WindowDefinition { gap_ms, size_ms_max, .. } = window;
    let shape = match (size, size_ms, gap_ms) {
        (_, 0, 0) => Shape::Count { size, slide },
        (0, _, 0) => Shape::Time { size_ms, hop_ms, offset_ms },
        (0, 0, _) => Shape::Session { gap_ms, size_ms_max },
        _ => return Err(malformed(NAME, "a window of two kinds")),
    };
    let mut quantiles = window.quantiles_ppm.iter();
    // The generated accessor would leave out what it does not know.
    let features = window.features.iter().map(|&feature| match v1::Aggregate::try_from(feature) {
        Ok(v1::Aggregate::Quantile) => {
            let percentile = quantiles.next().and_then(|ppm| Percentile::of_millionths(*ppm));
            let percentile = percentile.ok_or_else(|| malformed(NAME, "no such percentile"))?;
            Ok(Aggregate::Quantile(percentile))
        }
        Ok(plain) => decode_aggregate(plain),
        Err(_) => decode_aggregate(v1::Aggregate::Unspecified),
    });
    Ok(Window { name: window.name.clone(), shape, features: features.collect::<Result<_, _>>()? })
}

fn encode_aggregate(aggregate: Aggregate) -> v1::Aggregate {
    match aggregate {
        Aggregate::Last => v1::Aggregate::Last,
        Aggregate::Count => v1::Aggregate::Count,
        Aggregate::Sum => v1::Aggregate::Sum,
        Aggregate::Mean => v1::Aggregate::Mean,
        Aggregate::Min => v1::Aggregate::Min,
        Aggregate::Max => v1::Aggregate::Max,
        Aggregate::Std => v1::Aggregate::Std,
        Aggregate::Quantile(_) => v1::Aggregate::Quantile,
        Aggregate::Delta => v1::Aggregate::Delta,
        Aggregate::Rate => v1::Aggregate::Rate,
        Aggregate::Distinct => v1::Aggregate::Distinct,
        Aggregate::SinceLast => v1::Aggregate::SinceLast,
    }
}

/// A feature of a newer version is refused: nobody here can compute it.
fn decode_aggregate(aggregate: v1::Aggregate) -> Result<Aggregate, DecodeError> {
    Ok(match aggregate {
        v1::Aggregate::Last => Aggregate::Last,
        v1::Aggregate::Count => Aggregate::Count,
        v1::Aggregate::Sum => Aggregate::Sum,
        v1::Aggregate::Mean => Aggregate::Mean,
        v1::Aggregate::Min => Aggregate::Min,
        v1::Aggregate::Max => Aggregate::Max,
        v1::Aggregate::Std => Aggregate::Std,
        v1::Aggregate::Delta => Aggregate::Delta,
        v1::Aggregate::Rate => Aggregate::Rate,
        v1::Aggregate::Distinct => Aggregate::Distinct,
        v1::Aggregate::SinceLast => Aggregate::SinceLast,
        v1::Aggregate::Quantile | v1::Aggregate::Unspecified => {
            return Err(malformed(NAME, "unknown window feature"));
        }
    })
}
