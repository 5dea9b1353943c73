//! What people say of rows.

use domain::Feedback;

use crate::v1;

pub(super) fn encode(f: &Feedback) -> v1::Feedback {
    v1::Feedback {
        detector: f.detector.clone(),
        stream: f.stream.clone(),
        series: f.series.clone(),
        row: f.row,
        odd: f.odd,
        note: f.note.clone(),
    }
}

pub(super) fn decode(f: v1::Feedback) -> Feedback {
    let v1::Feedback { detector, stream, series, row, odd, note } = f;
    Feedback { detector, stream, series, row, odd, note }
}
