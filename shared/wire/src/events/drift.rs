//! What a drift tells besides numbers: its kind, values before and since, what detectors do.

use domain::{DriftAction, DriftKind, DriftPolicy, Summary};

use crate::{DecodeError, malformed, v1};

const NAME: &str = "DriftDetected";

pub(super) fn encode_kind(kind: DriftKind) -> v1::DriftKind {
    match kind {
        DriftKind::Level => v1::DriftKind::Level,
        DriftKind::Variance => v1::DriftKind::Variance,
        DriftKind::Distribution => v1::DriftKind::Distribution,
        DriftKind::Seasonality => v1::DriftKind::Seasonality,
        DriftKind::Missingness => v1::DriftKind::Missingness,
        DriftKind::Multivariate => v1::DriftKind::Multivariate,
    }
}

pub(super) fn decode_kind(kind: v1::DriftKind) -> Result<DriftKind, DecodeError> {
    Ok(match kind {
        v1::DriftKind::Level => DriftKind::Level,
        v1::DriftKind::Variance => DriftKind::Variance,
        v1::DriftKind::Distribution => DriftKind::Distribution,
        v1::DriftKind::Seasonality => DriftKind::Seasonality,
        v1::DriftKind::Missingness => DriftKind::Missingness,
        v1::DriftKind::Multivariate => DriftKind::Multivariate,
        v1::DriftKind::Unspecified => return Err(malformed(NAME, "unknown kind")),
    })
}

pub(super) fn encode_summary(summary: &Summary) -> v1::ValueSummary {
    v1::ValueSummary {
        count: summary.count,
        mean: summary.mean,
        deviation: summary.deviation,
        quantiles: if summary.count > 0 { summary.quantiles.to_vec() } else { vec![] },
    }
}

pub(super) fn decode_summary(summary: Option<&v1::ValueSummary>) -> Result<Summary, DecodeError> {
    let Some(summary) = summary.filter(|summary| summary.count > 0) else {
        return Ok(Summary::NONE);
    };
    let quantiles = summary.quantiles.as_slice().try_into();
    let quantiles = quantiles.map_err(|_| malformed(NAME, "not five quantiles"))?;
    let v1::ValueSummary { count, mean, deviation, .. } = *summary;
    Ok(Summary { count, mean, deviation, quantiles })
}

pub(super) fn encode_action(action: &DriftAction) -> v1::DriftAction {
    let policy = encode_policy(action.policy).into();
    v1::DriftAction { detector: action.detector.to_string(), policy }
}

pub(super) fn decode_action(action: &v1::DriftAction) -> Result<DriftAction, DecodeError> {
    let policy = decode_policy(action.policy());
    Ok(DriftAction { detector: action.detector.as_str().into(), policy })
}

/// What a detector does, as definitions and drifts name it.
pub(crate) fn encode_policy(policy: DriftPolicy) -> v1::DriftPolicy {
    match policy {
        DriftPolicy::None => v1::DriftPolicy::None,
        DriftPolicy::Relearn => v1::DriftPolicy::Relearn,
        DriftPolicy::Widen => v1::DriftPolicy::Widen,
        DriftPolicy::Freeze => v1::DriftPolicy::Freeze,
    }
}

/// The same back.
pub(crate) fn decode_policy(policy: v1::DriftPolicy) -> DriftPolicy {
    match policy {
        v1::DriftPolicy::None | v1::DriftPolicy::Unspecified => DriftPolicy::None,
        v1::DriftPolicy::Relearn => DriftPolicy::Relearn,
        v1::DriftPolicy::Widen => DriftPolicy::Widen,
        v1::DriftPolicy::Freeze => DriftPolicy::Freeze,
    }
}
