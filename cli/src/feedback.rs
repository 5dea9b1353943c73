//! `oddwatch feedback`: says of a row whether it was odd, by an entry in `control`, from whose version on the detector
//! knows it.

use std::io::Write as _;

use control::{ControlLog, ControlWriter};
use domain::{Definition, Feedback, Micros, Topics};
use exchange::Exchange;

use crate::failure::Failure;

/// Says of a row whether it was odd.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct FeedbackArgs {
    /// The detector that scored the row; the one that a stream has by itself is named like the stream
    #[arg(long, value_name = "NAME")]
    detector: String,
    /// The stream that the detector watches
    #[arg(long, value_name = "NAME", default_value = domain::definition::DEFAULT_STREAM)]
    stream: String,
    /// The key of the series
    #[arg(long, value_name = "KEY")]
    series: String,
    /// The row's number, as scores and anomalies tell it
    #[arg(long, value_name = "N")]
    row: u64,
    /// The row was odd
    #[arg(long, required_unless_present = "normal", conflicts_with = "normal")]
    odd: bool,
    /// The row was as it should be
    #[arg(long)]
    normal: bool,
    /// What else there is to say
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

impl FeedbackArgs {
    fn feedback(&self) -> Feedback {
        Feedback {
            detector: self.detector.clone(),
            stream: self.stream.clone(),
            series: self.series.clone(),
            row: self.row,
            odd: self.odd,
            note: self.note.clone(),
        }
    }
}

/// Appends the feedback to `control`, if there is such a detector on the stream.
pub(crate) fn run(
    args: &FeedbackArgs,
    exchange: &dyn Exchange,
    topics: &Topics,
    now: Micros,
) -> Result<(), Failure> {
    let feedback = args.feedback();
    feedback.check().map_err(|wrong| Failure::usage(wrong.to_string()))?;
    if exchange.topic(&topics.control)?.is_none() {
        let missing = format!("there is no topic {}: nothing runs there yet", topics.control);
        return Err(Failure::configuration(missing));
    }
    let log = ControlLog::open(exchange, topics)?;
    let known = log.latest().detectors_of(&feedback.stream);
    if !known.iter().any(|(_, detector)| detector.name == feedback.detector) {
        let names: Vec<&str> = known.iter().map(|(_, detector)| detector.name.as_str()).collect();
        return Err(Failure::usage(format!(
            "--detector: stream {:?} has no detector {:?}; it has {}",
            feedback.stream,
            feedback.detector,
            names.join(", ")
        )));
    }
    let writer = ControlWriter::open(exchange, topics)?;
    let version = writer.append(&Definition::Feedback(feedback), now)?;
    writeln!(std::io::stdout(), "feedback holds from config version {version} on")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use control::{SetupOptions, set_up};
    use exchange::memory::{MemoryExchange, MemoryOptions};

    use super::*;

    fn args(detector: &str) -> FeedbackArgs {
        FeedbackArgs {
            detector: detector.into(),
            stream: "default".into(),
            series: "door".into(),
            row: 7,
            odd: true,
            normal: false,
            note: "burglar".into(),
        }
    }

    #[test]
    fn feedback_is_appended_or_refused_with_the_reason() {
        let exchange = MemoryExchange::new(MemoryOptions::new(Arc::new(|| 0)));
        let topics = Topics::new("");
        let wrong = |args: &FeedbackArgs, part: &str| {
            let failure = run(args, &exchange, &topics, 5).expect_err(part).to_string();
            assert!(failure.contains(part), "{failure}");
        };
        wrong(&args("default"), "there is no topic control");
        let options = SetupOptions {
            topic_prefix: String::new(),
            create_topics: true,
            partitions: 1,
            records_partitions: 1,
            input_retention_ms: None,
            memory_bytes_max: 1 << 20,
        };
        let before = set_up(&exchange, &options, &[], 0).unwrap().latest().version;
        wrong(&args("cpu"), "has no detector \"cpu\"; it has default");
        wrong(&FeedbackArgs { series: String::new(), ..args("default") }, "feedback: series");
        run(&args("default"), &exchange, &topics, 5).unwrap();
        let log = ControlLog::open(&exchange, &topics).unwrap();
        assert_eq!(log.latest().version, before + 1);
        let said: Vec<_> = log.feedback(0, before + 1).cloned().collect();
        assert_eq!(said, [args("default").feedback()]);
    }
}
