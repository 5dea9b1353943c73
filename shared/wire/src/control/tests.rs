//! Definitions survive their encoding.

use super::*;

fn check(definition: Definition) {
    let back = decode_definition(&encode_definition(&definition, 5)).unwrap();
    assert_eq!(back, definition);
}

#[test]
fn definitions_survive_their_encoding() {
    check(Definition::Layout(Layout {
        partitions: 4,
        sources: vec![Source { topic: "records".into(), partitions: 3 }],
    }));
    check(Definition::Stream(Stream {
        features: vec!["cpu".into()],
        late: LatePolicy::Refuse,
        lateness_ms: 5,
        windows: vec![Window {
            name: "w".into(),
            size: 10,
            slide: 5,
            features: vec![Aggregate::Mean, Aggregate::Std],
        }],
        ..Stream::implicit()
    }));
    let mut vote = Algorithm::new(Kind::Ensemble);
    vote.combine = Combine::Vote;
    vote.members.push(Algorithm::new(Kind::Ewma).with("weight", 2.0));
    let mut onnx = Algorithm::new(Kind::Onnx).with("shingle", 2.0);
    onnx.model = Some(GivenModel::new("a.onnx", [8, 1, 0, 255]));
    for algorithm in [
        Algorithm::new(Kind::Auto),
        Algorithm::new(Kind::HalfSpaceTrees).with("trees", 5.0).with("depth", 6.0),
        vote,
        onnx,
    ] {
        check(Definition::Detector(Detector {
            algorithm,
            window: Some("w".into()),
            threshold: Threshold::AlertsPerWeek(0.7),
            direction: Direction::Down,
            deviation_min: 1.5,
            deviation_share_min: 0.25,
            quiet: vec![QuietTime { days: vec![1, 7], from: 1320, until: 360 }],
            on_drift: DriftPolicy::Relearn,
            enabled: false,
            ..Detector::implicit("s")
        }));
    }
    for kind in [
        ChannelKind::Webhook { url: "https://a.test/".into(), secret_file: Some("f".into()) },
        ChannelKind::Nats { url: "nats://a.test:4222".into() },
    ] {
        check(Definition::Channel(Channel { name: "c".into(), kind }));
    }
    check(Definition::Feedback(domain::Feedback {
        detector: "d".into(),
        stream: "s".into(),
        series: "a/b".into(),
        row: u64::MAX,
        odd: true,
        note: "a truck".into(),
    }));
    check(Definition::Removed("stream/s".into()));
    check(Definition::Limits(Limits {
        series_max: 1,
        features_max: 2,
        held_rows_max: 3,
        model_bytes_max: u64::MAX,
    }));
    check(Definition::Skip(Skip {
        service: "detector".into(),
        partition: "detection.requested/3".into(),
        offset: 17,
        item: 4,
        why: "panicked".into(),
    }));
}
