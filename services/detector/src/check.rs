//! Whether this build can run a detector: what only the algorithms know of a definition, asked before it is taken.

use detect::Networks;
use domain::{Detector, Invalid, Stream};

/// Checks what a detector on this stream was given.
///
/// # Errors
/// What of it this build can't run.
pub fn check_detector(detector: &Detector, stream: Option<&Stream>) -> Result<(), Invalid> {
    Networks::default().read(detector, stream.and_then(|stream| values(detector, stream)))
}

/// How many values the rows have that a detector scores, if the stream says.
fn values(detector: &Detector, stream: &Stream) -> Option<usize> {
    let of_records = Some(stream.features.len()).filter(|values| *values > 0)?;
    let Some(name) = &detector.window else { return Some(of_records) };
    let window = stream.windows.iter().find(|window| window.name == *name)?;
    Some(of_records * window.features.len())
}
