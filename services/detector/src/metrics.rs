//! The names of the detector's metrics.

/// Scores written to `detection.completed`.
pub const SCORES: &str = "oddwatch_detector_scores_total";
/// Anomalies opened.
pub const ANOMALIES: &str = "oddwatch_detector_anomalies_total";
/// Rows refused here.
pub const REFUSED: &str = "oddwatch_detector_refused_total";
/// Pieces of feedback that a model has learned.
pub const FEEDBACK: &str = "oddwatch_detector_feedback_total";
/// Models held by this process.
pub const MODELS: &str = "oddwatch_detector_models";
/// Bytes that the models take.
pub const MODEL_BYTES: &str = "oddwatch_detector_model_bytes";
/// From the record's arrival at the broker to the hand-over of the anomaly's opening.
pub const LATENCY: &str = "oddwatch_detector_record_to_anomaly_seconds";
