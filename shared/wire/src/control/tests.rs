//! Definitions survive their encoding.

use domain::{Aggregate, Shape, Window};

use domain::DriftPolicy;

use super::*;

fn check(definition: Definition) {
    let back = decode_definition(&encode_definition(&definition, 5)).unwrap();
    assert_eq!(back, definition);
}

/// One of each shape, with every feature there is.
fn windows() -> Vec<Window> {
    let names = "last p50 count sum mean min max std delta rate p99.9 distinct since_last p0.0001";
    let shapes = [
        Shape::Count { size: 10, slide: 5 },
        Shape::Time { size_ms: 60_000, hop_ms: 10_000, offset_ms: 7 },
        Shape::Session { gap_ms: 30_000, size_ms_max: 3_600_000 },
    ];
    let window = |(number, shape)| Window {
        name: format!("w{number}"),
        shape,
        features: names.split(' ').map(|name| name.parse::<Aggregate>().unwrap()).collect(),
    };
    shapes.into_iter().enumerate().map(window).collect()
}

#[test]
fn a_window_that_is_two_or_asks_for_an_unknown_quantile_is_refused() {
    let good = window::encode(&windows()[1]);
    assert!(window::decode(&good).is_ok());
    let check = |bad: v1::WindowDefinition| assert!(window::decode(&bad).is_err(), "{bad:?}");
    check(v1::WindowDefinition { gap_ms: 1, ..good.clone() });
    check(v1::WindowDefinition { size: 1, ..good.clone() });
    check(v1::WindowDefinition { quantiles_ppm: vec![500_000], ..good.clone() });
    check(v1::WindowDefinition { quantiles_ppm: vec![1_000_000; 3], ..good.clone() });
    check(v1::WindowDefinition { features: vec![99], ..good });
}

#[test]
fn definitions_survive_their_encoding() {
    check(Definition::Layout(Layout {
        partitions: 4,
        sources: vec![Source { topic: "records".into(), partitions: 3 }],
    }));
    check(Definition::Stream(Stream {
        features: vec!["cpu".into()],
        late: Some(LatePolicy::Refuse),
        interval_ms: 60_000,
        gaps: GapPolicy::Fixed(-1.5),
        season_ms: 7,
        gap_rows_max: 8,
        no_data_after: 9,
        series_ttl_ms: 10,
        series_max: Some(0),
        record_ids: 12,
        format: Format { record_id: Some("/id".into()), ..Format::default() },
        lateness_ms: 5,
        windows: windows(),
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
