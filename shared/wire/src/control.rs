//! Definitions, as the `control` log holds them.

use domain::{
    Algorithm, Channel, ChannelKind, Combine, Definition, Detector, Direction, DriftTest, Format,
    GapPolicy, GivenModel, Kind, LatePolicy, Layout, Limits, Micros, QuietTime, Skip, Source,
    Stream, Threshold,
};
use prost::Message as _;
use v1::control_entry::Entry;

use crate::{
    DecodeError, EVENT_VERSION, check_version, decode,
    events::drift::{decode_policy, encode_policy},
    malformed, v1,
};

mod feedback;
mod window;

const NAME: &str = "ControlEntry";

/// Encodes one definition or removal.
pub fn encode_definition(definition: &Definition, appended_at: Micros) -> Vec<u8> {
    let entry = match definition {
        Definition::Layout(l) => Entry::Layout(v1::Layout {
            partitions: l.partitions,
            sources: l
                .sources
                .iter()
                .map(|s| v1::Source { topic: s.topic.clone(), partitions: s.partitions })
                .collect(),
        }),
        Definition::Stream(s) => Entry::Stream(encode_stream(s)),
        Definition::Detector(d) => Entry::Detector(encode_detector(d)),
        Definition::Channel(c) => Entry::Channel(encode_channel(c)),
        Definition::Limits(l) => Entry::Limits(v1::Limits {
            series_max: l.series_max,
            features_max: l.features_max,
            held_rows_max: l.held_rows_max,
            model_bytes_max: l.model_bytes_max,
        }),
        Definition::Skip(s) => Entry::Skip(v1::Skip {
            service: s.service.clone(),
            partition: s.partition.clone(),
            offset: s.offset,
            item: s.item,
            why: s.why.clone(),
        }),
        Definition::Feedback(f) => Entry::Feedback(feedback::encode(f)),
        Definition::Removed(key) => Entry::Removed(key.clone()),
    };
    let message = v1::ControlEntry {
        version: EVENT_VERSION,
        appended_at_us: appended_at,
        entry: Some(entry),
    };
    message.encode_to_vec()
}

/// Reads what [`encode_definition`] wrote.
///
/// # Errors
/// If the bytes are no such entry, of another version, or name something unknown.
pub fn decode_definition(bytes: &[u8]) -> Result<Definition, DecodeError> {
    let message: v1::ControlEntry = decode(NAME, bytes)?;
    check_version(NAME, message.version)?;
    Ok(match message.entry.ok_or_else(|| malformed(NAME, "no entry"))? {
        Entry::Layout(l) => Definition::Layout(Layout {
            partitions: l.partitions,
            sources: l
                .sources
                .into_iter()
                .map(|s| Source { topic: s.topic, partitions: s.partitions })
                .collect(),
        }),
        Entry::Stream(s) => Definition::Stream(decode_stream(s)?),
        Entry::Detector(d) => Definition::Detector(decode_detector(d)?),
        Entry::Channel(c) => Definition::Channel(decode_channel(c)?),
        Entry::Limits(l) => Definition::Limits(Limits {
            series_max: l.series_max,
            features_max: l.features_max,
            held_rows_max: l.held_rows_max,
            model_bytes_max: l.model_bytes_max,
        }),
        Entry::Skip(s) => Definition::Skip(Skip {
            service: s.service,
            partition: s.partition,
            offset: s.offset,
            item: s.item,
            why: s.why,
        }),
        Entry::Feedback(f) => Definition::Feedback(feedback::decode(f)),
        Entry::Removed(key) => Definition::Removed(key),
    })
}

fn encode_stream(s: &Stream) -> v1::StreamDefinition {
    v1::StreamDefinition {
        name: s.name.clone(),
        topic: s.topic.clone(),
        key_pointer: s.format.key.clone().unwrap_or_default(),
        time_pointer: s.format.time.clone().unwrap_or_default(),
        value_pointers: s.format.values.clone(),
        tags_pointer: s.format.tags.clone().unwrap_or_default(),
        zone: s.format.zone.clone().unwrap_or_default(),
        protobuf: s.format.protobuf,
        features: s.features.clone(),
        lateness_ms: s.lateness_ms,
        late: match s.late {
            None => v1::LatePolicy::Unspecified,
            Some(LatePolicy::Score) => v1::LatePolicy::Score,
            Some(LatePolicy::Refuse) => v1::LatePolicy::Refuse,
        }
        .into(),
        windows: s.windows.iter().map(window::encode).collect(),
        drift_tests: s.drift.iter().map(|t| encode_test(*t).into()).collect(),
        drift_run_length: s.drift_run_length,
        interval_ms: s.interval_ms,
        gaps: encode_gaps(s.gaps).into(),
        gap_value: if let GapPolicy::Fixed(value) = s.gaps { value } else { 0.0 },
        season_ms: s.season_ms,
        gap_rows_max: s.gap_rows_max,
        no_data_after: s.no_data_after,
        series_ttl_ms: s.series_ttl_ms,
        series_max: s.series_max,
        record_ids: s.record_ids,
        record_id_pointer: s.format.record_id.clone().unwrap_or_default(),
    }
}

fn encode_gaps(gaps: GapPolicy) -> v1::GapPolicy {
    match gaps {
        GapPolicy::None => v1::GapPolicy::None,
        GapPolicy::Previous => v1::GapPolicy::Previous,
        GapPolicy::Linear => v1::GapPolicy::Linear,
        GapPolicy::Zero => v1::GapPolicy::Zero,
        GapPolicy::Fixed(_) => v1::GapPolicy::Fixed,
        GapPolicy::Seasonal => v1::GapPolicy::Seasonal,
    }
}

fn decode_gaps(gaps: v1::GapPolicy, value: f64) -> GapPolicy {
    match gaps {
        v1::GapPolicy::Unspecified | v1::GapPolicy::None => GapPolicy::None,
        v1::GapPolicy::Previous => GapPolicy::Previous,
        v1::GapPolicy::Linear => GapPolicy::Linear,
        v1::GapPolicy::Zero => GapPolicy::Zero,
        v1::GapPolicy::Fixed => GapPolicy::Fixed(value),
        v1::GapPolicy::Seasonal => GapPolicy::Seasonal,
    }
}

fn decode_stream(s: v1::StreamDefinition) -> Result<Stream, DecodeError> {
    let late = match s.late() {
        v1::LatePolicy::Refuse => Some(LatePolicy::Refuse),
        v1::LatePolicy::Score => Some(LatePolicy::Score),
        v1::LatePolicy::Unspecified => None,
    };
    let gaps = decode_gaps(s.gaps(), s.gap_value);
    let drift = s.drift_tests().map(decode_test).collect::<Result<_, _>>()?;
    let windows = s.windows.iter().map(window::decode).collect::<Result<_, _>>()?;
    let text = |s: String| (!s.is_empty()).then_some(s);
    Ok(Stream {
        name: s.name,
        topic: s.topic,
        format: Format {
            key: text(s.key_pointer),
            time: text(s.time_pointer),
            values: s.value_pointers,
            tags: text(s.tags_pointer),
            zone: text(s.zone),
            protobuf: s.protobuf,
            record_id: text(s.record_id_pointer),
        },
        features: s.features,
        lateness_ms: s.lateness_ms,
        late,
        windows,
        drift,
        drift_run_length: s.drift_run_length,
        interval_ms: s.interval_ms,
        gaps,
        season_ms: s.season_ms,
        gap_rows_max: s.gap_rows_max,
        no_data_after: s.no_data_after,
        series_ttl_ms: s.series_ttl_ms,
        series_max: s.series_max,
        record_ids: s.record_ids,
    })
}

fn encode_test(test: DriftTest) -> v1::DriftTest {
    match test {
        DriftTest::Adwin => v1::DriftTest::Adwin,
        DriftTest::PageHinkley => v1::DriftTest::PageHinkley,
        DriftTest::Cusum => v1::DriftTest::Cusum,
        DriftTest::Kswin => v1::DriftTest::Kswin,
        DriftTest::HddmA => v1::DriftTest::HddmA,
        DriftTest::HddmW => v1::DriftTest::HddmW,
        DriftTest::Psi => v1::DriftTest::Psi,
        DriftTest::Wasserstein => v1::DriftTest::Wasserstein,
        DriftTest::Mmd => v1::DriftTest::Mmd,
    }
}

fn decode_test(test: v1::DriftTest) -> Result<DriftTest, DecodeError> {
    Ok(match test {
        v1::DriftTest::Adwin => DriftTest::Adwin,
        v1::DriftTest::PageHinkley => DriftTest::PageHinkley,
        v1::DriftTest::Cusum => DriftTest::Cusum,
        v1::DriftTest::Kswin => DriftTest::Kswin,
        v1::DriftTest::HddmA => DriftTest::HddmA,
        v1::DriftTest::HddmW => DriftTest::HddmW,
        v1::DriftTest::Psi => DriftTest::Psi,
        v1::DriftTest::Wasserstein => DriftTest::Wasserstein,
        v1::DriftTest::Mmd => DriftTest::Mmd,
        v1::DriftTest::Unspecified => return Err(malformed(NAME, "unknown drift test")),
    })
}

fn encode_detector(d: &Detector) -> v1::DetectorDefinition {
    use v1::detector_definition as det;
    v1::DetectorDefinition {
        name: d.name.clone(),
        stream: d.stream.clone(),
        window: d.window.clone().unwrap_or_default(),
        algorithm: Some(encode_algorithm(&d.algorithm)),
        threshold: Some(match d.threshold {
            Threshold::Score(s) => det::Threshold::Score(s),
            Threshold::Contamination(c) => det::Threshold::Contamination(c),
            Threshold::AlertsPerWeek(a) => det::Threshold::AlertsPerWeek(a),
        }),
        clear_after: d.clear_after,
        silence_ms: d.silence_ms,
        warm_up: d.warm_up,
        on_drift: encode_policy(d.on_drift).into(),
        paused: !d.enabled,
        direction: match d.direction {
            Direction::Both => v1::Direction::Unspecified,
            Direction::Up => v1::Direction::Up,
            Direction::Down => v1::Direction::Down,
        }
        .into(),
        deviation_min: d.deviation_min,
        deviation_share_min: d.deviation_share_min,
        quiet: d.quiet.iter().map(encode_quiet).collect(),
        rest_rows: d.rest_rows,
        habituation: d.habituation,
    }
}

fn encode_algorithm(a: &Algorithm) -> v1::Algorithm {
    v1::Algorithm {
        kind: a.kind.name().to_owned(),
        parameters: a.set().map(|(name, value)| (name.to_owned(), value)).collect(),
        members: a.members.iter().map(encode_algorithm).collect(),
        combine: match a.combine {
            Combine::Mean => v1::Combine::Unspecified,
            Combine::Maximum => v1::Combine::Maximum,
            Combine::Median => v1::Combine::Median,
            Combine::Vote => v1::Combine::Vote,
            Combine::Stack => v1::Combine::Stack,
        }
        .into(),
        model: a
            .model
            .as_ref()
            .map(|m| v1::GivenModel { name: m.name().to_owned(), onnx: m.bytes().to_vec() }),
    }
}

/// An algorithm of a newer version is refused: nobody here can run it. So are members of members.
fn decode_algorithm(a: v1::Algorithm) -> Result<Algorithm, DecodeError> {
    let combine = a.combine();
    let known = Kind::ALL.iter().find(|kind| kind.name() == a.kind);
    let kind = *known.ok_or_else(|| malformed(NAME, "unknown algorithm"))?;
    let set = |algorithm: Algorithm, (name, value): (String, f64)| algorithm.with(&name, value);
    let mut algorithm = a.parameters.into_iter().fold(Algorithm::new(kind), set);
    for member in a.members {
        if !member.members.is_empty() {
            return Err(malformed(NAME, "an ensemble within an ensemble"));
        }
        algorithm.members.push(decode_algorithm(member)?);
    }
    algorithm.model = a.model.map(|m| GivenModel::new(m.name, m.onnx));
    algorithm.combine = match combine {
        v1::Combine::Unspecified | v1::Combine::Mean => Combine::Mean,
        v1::Combine::Maximum => Combine::Maximum,
        v1::Combine::Median => Combine::Median,
        v1::Combine::Vote => Combine::Vote,
        v1::Combine::Stack => Combine::Stack,
    };
    Ok(algorithm)
}

fn decode_detector(d: v1::DetectorDefinition) -> Result<Detector, DecodeError> {
    use v1::detector_definition as det;
    Ok(Detector {
        on_drift: decode_policy(d.on_drift()),
        direction: match d.direction() {
            v1::Direction::Unspecified => Direction::Both,
            v1::Direction::Up => Direction::Up,
            v1::Direction::Down => Direction::Down,
        },
        deviation_min: d.deviation_min,
        deviation_share_min: d.deviation_share_min,
        quiet: d.quiet.iter().map(decode_quiet).collect::<Result<_, _>>()?,
        rest_rows: d.rest_rows,
        habituation: d.habituation,
        name: d.name,
        stream: d.stream,
        window: (!d.window.is_empty()).then_some(d.window),
        algorithm: decode_algorithm(d.algorithm.unwrap_or_default())?,
        threshold: match d.threshold {
            Some(det::Threshold::Score(s)) => Threshold::Score(s),
            Some(det::Threshold::Contamination(c)) => Threshold::Contamination(c),
            Some(det::Threshold::AlertsPerWeek(a)) => Threshold::AlertsPerWeek(a),
            None => return Err(malformed(NAME, "unknown threshold")),
        },
        clear_after: d.clear_after,
        silence_ms: d.silence_ms,
        warm_up: d.warm_up,
        enabled: !d.paused,
    })
}

fn encode_quiet(time: &QuietTime) -> v1::QuietTime {
    v1::QuietTime {
        days: time.days.iter().map(|day| u32::from(*day)).collect(),
        from_minute: time.from.into(),
        until_minute: time.until.into(),
    }
}

fn decode_quiet(time: &v1::QuietTime) -> Result<QuietTime, DecodeError> {
    let small = || malformed(NAME, "a quiet time's day or minute is out of range");
    Ok(QuietTime {
        days: time
            .days
            .iter()
            .map(|day| u8::try_from(*day))
            .collect::<Result<_, _>>()
            .map_err(|_| small())?,
        from: time.from_minute.try_into().map_err(|_| small())?,
        until: time.until_minute.try_into().map_err(|_| small())?,
    })
}

fn encode_channel(c: &Channel) -> v1::ChannelDefinition {
    use v1::channel_definition::Kind;
    v1::ChannelDefinition {
        name: c.name.clone(),
        kind: Some(match &c.kind {
            ChannelKind::Webhook { url, secret_file } => Kind::Webhook(v1::WebhookChannel {
                url: url.clone(),
                secret_file: secret_file.clone().unwrap_or_default(),
            }),
            ChannelKind::Nats { url } => Kind::Nats(v1::NatsChannel { url: url.clone() }),
        }),
    }
}

fn decode_channel(c: v1::ChannelDefinition) -> Result<Channel, DecodeError> {
    use v1::channel_definition::Kind;
    Ok(Channel {
        name: c.name,
        kind: match c.kind {
            Some(Kind::Webhook(w)) => ChannelKind::Webhook {
                url: w.url,
                secret_file: (!w.secret_file.is_empty()).then_some(w.secret_file),
            },
            Some(Kind::Nats(n)) => ChannelKind::Nats { url: n.url },
            None => return Err(malformed(NAME, "unknown channel")),
        },
    })
}

#[cfg(test)]
mod tests;
